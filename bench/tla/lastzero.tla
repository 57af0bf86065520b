------------------------------ MODULE lastzero ------------------------------
(* Writer j sets a[j] = a[j-1] + 1, the reader looks for the last zero from a[N] down. *)
EXTENDS Naturals

CONSTANT N

VARIABLES a, t, pc, i, found

vars == <<a, t, pc, i, found>>

Init == /\ a = [j \in 0 .. N |-> 0]
        /\ t = [j \in 1 .. N |-> 0]
        /\ pc = [j \in 1 .. N |-> "read"]
        /\ i = N
        /\ found = FALSE

Read(j) == /\ pc[j] = "read"
           /\ t' = [t EXCEPT ![j] = a[j - 1]]
           /\ pc' = [pc EXCEPT ![j] = "write"]
           /\ UNCHANGED <<a, i, found>>

Write(j) == /\ pc[j] = "write"
            /\ a' = [a EXCEPT ![j] = t[j] + 1]
            /\ t' = [t EXCEPT ![j] = 0]
            /\ pc' = [pc EXCEPT ![j] = "done"]
            /\ UNCHANGED <<i, found>>

Look == /\ ~found
        /\ IF a[i] = 0 THEN found' = TRUE /\ UNCHANGED i ELSE i' = i - 1 /\ UNCHANGED found
        /\ UNCHANGED <<a, t, pc>>

Ended == found /\ (\A j \in 1 .. N : pc[j] = "done") /\ UNCHANGED vars

Next == Look \/ Ended \/ \E j \in 1 .. N : Read(j) \/ Write(j)

Spec == Init /\ [][Next]_vars
=============================================================================
