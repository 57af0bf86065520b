------------------------------ MODULE counter ------------------------------
(* N threads, each t = x; x = t + 1. *)
EXTENDS Naturals

CONSTANT N

VARIABLES x, t, pc

vars == <<x, t, pc>>

Threads == 1 .. N

Init == /\ x = 0
        /\ t = [i \in Threads |-> 0]
        /\ pc = [i \in Threads |-> "read"]

Read(i) == /\ pc[i] = "read"
           /\ t' = [t EXCEPT ![i] = x]
           /\ pc' = [pc EXCEPT ![i] = "write"]
           /\ UNCHANGED x

Write(i) == /\ pc[i] = "write"
            /\ x' = t[i] + 1
            /\ t' = [t EXCEPT ![i] = 0]
            /\ pc' = [pc EXCEPT ![i] = "done"]

Ended == (\A i \in Threads : pc[i] = "done") /\ UNCHANGED vars

Next == Ended \/ \E i \in Threads : Read(i) \/ Write(i)

Spec == Init /\ [][Next]_vars
=============================================================================
