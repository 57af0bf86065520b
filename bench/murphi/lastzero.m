-- lastzero: writer j sets a[j] = a[j-1] + 1, the reader looks for the last zero from a[N] down.
-- The constants come before this file.

type
  pc_t: enum { READ, WRITE, DONE };

var
  a: array [0 .. N] of 0 .. N;
  t: array [1 .. N] of 0 .. N;
  pc: array [1 .. N] of pc_t;
  i: 0 .. N;
  found: boolean;

startstate begin
  clear a;
  clear t;
  clear pc;
  i := N;
  found := false;
end;

ruleset j: 1 .. N do
  rule "read" pc[j] = READ ==> begin
    t[j] := a[j - 1];
    pc[j] := WRITE;
  end;

  rule "write" pc[j] = WRITE ==> begin
    a[j] := t[j] + 1;
    t[j] := 0;
    pc[j] := DONE;
  end;
end;

rule "look" !found ==> begin
  if a[i] = 0 then
    found := true;
  else
    i := i - 1;
  endif;
end;

rule "ended" found & forall j: 1 .. N do pc[j] = DONE end ==> begin end;
