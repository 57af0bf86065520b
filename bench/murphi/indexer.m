-- indexer: N threads insert four messages each into a hash table, by linear probing.
-- The constants come before this file.

const
  SIZE: 128;

type
  thread_t: 0 .. N - 1;
  place_t: 0 .. SIZE - 1;

var
  table: array [place_t] of 0 .. 44 + N;
  m: array [thread_t] of 1 .. 5;
  h: array [thread_t] of place_t;

function place(w: 0 .. 44 + N): place_t;
var
  product: 0 .. 7 * (44 + N); -- says how wide the arithmetic is
begin
  product := 7 * w;
  return product % SIZE;
end;

startstate begin
  clear table;
  for t: thread_t do
    m[t] := 1;
    h[t] := place(11 + t);
  endfor;
end;

ruleset t: thread_t do
  rule "insert" m[t] < 5 ==> begin
    if table[h[t]] = 0 then
      table[h[t]] := 11 * m[t] + t;
      m[t] := m[t] + 1;
      h[t] := m[t] < 5 ? place(11 * m[t] + t) : 0;
    else
      h[t] := (h[t] + 1) % SIZE;
    endif;
  end;
end;

rule "ended" forall t: thread_t do m[t] = 5 end ==> begin end;
