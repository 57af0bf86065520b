------------------------------ MODULE readers ------------------------------
(* A writer of x; each of N readers reads a cell of its own, then x, and keeps neither. *)
EXTENDS Naturals

CONSTANT N

VARIABLES x, pc

vars == <<x, pc>>

Readers == 1 .. N

Init == x = 0 /\ pc = [i \in Readers |-> "own"]

Own(i) == pc[i] = "own" /\ pc' = [pc EXCEPT ![i] = "x"] /\ UNCHANGED x

ReadX(i) == pc[i] = "x" /\ pc' = [pc EXCEPT ![i] = "done"] /\ UNCHANGED x

Write == x = 0 /\ x' = 42 /\ UNCHANGED pc

Ended == x = 42 /\ (\A i \in Readers : pc[i] = "done") /\ UNCHANGED vars

Next == Write \/ Ended \/ \E i \in Readers : Own(i) \/ ReadX(i)

Spec == Init /\ [][Next]_vars
=============================================================================
