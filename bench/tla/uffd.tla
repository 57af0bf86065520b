-------------------------------- MODULE uffd --------------------------------
(* A page under userfaultfd: N faulters, one monitor that serves for ever; WAKE_ON_EEXIST = 1 *)
(* for a monitor that wakes after a copy that found the page already there.                   *)
EXTENDS Naturals

CONSTANTS N, WAKE_ON_EEXIST

VARIABLES pte, ptl, pending, taken, sleeping, pc, monitor, copied

page == <<pte, ptl>>
queue == <<pending, taken, sleeping>>
server == <<monitor, copied>>
vars == <<page, queue, pc, server>>

Faulters == 0 .. N - 1

Init == /\ pte = "none"
        /\ ptl = FALSE
        /\ pending = {}
        /\ taken = {}
        /\ sleeping = {}
        /\ pc = [i \in Faulters |-> "read"]
        /\ monitor = "message"
        /\ copied = FALSE

Goes(i, from, to) == pc[i] = from /\ pc' = [pc EXCEPT ![i] = to] /\ UNCHANGED server

Read(i) == /\ Goes(i, "read", CASE pte = "rw" -> "done" [] pte = "ro" -> "lock" [] OTHER -> "queue")
           /\ UNCHANGED <<page, queue>>

WpPageCopy(i) ==
    /\ UNCHANGED queue
    /\ \/ ~ptl /\ Goes(i, "lock", "look") /\ ptl' = TRUE /\ UNCHANGED pte
       \/ Goes(i, "look", IF pte = "ro" THEN "clear" ELSE "give up") /\ UNCHANGED page
       \/ Goes(i, "clear", "write") /\ pte' = "none" /\ UNCHANGED ptl
       \/ Goes(i, "write", "unlock") /\ pte' = "rw" /\ UNCHANGED ptl
       \/ Goes(i, "unlock", "read") /\ ptl' = FALSE /\ UNCHANGED pte
       \/ Goes(i, "give up", "read") /\ ptl' = FALSE /\ UNCHANGED pte

HandleUserfault(i) ==
    /\ UNCHANGED page
    /\ \/ /\ Goes(i, "queue", "must_wait")
          /\ pending' = pending \cup {i}
          /\ sleeping' = sleeping \cup {i}
          /\ UNCHANGED taken
       \/ Goes(i, "must_wait", IF pte = "none" THEN "sleep" ELSE "run") /\ UNCHANGED queue
       \/ i \notin sleeping /\ Goes(i, "sleep", "run") /\ UNCHANGED queue
       \/ Goes(i, "run", "leave") /\ sleeping' = sleeping \ {i} /\ UNCHANGED <<pending, taken>>
       \/ /\ Goes(i, "leave", "read")
          /\ pending' = pending \ {i}
          /\ taken' = taken \ {i}
          /\ UNCHANGED sleeping

Serves(from, to) == monitor = from /\ monitor' = to /\ UNCHANGED pc

Message == /\ pending # {}
           /\ Serves("message", "lock")
           /\ LET first == CHOOSE i \in pending : \A j \in pending : i <= j
              IN  pending' = pending \ {first} /\ taken' = taken \cup {first}
           /\ UNCHANGED <<page, sleeping, copied>>

LockPte == ~ptl /\ Serves("lock", "copy") /\ ptl' = TRUE /\ UNCHANGED <<pte, queue, copied>>

Copy == /\ Serves("copy", "unlock")
        /\ copied' = (pte = "none")
        /\ pte' = IF pte = "none" THEN "ro" ELSE pte
        /\ UNCHANGED <<ptl, queue>>

UnlockPte == /\ Serves("unlock", IF copied \/ WAKE_ON_EEXIST = 1 THEN "active" ELSE "message")
             /\ ptl' = FALSE
             /\ UNCHANGED <<pte, queue, copied>>

Nobody == pending \cup taken = {}

Active == /\ Serves("active", IF Nobody THEN "message" ELSE "wake")
          /\ copied' = (copied /\ ~Nobody)
          /\ UNCHANGED <<page, queue>>

Wake == /\ Serves("wake", "message")
        /\ sleeping' = sleeping \ (pending \cup taken)
        /\ pending' = {}
        /\ taken' = {}
        /\ copied' = FALSE
        /\ UNCHANGED page

Ended == /\ Nobody
         /\ monitor = "message"
         /\ \A i \in Faulters : pc[i] = "done"
         /\ UNCHANGED vars

Next == \/ Message \/ LockPte \/ Copy \/ UnlockPte \/ Active \/ Wake \/ Ended
        \/ \E i \in Faulters : Read(i) \/ WpPageCopy(i) \/ HandleUserfault(i)

Spec == Init /\ [][Next]_vars
=============================================================================
