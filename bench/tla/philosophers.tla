---------------------------- MODULE philosophers ----------------------------
(* Dining philosophers, ROUNDS meals each; SWAPPED = 1 for a last one who begins on the right. *)
(* A meal is five steps: take, take, eat, put, put.                                            *)
EXTENDS Naturals

CONSTANTS N, ROUNDS, SWAPPED

VARIABLES taken, meals, pc

vars == <<taken, meals, pc>>

Seats == 0 .. N - 1

First(i) == IF SWAPPED = 1 /\ i = N - 1 THEN 0 ELSE i

Second(i) == IF SWAPPED = 1 /\ i = N - 1 THEN i ELSE (i + 1) % N

Init == /\ taken = [i \in Seats |-> FALSE]
        /\ meals = [i \in Seats |-> 0]
        /\ pc = [i \in Seats |-> "first"]

Goes(i, from, to) == pc[i] = from /\ pc' = [pc EXCEPT ![i] = to]

TakeFirst(i) == /\ meals[i] < ROUNDS
                /\ ~taken[First(i)]
                /\ Goes(i, "first", "second")
                /\ taken' = [taken EXCEPT ![First(i)] = TRUE]
                /\ UNCHANGED meals

TakeSecond(i) == /\ ~taken[Second(i)]
                 /\ Goes(i, "second", "eat")
                 /\ taken' = [taken EXCEPT ![Second(i)] = TRUE]
                 /\ UNCHANGED meals

Eat(i) == /\ Goes(i, "eat", "put second")
          /\ meals' = [meals EXCEPT ![i] = @ + 1]
          /\ UNCHANGED taken

PutSecond(i) == /\ Goes(i, "put second", "put first")
                /\ taken' = [taken EXCEPT ![Second(i)] = FALSE]
                /\ UNCHANGED meals

PutFirst(i) == /\ Goes(i, "put first", "first")
               /\ taken' = [taken EXCEPT ![First(i)] = FALSE]
               /\ UNCHANGED meals

Ended == (\A i \in Seats : pc[i] = "first" /\ meals[i] = ROUNDS) /\ UNCHANGED vars

Next == \/ Ended
        \/ \E i \in Seats : TakeFirst(i) \/ TakeSecond(i) \/ Eat(i) \/ PutSecond(i) \/ PutFirst(i)

Spec == Init /\ [][Next]_vars
=============================================================================
