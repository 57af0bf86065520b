------------------------------- MODULE lockn -------------------------------
(* N threads lock and unlock one mutex. *)
EXTENDS Naturals

CONSTANT N

VARIABLES held, pc

vars == <<held, pc>>

Threads == 1 .. N

Init == held = FALSE /\ pc = [i \in Threads |-> "lock"]

Lock(i) == pc[i] = "lock" /\ ~held /\ held' = TRUE /\ pc' = [pc EXCEPT ![i] = "unlock"]

Unlock(i) == pc[i] = "unlock" /\ held' = FALSE /\ pc' = [pc EXCEPT ![i] = "done"]

Ended == (\A i \in Threads : pc[i] = "done") /\ UNCHANGED vars

Next == Ended \/ \E i \in Threads : Lock(i) \/ Unlock(i)

Spec == Init /\ [][Next]_vars
=============================================================================
