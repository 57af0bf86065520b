-- readers: a writer of x; each of N readers reads a cell of its own, then x, and keeps neither.
-- The constants come before this file.

type
  pc_t: enum { OWN, X, DONE };

var
  written: boolean;
  pc: array [1 .. N] of pc_t;

startstate begin
  written := false;
  clear pc;
end;

ruleset i: 1 .. N do
  rule "own" pc[i] = OWN ==> begin
    pc[i] := X;
  end;

  rule "x" pc[i] = X ==> begin
    pc[i] := DONE;
  end;
end;

rule "write" !written ==> begin
  written := true;
end;

rule "ended" written & forall i: 1 .. N do pc[i] = DONE end ==> begin end;
