-- lockn: N threads lock and unlock one mutex. The constants come before this file.

type
  pc_t: enum { LOCK, UNLOCK, DONE };

var
  held: boolean;
  pc: array [1 .. N] of pc_t;

startstate begin
  held := false;
  clear pc;
end;

ruleset i: 1 .. N do
  rule "lock" pc[i] = LOCK & !held ==> begin
    held := true;
    pc[i] := UNLOCK;
  end;

  rule "unlock" pc[i] = UNLOCK ==> begin
    held := false;
    pc[i] := DONE;
  end;
end;

rule "ended" forall i: 1 .. N do pc[i] = DONE end ==> begin end;
