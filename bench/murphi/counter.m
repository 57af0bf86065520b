-- counter: N threads, each t = x; x = t + 1. The constants come before this file.

type
  pc_t: enum { READ, WRITE, DONE };

var
  x: 0 .. N;
  t: array [1 .. N] of 0 .. N;
  pc: array [1 .. N] of pc_t;

startstate begin
  clear x;
  clear t;
  clear pc;
end;

ruleset i: 1 .. N do
  rule "read" pc[i] = READ ==> begin
    t[i] := x;
    pc[i] := WRITE;
  end;

  rule "write" pc[i] = WRITE ==> begin
    x := t[i] + 1;
    t[i] := 0;
    pc[i] := DONE;
  end;
end;

rule "ended" forall i: 1 .. N do pc[i] = DONE end ==> begin end;
