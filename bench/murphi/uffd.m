-- A page under userfaultfd: N faulters, one monitor that serves for ever, WAKE_ON_EEXIST = 1 for
-- a monitor that wakes after a copy that found the page already there, 0 for the lost wakeup.
-- The constants come before this file.

type
  faulter_t: 0 .. N - 1;
  pte_t: enum { NONE, RO, RW };
  pc_t: enum { READ, LOCK, LOOK, CLEAR_PTE, WRITE, UNLOCK, GIVE_UP,
              QUEUE, MUST_WAIT, SLEEP, RUN, LEAVE, DONE };
  monitor_t: enum { MESSAGE, LOCK_PTE, COPY, UNLOCK_PTE, ACTIVE, WAKE };

var
  pte: pte_t;
  ptl: boolean;
  pending: array [faulter_t] of boolean;
  taken: array [faulter_t] of boolean;
  sleeping: array [faulter_t] of boolean;
  pc: array [faulter_t] of pc_t;
  monitor: monitor_t;
  copied: boolean;

function nobody(): boolean; begin
  return forall i: faulter_t do !pending[i] & !taken[i] end;
end;

startstate begin
  pte := NONE;
  ptl := false;
  copied := false;
  monitor := MESSAGE;
  for i: faulter_t do
    pending[i] := false;
    taken[i] := false;
    sleeping[i] := false;
    pc[i] := READ;
  endfor;
end;

ruleset i: faulter_t do
  rule "read" pc[i] = READ ==> begin
    pc[i] := pte = RW ? DONE : (pte = RO ? LOCK : QUEUE);
  end;

  -- wp_page_copy

  rule "lock" pc[i] = LOCK & !ptl ==> begin
    ptl := true;
    pc[i] := LOOK;
  end;

  rule "look" pc[i] = LOOK ==> begin
    pc[i] := pte = RO ? CLEAR_PTE : GIVE_UP;
  end;

  rule "clear" pc[i] = CLEAR_PTE ==> begin
    pte := NONE;
    pc[i] := WRITE;
  end;

  rule "write" pc[i] = WRITE ==> begin
    pte := RW;
    pc[i] := UNLOCK;
  end;

  rule "unlock" pc[i] = UNLOCK | pc[i] = GIVE_UP ==> begin
    ptl := false;
    pc[i] := READ;
  end;

  -- handle_userfault

  rule "queue" pc[i] = QUEUE ==> begin
    pending[i] := true;
    sleeping[i] := true;
    pc[i] := MUST_WAIT;
  end;

  rule "must_wait" pc[i] = MUST_WAIT ==> begin
    pc[i] := pte = NONE ? SLEEP : RUN;
  end;

  rule "schedule" pc[i] = SLEEP & !sleeping[i] ==> begin
    pc[i] := RUN;
  end;

  rule "run" pc[i] = RUN ==> begin
    sleeping[i] := false;
    pc[i] := LEAVE;
  end;

  rule "leave" pc[i] = LEAVE ==> begin
    pending[i] := false;
    taken[i] := false;
    pc[i] := READ;
  end;

  -- the monitor reads the message of the first that waits

  rule "message" monitor = MESSAGE & pending[i] &
                 forall j: faulter_t do j < i -> !pending[j] end ==> begin
    pending[i] := false;
    taken[i] := true;
    monitor := LOCK_PTE;
  end;
end;

rule "lock pte" monitor = LOCK_PTE & !ptl ==> begin
  ptl := true;
  monitor := COPY;
end;

rule "copy" monitor = COPY ==> begin
  copied := pte = NONE;
  if copied then
    pte := RO;
  endif;
  monitor := UNLOCK_PTE;
end;

rule "unlock pte" monitor = UNLOCK_PTE ==> begin
  ptl := false;
  monitor := copied | WAKE_ON_EEXIST = 1 ? ACTIVE : MESSAGE;
end;

rule "active" monitor = ACTIVE ==> begin
  if nobody() then
    copied := false;
    monitor := MESSAGE;
  else
    monitor := WAKE;
  endif;
end;

rule "wake" monitor = WAKE ==> begin
  for i: faulter_t do
    if pending[i] | taken[i] then
      sleeping[i] := false;
    endif;
    pending[i] := false;
    taken[i] := false;
  endfor;
  copied := false;
  monitor := MESSAGE;
end;

rule "ended" nobody() & monitor = MESSAGE & forall i: faulter_t do pc[i] = DONE end ==> begin end;
