-- Dining philosophers, ROUNDS meals each; SWAPPED = 1 for a last one who begins on the right.
-- A meal is five steps: take, take, eat, put, put. The constants come before this file.

type
  seat_t: 0 .. N - 1;
  pc_t: enum { TAKE_FIRST, TAKE_SECOND, EAT, PUT_SECOND, PUT_FIRST };

var
  taken: array [seat_t] of boolean;
  meals: array [seat_t] of 0 .. ROUNDS;
  pc: array [seat_t] of pc_t;

function first(i: seat_t): seat_t; begin
  return SWAPPED = 1 & i = N - 1 ? 0 : i;
end;

function second(i: seat_t): seat_t; begin
  return SWAPPED = 1 & i = N - 1 ? i : (i + 1) % N;
end;

startstate begin
  for i: seat_t do
    taken[i] := false;
  endfor;
  clear meals;
  clear pc;
end;

ruleset i: seat_t do
  rule "take first" pc[i] = TAKE_FIRST & meals[i] < ROUNDS & !taken[first(i)] ==> begin
    taken[first(i)] := true;
    pc[i] := TAKE_SECOND;
  end;

  rule "take second" pc[i] = TAKE_SECOND & !taken[second(i)] ==> begin
    taken[second(i)] := true;
    pc[i] := EAT;
  end;

  rule "eat" pc[i] = EAT ==> begin
    meals[i] := meals[i] + 1;
    pc[i] := PUT_SECOND;
  end;

  rule "put second" pc[i] = PUT_SECOND ==> begin
    taken[second(i)] := false;
    pc[i] := PUT_FIRST;
  end;

  rule "put first" pc[i] = PUT_FIRST ==> begin
    taken[first(i)] := false;
    pc[i] := TAKE_FIRST;
  end;
end;

rule "ended" forall i: seat_t do pc[i] = TAKE_FIRST & meals[i] = ROUNDS end ==> begin end;
