-- filesystem: N threads assign a block to an inode; 32 inodes, 26 blocks, a lock each.
-- The constants come before this file.

const
  INODES: 32;
  BLOCKS: 26;

type
  thread_t: 0 .. N - 1;
  block_t: 0 .. BLOCKS - 1;
  pc_t: enum { LOCK_I, READ_I, LOCK_B, READ_B, WRITE_B, WRITE_I, UNLOCK_B, UNLOCK_I, DONE };

var
  locki: array [0 .. INODES - 1] of boolean;
  lockb: array [block_t] of boolean;
  inode: array [0 .. INODES - 1] of 0 .. BLOCKS;
  busy: array [block_t] of boolean;
  pc: array [thread_t] of pc_t;
  b: array [thread_t] of block_t;
  assigned: array [thread_t] of boolean;

startstate begin
  for i: 0 .. INODES - 1 do
    locki[i] := false;
  endfor;
  for i: block_t do
    lockb[i] := false;
    busy[i] := false;
  endfor;
  for t: thread_t do
    assigned[t] := false;
  endfor;
  clear inode;
  clear pc;
  clear b;
end;

ruleset t: thread_t do
  alias i: t % INODES do
    rule "lock inode" pc[t] = LOCK_I & !locki[i] ==> begin
      locki[i] := true;
      pc[t] := READ_I;
    end;

    rule "read inode" pc[t] = READ_I ==> begin
      if inode[i] = 0 then
        b[t] := 2 * i % BLOCKS;
        pc[t] := LOCK_B;
      else
        pc[t] := UNLOCK_I;
      endif;
    end;

    rule "lock block" pc[t] = LOCK_B & !lockb[b[t]] ==> begin
      lockb[b[t]] := true;
      pc[t] := READ_B;
    end;

    rule "read block" pc[t] = READ_B ==> begin
      pc[t] := busy[b[t]] ? UNLOCK_B : WRITE_B;
    end;

    rule "write block" pc[t] = WRITE_B ==> begin
      busy[b[t]] := true;
      pc[t] := WRITE_I;
    end;

    rule "write inode" pc[t] = WRITE_I ==> begin
      inode[i] := b[t] + 1;
      assigned[t] := true;
      pc[t] := UNLOCK_B;
    end;

    rule "unlock block" pc[t] = UNLOCK_B ==> begin
      lockb[b[t]] := false;
      if assigned[t] then
        b[t] := 0;
        assigned[t] := false;
        pc[t] := UNLOCK_I;
      else
        b[t] := (b[t] + 1) % BLOCKS;
        pc[t] := LOCK_B;
      endif;
    end;

    rule "unlock inode" pc[t] = UNLOCK_I ==> begin
      locki[i] := false;
      pc[t] := DONE;
    end;
  end;
end;

rule "ended" forall t: thread_t do pc[t] = DONE end ==> begin end;
