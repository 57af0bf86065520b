# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Optimal dynamic partial-order reduction over behaviour tables.

Two steps *depend* on each other if they belong to one task, or touch the same cell and one of them may
change it. Executions that differ only in the order of independent steps form one Mazurkiewicz trace;
this engine runs one execution of each trace, and none that turns out to be redundant half way
(Abdulla, Aronis, Jonsson, Sagonas: Source Sets, J. ACM 64(4), 2017, algorithm 2: wakeup trees).

What is not as in the paper:

* **No prefix is executed again in the sense that costs.** The program is a set of tables; going back is
  an undo log, going forward a load per step.
* **Blocking steps.** A step is a partial function on the state. Of a step that took place after others on
  the same cell, and of a step that is still blocked at the end of an execution, the reversal is tried at the
  last access of its cell before which it is possible, which need not be the last access: a lock
  operation overtakes the whole critical section before it. So deadlocks are ends of executions as any.
* **Choices.** ``choose`` depends on nothing; its options are explored one after the other below one
  another's sleep set. Wakeup sequences carry the option chosen.
* **Atomic blocks** are one step that touches several cells. Which cells may depend on the state, so a
  reversed sequence is run once, at the place where it is inserted, to see what it touches there.
* Steps that change a cell read by an invariant all depend on each other. Which cells it reads
  shows only as it is asked: where a new one shows, the search ends with RESTART, to begin again.
* A step that breaks a property ends its task (or, for an invariant, nothing) and the execution goes on,
  so that the ends of executions stay what the theory needs. A finding counts if no other one happened
  before it.

It needs finite executions: an execution longer than ``max_depth`` steps ends the search with
LIMIT_DEPTH, a step that touches more than WIDEST cells with LIMIT_WIDTH. Programs with endless tasks
belong to the other engine.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from refault.explore.engines._behaviour cimport (
    BLOCKED, NODE_CHOOSE, NODE_FAIL, Entry, Node, known_entry,
)
from refault.explore.engines._core cimport (
    END_COMPLETE, END_DEPTH, END_MEMORY, END_RESTART, END_STATES, END_TIME, END_WIDTH, STEP_BLOCKED,
    STEP_FAIL, STEP_MISSING, STEP_OK, Core, monotonic, refault_resident,
)

cdef double OFTEN = 0.05      # seconds between two looks at the bounds, at most

cdef enum:
    NONE = -1
    WIDEST = 64       # cells that one step may touch
    MOST = 1 << 30    # entries of an array, of which the numbers fit


cdef struct Access:
    int32_t cell
    int32_t write
    int32_t event     # the step that made it
    int32_t value     # of the cell before the step
    int32_t before    # the access of the same cell before this one


cdef struct Event:
    int32_t task
    int32_t choice
    int32_t first     # its accesses: from here
    int32_t count
    int32_t serial    # it is the n-th step of its task, from 1
    int32_t previous  # the step of the same task before it
    int64_t undo      # length of the undo log before it
    int32_t branch    # wakeup tree node that it follows
    int32_t bad       # it broke a property
    int32_t node      # where its task stood
    int32_t single    # it is one operation, and what it touches never differs
    uint32_t settled  # its races (in the order of races_of) that need not be looked at again
    bint quiet        # none of its races need be


cdef struct Branch:
    int32_t task      # wakeup tree: a step
    int32_t choice
    int32_t child     # first of the steps that may follow
    int32_t sibling
    int32_t first     # its accesses, in the pool of the tree
    int32_t count
    int32_t room      # allocated there


cdef struct Step:
    int32_t task
    int32_t choice
    int32_t first     # accesses in the scratch pool
    int32_t count
    int32_t node
    int32_t single


cdef struct Slice:
    int32_t first
    int32_t count


cdef bint conflict(Access *a, int na, Access *b, int nb) noexcept nogil:
    """Whether two steps touch one cell, and one of them may change it."""
    cdef int i, j
    for i in range(na):
        for j in range(nb):
            if a[i].cell == b[j].cell and (a[i].write or b[j].write):
                return True
    return False


cdef inline int record(Core core, int32_t slot, int32_t old) except -1 nogil:
    """``Core.log``, without a call where there is room."""
    if core.nundo == core.undo_capacity:
        return core.log(slot, old)
    core.undo[core.nundo].slot = slot
    core.undo[core.nundo].old = old
    core.nundo += 1
    return 0


@cython.final
cdef class Dpor:
    """One search; ``traces`` counts complete executions, ``redundant`` those found asleep."""

    cdef Core core
    cdef int ntask, ncell, max_depth
    cdef readonly uint64_t traces, redundant, steps, races
    cdef readonly int32_t deepest
    cdef Event *events
    cdef int32_t nevent, event_capacity, nbad
    cdef bint wide                  # some step touches more cells than WIDEST
    cdef int32_t *clocks
    cdef uint64_t *asleep           # per depth: the tasks that need not be run from there
    cdef Slice *dreams              # per depth and task asleep: what it touches, in ``dreamt``
    cdef Access *dreamt             # as long as it sleeps nobody changes these, so it is the same
    cdef int32_t ndreamt, dreamt_capacity
    cdef int32_t *awoken            # per depth: length of ``dreamt`` when it was come to
    cdef Access *accesses
    cdef int32_t naccess, access_capacity
    cdef int32_t *heads             # per cell: its last access
    cdef int32_t *latest            # per task: its last step
    cdef Branch *branches
    cdef int32_t nbranch, branch_capacity, free_branch
    cdef Access *pool               # accesses of wakeup tree nodes
    cdef int32_t npool, pool_capacity
    cdef int32_t *tree              # per depth: the wakeup tree node of the state
    cdef Step *sequence             # a reversed execution being built
    cdef int32_t nsequence
    cdef Access *scratch
    cdef int32_t nscratch, scratch_capacity
    cdef int32_t *joined
    cdef readonly dict counts, paths
    cdef object tick
    cdef double deadline, looked
    cdef int stop                   # why the search ends in the midst of an execution, or 0
    cdef uint64_t max_traces, max_memory

    def __cinit__(self, Core core, int max_depth):
        cdef int i
        if core.ntask > 64:
            raise ValueError("at most 64 tasks")
        self.core = core
        self.ntask = core.ntask
        self.ncell = core.ncell
        self.max_depth = max_depth
        self.event_capacity = max_depth + 2
        self.events = <Event *> malloc(self.event_capacity * sizeof(Event))
        self.clocks = <int32_t *> malloc(self.event_capacity * (self.ntask + 1) * sizeof(int32_t))
        self.asleep = <uint64_t *> calloc(self.event_capacity, sizeof(uint64_t))
        self.dreams = <Slice *> malloc(self.event_capacity * (self.ntask + 1) * sizeof(Slice))
        self.awoken = <int32_t *> calloc(self.event_capacity, sizeof(int32_t))
        self.tree = <int32_t *> calloc(self.event_capacity, sizeof(int32_t))
        self.sequence = <Step *> malloc(self.event_capacity * sizeof(Step))
        self.heads = <int32_t *> malloc((self.ncell + 2) * sizeof(int32_t))
        self.latest = <int32_t *> malloc((self.ntask + 1) * sizeof(int32_t))
        self.joined = <int32_t *> malloc((self.ntask + 1) * sizeof(int32_t))
        if not (self.events and self.clocks and self.asleep and self.dreams and self.awoken
                and self.tree and self.sequence and self.heads and self.latest and self.joined):
            raise MemoryError
        for i in range(self.ncell + 2):
            self.heads[i] = NONE
        for i in range(self.ntask):
            self.latest[i] = NONE
        self.free_branch = NONE
        self.counts = {}
        self.paths = {}

    def __dealloc__(self):
        free(self.events)
        free(self.clocks)
        free(self.asleep)
        free(self.dreams)
        free(self.dreamt)
        free(self.awoken)
        free(self.tree)
        free(self.sequence)
        free(self.heads)
        free(self.latest)
        free(self.joined)
        free(self.accesses)
        free(self.branches)
        free(self.pool)
        free(self.scratch)

    # ---- what a step touches -------------------------------------------------------------------

    cdef int touch(self, int cell, bint write, int32_t value, int32_t since) except -1 nogil:
        """Add an access to the scratch pool; one per cell and step."""
        cdef int32_t i
        for i in range(since, self.nscratch):
            if self.scratch[i].cell == cell:
                self.scratch[i].write |= write
                return 0
        return self.put(cell, write, value)

    cdef inline int put(self, int cell, bint write, int32_t value) except -1 nogil:
        """Add an access to the scratch pool, of a cell that the step has not touched before."""
        cdef Access *a
        if self.nscratch == self.scratch_capacity:
            self.more_scratch()
        a = &self.scratch[self.nscratch]
        a.cell = cell
        a.write = write
        a.value = value
        self.nscratch += 1
        return 0

    cdef int more_scratch(self) except -1 nogil:
        cdef Access *a
        a = <Access *> realloc(self.scratch, max(256, 2 * self.scratch_capacity) * sizeof(Access))
        if a == NULL:
            with gil:
                raise MemoryError
        self.scratch = a
        self.scratch_capacity = max(256, 2 * self.scratch_capacity)
        return 0

    cdef inline Entry *alone(self, Node *n, int32_t *value) noexcept nogil:
        """The entry of a step that is one operation and known; ``NULL`` of any other."""
        cdef Entry *e
        if n.cell < 0 or (self.core.watched[n.cell] and not n.reads):
            return NULL
        value[0] = self.core.val[n.cell]
        e = known_entry(n, value[0])
        if e != NULL and e.newv != BLOCKED and e.next < 0:
            return NULL
        return e

    cdef int attempt(self, int t, int choice, Step *into) except -1 nogil:
        """Take the next step of task ``t`` in the core; its accesses go to the scratch pool.

        A blocked step is undone; its accesses up to the cell that blocks it are kept.
        """
        cdef int64_t mark = self.core.nundo
        cdef int32_t here, v, since
        cdef Node *n
        cdef Entry *e
        cdef int code = STEP_OK
        cdef bint single
        n = &self.core.nodes[self.core.loc[t]]
        e = self.alone(n, &v)
        if e != NULL:
            self.describe(t, choice, n, v, into)
            if e.newv == BLOCKED:
                return STEP_BLOCKED
            record(self.core, ~t, into.node)
            if e.newv != v:
                record(self.core, n.cell, v)
                self.core.val[n.cell] = e.newv
            self.core.loc[t] = e.next
            return self.outcome(e.next)
        into.node = self.core.loc[t]
        while True:
            single = True
            since = self.nscratch
            here = self.core.loc[t]
            self.core.log(~t, here)
            while True:
                n = &self.core.nodes[here]
                if n.cell >= 0:
                    v = self.core.val[n.cell]
                    self.touch(n.cell, not n.reads, v, since)
                    if self.core.watched[n.cell] and not n.reads:
                        self.touch(self.ncell, True, 0, since)
                        single = False
                elif n.cell == NODE_CHOOSE:
                    v = choice
                else:
                    code = STEP_BLOCKED
                    break
                e = known_entry(n, v)
                if e == NULL:
                    code = STEP_MISSING
                    break
                if e.newv == BLOCKED:
                    code = STEP_BLOCKED
                    break
                if n.cell >= 0 and e.newv != v:
                    self.core.log(n.cell, v)
                    self.core.val[n.cell] = e.newv
                if e.next >= 0:
                    here = e.next
                    code = STEP_OK
                    break
                here = ~e.next
                single = False
            if code == STEP_MISSING:
                self.core.miss_node = here
                self.core.miss_value = v
                self.core.undo_to(mark)
                self.nscratch = since
                self.core.fill()
                continue
            break
        into.task = t
        into.choice = choice
        into.single = single
        into.first = since
        into.count = self.nscratch - since
        self.wide = self.wide or into.count > WIDEST
        if code == STEP_BLOCKED:
            self.core.undo_to(mark)
            return STEP_BLOCKED
        self.core.loc[t] = here
        return self.outcome(here)

    cdef inline int outcome(self, int32_t node) noexcept nogil:
        """What a step that led to ``node`` was."""
        if self.core.nodes[node].cell == NODE_FAIL:
            self.core.fail = self.core.nodes[node].arg
            return STEP_FAIL
        return STEP_OK

    cdef inline int describe(self, int t, int choice, Node *n, int32_t value,
                             Step *into) except -1 nogil:
        """Say what a step that is one operation on a cell with ``value`` touches."""
        into.task = t
        into.choice = choice
        into.node = self.core.loc[t]
        into.single = True
        into.first = self.nscratch
        into.count = 1
        return self.put(n.cell, not n.reads, value)

    cdef int look(self, int t, Step *into) except -1 nogil:
        """What the next step of task ``t`` would touch here; nothing is changed."""
        cdef Node *n = &self.core.nodes[self.core.loc[t]]
        cdef int64_t mark
        cdef int32_t v
        cdef Entry *e = self.alone(n, &v)
        cdef int code
        if e != NULL:
            self.describe(t, 0, n, v, into)
            return STEP_BLOCKED if e.newv == BLOCKED else STEP_OK
        mark = self.core.nundo
        code = self.attempt(t, 0, into)
        self.core.undo_to(mark)
        return code

    # ---- going forward and back ----------------------------------------------------------------

    cdef bint before(self, int32_t e, int32_t f) noexcept nogil:
        """Whether step ``e`` happens before, or is, step ``f``."""
        cdef Event *x = &self.events[e]
        return self.clocks[f * self.ntask + x.task] >= x.serial

    cdef int append(self, Step *s, int64_t undo, int32_t branch) except -1 nogil:
        """Append the step just taken (its accesses are in the scratch pool) to the execution."""
        cdef Event *e = &self.events[self.nevent]
        cdef Access *a
        cdef int32_t i, k, c
        cdef int64_t room
        cdef int32_t *clock = self.clocks + self.nevent * self.ntask
        if self.naccess + s.count > self.access_capacity:
            room = 2 * <int64_t> self.access_capacity + s.count + 1024
            a = <Access *> realloc(self.accesses, room * sizeof(Access)) if room < MOST else NULL
            if a == NULL:
                with gil:
                    raise MemoryError
            self.accesses = a
            self.access_capacity = room
        e.task = s.task
        e.choice = s.choice
        e.undo = undo
        e.bad = 0
        e.node = s.node
        e.single = s.single
        e.settled = 0
        e.quiet = False
        e.branch = branch
        e.first = self.naccess
        e.count = s.count
        e.previous = self.latest[s.task]
        if e.previous == NONE:
            memset(clock, 0, self.ntask * sizeof(int32_t))
            e.serial = 1
        else:
            memcpy(clock, self.clocks + e.previous * self.ntask, self.ntask * sizeof(int32_t))
            e.serial = self.events[e.previous].serial + 1
        for i in range(s.count):
            a = &self.accesses[self.naccess + i]
            c = self.scratch[s.first + i].cell
            a.cell = c
            a.write = self.scratch[s.first + i].write
            a.value = self.scratch[s.first + i].value
            a.event = self.nevent
            a.before = self.heads[c]
            k = a.before
            while k != NONE:
                if a.write or self.accesses[k].write:
                    self.join(clock, self.accesses[k].event)
                    if self.accesses[k].write:
                        break
                k = self.accesses[k].before
            self.heads[c] = self.naccess + i
        clock[s.task] = e.serial
        self.naccess += s.count
        self.latest[s.task] = self.nevent
        self.nevent += 1
        if self.nevent > self.deepest:
            self.deepest = self.nevent
        return 0

    cdef void join(self, int32_t *clock, int32_t event) noexcept nogil:
        cdef int t
        cdef int32_t *other = self.clocks + event * self.ntask
        for t in range(self.ntask):
            if other[t] > clock[t]:
                clock[t] = other[t]

    cdef void retract(self) noexcept nogil:
        """Take the last step of the execution back."""
        cdef Event *e
        cdef int32_t i
        self.nevent -= 1
        e = &self.events[self.nevent]
        self.nbad -= e.bad
        for i in range(e.first + e.count - 1, e.first - 1, -1):
            self.heads[self.accesses[i].cell] = self.accesses[i].before
        self.naccess = e.first
        self.latest[e.task] = e.previous
        self.core.undo_to(e.undo)

    # ---- wakeup trees --------------------------------------------------------------------------

    cdef int32_t new_branch(self, Step *s) except -2 nogil:
        cdef int32_t b
        cdef int64_t room
        cdef Branch *p
        if self.free_branch != NONE:
            b = self.free_branch
            self.free_branch = self.branches[b].sibling
        else:
            if self.nbranch == self.branch_capacity:
                room = max(1024, 2 * <int64_t> self.branch_capacity)
                p = <Branch *> realloc(self.branches, room * sizeof(Branch)) if room < MOST else NULL
                if p == NULL:
                    with gil:
                        raise MemoryError
                self.branches = p
                self.branch_capacity = room
            b = self.nbranch
            self.nbranch += 1
            self.branches[b].room = 0
        p = &self.branches[b]
        p.child = NONE
        p.sibling = NONE
        p.task = NONE if s == NULL else s.task
        p.choice = 0 if s == NULL else s.choice
        p.count = 0
        if s != NULL:
            self.keep(p, s)
        return b

    cdef int keep(self, Branch *p, Step *s) except -1 nogil:
        """Copy the accesses of a step into the pool of the tree; a branch used again has its room."""
        cdef Access *a
        cdef int64_t room
        if s.count > p.room:
            if self.npool + s.count > self.pool_capacity:
                room = 2 * <int64_t> self.pool_capacity + s.count + 1024
                a = <Access *> realloc(self.pool, room * sizeof(Access)) if room < MOST else NULL
                if a == NULL:
                    with gil:
                        raise MemoryError
                self.pool = a
                self.pool_capacity = room
            p.first = self.npool
            p.room = s.count
            self.npool += s.count
        p.count = s.count
        memcpy(self.pool + p.first, self.scratch + s.first, s.count * sizeof(Access))
        return 0

    cdef void drop(self, int32_t b) noexcept nogil:
        """Free a branch that has no children left."""
        self.branches[b].sibling = self.free_branch
        self.free_branch = b

    cdef int place(self, int task, int choice, Access *acc, int n, int32_t start) noexcept nogil:
        """How a step relates to the sequence from ``start`` on (steps with task NONE are gone).

        Its position if it is there and depends on nothing before it; -1 if it is not there and
        independent of all; -2 if it comes after, or conflicts with, something.
        """
        cdef int32_t i
        cdef Step *s
        for i in range(start, self.nsequence):
            s = &self.sequence[i]
            if s.task == NONE:
                continue
            if s.task == task:
                return i if s.choice == choice or n else -3
            if conflict(acc, n, self.scratch + s.first, s.count):
                return -2
        return -1

    cdef int insert(self, int32_t root, int32_t solid) except -1 nogil:
        """Insert the sequence into the wakeup tree at ``root``, whose first child is being explored.

        1 if the tree now has, right below ``root``, one of the first ``solid`` steps of the sequence.
        """
        cdef int32_t at = root, child, where, last
        cdef int32_t i, left = self.nsequence
        cdef Branch *b
        cdef bint first = True
        cdef int answer = 1
        while True:
            child = self.branches[at].child
            if child == NONE and not first:
                return answer
            last = NONE
            while child != NONE:
                b = &self.branches[child]
                where = self.place(b.task, b.choice, self.pool + b.first, b.count, 0)
                if where != -2:
                    break
                last = child
                child = b.sibling
            if child == NONE:
                break
            if first:
                answer = 0 <= where < solid
            if where == -3 or (first and child == self.branches[root].child):
                return answer
            if where >= 0:
                self.sequence[where].task = NONE
                left -= 1
                if left == 0:
                    return answer
            at = child
            first = False
        for i in range(self.nsequence):
            if self.sequence[i].task == NONE:
                continue
            child = self.new_branch(&self.sequence[i])
            if last == NONE:
                self.branches[at].child = child
            else:
                self.branches[last].sibling = child
                last = NONE
            at = child
        return answer

    # ---- races ---------------------------------------------------------------------------------

    cdef int reverse(self, int32_t e, int32_t j, Access *acc, Step *s, bint *solid) except -1 nogil:
        """Try the order in which step ``s``, now the j-th, comes before step ``e``; 0 if it is blocked.

        The reversed execution is: what stands between ``e`` and ``s`` and does not depend on ``e``,
        then ``s``, then the rest that does not depend on ``e``. It is built from what is known of
        the steps where that is enough, else by running it from the state before ``e``. ``solid`` says
        that however the execution goes on after ``s``, this race is settled.
        """
        cdef int32_t i, n
        cdef Step *into
        cdef Entry *entry
        cdef bint known = s.single and acc.cell < self.ncell
        self.nscratch = 0
        self.nsequence = 0
        solid[0] = False
        if known:
            entry = known_entry(&self.core.nodes[s.node], acc.value)
            if entry != NULL and entry.newv == BLOCKED:
                return 0
            known = entry != NULL
        for i in range(e + 1, j):
            if not self.before(e, i):
                self.recall(i)
        n = self.nsequence
        if known:
            into = &self.sequence[n]
            into[0] = s[0]
            into.first = self.nscratch
            into.count = 1
            self.touch(acc.cell, not self.core.nodes[s.node].reads, 0, self.nscratch)
        elif not self.run_reversed(e, s):
            return 0
        self.nsequence = n + 1
        for i in range(j + 1, self.nevent):
            if not self.before(e, i):
                self.recall(i)
        self.races += 1
        if not self.covered(e, n + 1, solid):
            solid[0] = self.insert(self.tree[e], n + 1)
        return 1

    cdef int recall(self, int32_t i) except -1 nogil:
        """Append step ``i`` of the execution to the sequence."""
        cdef Event *x = &self.events[i]
        cdef Step *into = &self.sequence[self.nsequence]
        into.task = x.task
        into.choice = x.choice
        into.node = x.node
        into.single = x.single
        into.first = self.nscratch
        into.count = x.count
        self.nsequence += 1
        return self.borrow(x)

    cdef int run_reversed(self, int32_t e, Step *s) except -1 nogil:
        """Run the sequence so far and then step ``s`` from the state before ``e``; 0 if it blocks."""
        cdef int32_t i
        cdef int code
        cdef Step ignored
        cdef int32_t keep = self.nscratch
        self.core.undo_to(self.events[e].undo)
        for i in range(self.nsequence):
            self.attempt(self.sequence[i].task, self.sequence[i].choice, &ignored)
            self.nscratch = keep
        code = self.attempt(s.task, s.choice, &self.sequence[self.nsequence])
        self.forward(e)
        return code != STEP_BLOCKED

    cdef bint covered(self, int32_t e, int32_t n, bint *solid) except -1 nogil:
        """Whether a task asleep before step ``e`` could begin the sequence."""
        cdef uint64_t sleepers = self.asleep[e]
        cdef int t
        cdef int32_t where
        cdef Slice *dream
        for t in range(self.ntask):
            if sleepers >> t & 1:
                dream = &self.dreams[e * self.ntask + t]
                where = self.place(t, 0, self.dreamt + dream.first, dream.count, 0)
                if where != -2:
                    solid[0] = 0 <= where < n
                    return True
        return False

    cdef int fall_asleep(self, Event *e) except -1 nogil:
        """The task of step ``e``, which has just been taken back, sleeps from here on."""
        cdef int32_t d = self.nevent, size = self.awoken[d + 1] + e.count
        cdef Slice *dream = &self.dreams[d * self.ntask + e.task]
        cdef Access *a
        if size > self.dreamt_capacity:
            self.dreamt_capacity = 2 * size + 256
            a = <Access *> realloc(self.dreamt, self.dreamt_capacity * sizeof(Access))
            if a == NULL:
                with gil:
                    raise MemoryError
            self.dreamt = a
        dream.first = self.awoken[d + 1]
        dream.count = e.count
        memcpy(self.dreamt + dream.first, self.accesses + e.first, e.count * sizeof(Access))
        self.ndreamt = size
        self.asleep[d] |= <uint64_t> 1 << e.task
        return 0

    cdef int forward(self, int32_t e) except -1 nogil:
        """Take the core from the state before step ``e`` to the end of the execution again."""
        cdef int32_t i, keep = self.nscratch
        cdef Step s
        self.core.undo_to(self.events[e].undo)
        for i in range(e, self.nevent):
            self.attempt(self.events[i].task, self.events[i].choice, &s)
            self.nscratch = keep
        return 0

    cdef bint immediate(self, int32_t e, int32_t *others, int n, int32_t previous) noexcept nogil:
        """Whether no other predecessor of the step stands between it and ``e``."""
        cdef int i
        if previous != NONE and self.before(e, previous):
            return False
        for i in range(n):
            if others[i] != e and self.before(e, others[i]):
                return False
        return True

    cdef int races_of(self, int32_t j, Step *s, int32_t previous) except -1 nogil:
        """Reverse the races of step ``j`` (or of the blocked step ``s``, with ``j`` the end).

        1 if all of them are settled, which is then so for as long as the step stays where it is.
        """
        cdef int32_t others[256]
        cdef int n = 0, i, race = -1
        cdef int32_t k, event
        cdef bint solid, quiet = True
        cdef Access own[WIDEST]
        cdef int nown = min(s.count, WIDEST)
        memcpy(own, self.scratch + s.first, nown * sizeof(Access))
        for i in range(nown):
            k = self.start(own[i].cell, j)
            while k != NONE:
                if own[i].write or self.accesses[k].write:
                    if n < 256:
                        others[n] = self.accesses[k].event
                        n += 1
                    if self.accesses[k].write:
                        break
                k = self.accesses[k].before
        for i in range(nown):
            k = self.start(own[i].cell, j)
            while k != NONE:
                if own[i].write or self.accesses[k].write:
                    event = self.accesses[k].event
                    if self.events[event].task != s.task and \
                            self.immediate(event, others, n, previous):
                        race += 1
                        if j == self.nevent or race >= 32 or \
                                not (self.events[j].settled >> race & 1):
                            solid = self.back(k, own, nown, j, s, previous)
                            if solid and race < 32 and j < self.nevent:
                                self.events[j].settled |= <uint32_t> 1 << race
                            else:
                                quiet = False
                    if self.accesses[k].write:
                        break
                k = self.accesses[k].before
        return quiet

    cdef bint back(self, int32_t k, Access *own, int nown, int32_t j, Step *s,
                   int32_t previous) except -1 nogil:
        """Reverse the race with access ``k``; where the step is blocked there, go further back.

        That is to the step before it that conflicts on *any* of the cells of ``s``: an atomic step may
        be blocked by its last cell where its first one is free. True if the race is settled however
        the execution goes on.
        """
        cdef int32_t e
        cdef bint solid
        while k != NONE:
            e = self.accesses[k].event
            if self.events[e].task == s.task or (previous != NONE and self.before(e, previous)):
                if nown == 1:
                    return True
            elif self.reverse(e, j, &self.accesses[k], s, &solid):
                return solid
            k = self.latest_conflict(own, nown, e)
        return True

    cdef int32_t latest_conflict(self, Access *own, int nown, int32_t e) noexcept nogil:
        """The last access before step ``e`` that conflicts with one of ``own``."""
        cdef int32_t k, best = NONE
        cdef int i
        for i in range(nown):
            k = self.start(own[i].cell, e)
            while k != NONE and not (own[i].write or self.accesses[k].write):
                k = self.accesses[k].before
            if k != NONE and (best == NONE or self.accesses[k].event > self.accesses[best].event):
                best = k
        return best

    cdef int32_t start(self, int cell, int32_t j) noexcept nogil:
        """The last access of ``cell`` before step ``j``."""
        cdef int32_t k = self.heads[cell]
        while k != NONE and self.accesses[k].event >= j:
            k = self.accesses[k].before
        return k

    cdef int all_races(self) except -1 nogil:
        """At the end of an execution: reverse every race in it."""
        cdef int32_t j
        cdef int t
        cdef Step s
        cdef Event *e
        for j in range(self.nevent):
            if j % 16 == 0 and monotonic() > self.looked + OFTEN:
                self.stop = self.bounds()
                if self.stop:
                    return 0
            e = &self.events[j]
            if e.quiet:
                continue
            self.nscratch = 0
            s.task = e.task
            s.choice = e.choice
            s.node = e.node
            s.single = e.single
            s.first = 0
            s.count = e.count
            self.borrow(e)
            e.quiet = self.races_of(j, &s, e.previous)
        for t in range(self.ntask):
            if not self.core.options(t):
                continue
            self.nscratch = 0
            if self.look(t, &s) == STEP_BLOCKED:
                self.races_of(self.nevent, &s, self.latest[t])
        return 0

    cdef int borrow(self, Event *e) except -1 nogil:
        """Put the accesses of a step of the execution into the scratch pool."""
        cdef int32_t i
        for i in range(e.first, e.first + e.count):
            self.put(self.accesses[i].cell, self.accesses[i].write, 0)
        return 0

    # ---- the search ----------------------------------------------------------------------------

    cdef int report(self, int finding, int32_t upto) except -1 with gil:
        """Count a finding; keep a schedule to the first: all steps, or those before step ``upto``."""
        cdef int32_t i
        self.counts[finding] = self.counts.get(finding, 0) + 1
        if finding not in self.paths:
            self.paths[finding] = [(self.events[i].task, self.events[i].choice)
                                   for i in range(self.nevent)
                                   if upto == NONE or self.before(i, upto)]
        return 0

    cdef int condemn(self, int finding) except -1 nogil:
        """The last step broke a property; it counts unless another one was broken before it."""
        cdef int32_t i, last = self.nevent - 1
        self.events[last].bad = 1
        self.nbad += 1
        for i in range(last):
            if self.events[i].bad and self.before(i, last):
                return 0
        return self.report(finding, last)

    cdef int ended(self) except -1 nogil:
        """The execution is complete: judge it and reverse its races."""
        cdef int finding
        self.traces += 1
        if not self.nbad:
            if self.core.terminal_sink is not None:
                self.sink()
            if self.core.tables.terminal_probe >= 0:
                finding = self.core.ask(self.core.tables.terminal_probe)
                if finding >= 0:
                    self.report(finding, NONE)
                    self.core.aim(finding)
        return self.all_races()

    cdef int sink(self) except -1 with gil:
        self.core.terminal_sink([self.core.val[i] for i in range(self.ncell)],
                                [self.core.loc[i] for i in range(self.ntask)])
        return 0

    cdef int awake(self) except -2 nogil:
        """A task that can take a step here and is not asleep; -1: none; NONE - 1 if all asleep."""
        cdef int t, found = -1
        cdef Step s
        cdef uint64_t sleepers = self.asleep[self.nevent]
        for t in range(self.ntask):
            if not self.core.options(t):
                continue
            self.nscratch = 0
            if self.look(t, &s) != STEP_BLOCKED:
                if not (sleepers >> t & 1):
                    return t
                found = self.ntask
        return found

    cdef int advance(self, int32_t branch) except -1 nogil:
        """Take the step of ``branch``; sets up the state after it. STEP_* of it."""
        cdef int d = self.nevent, t, code
        cdef int64_t mark
        cdef uint64_t sleepers = self.asleep[d], stay = 0
        cdef Slice *dreams = self.dreams + d * self.ntask
        cdef Step s
        self.nscratch = 0
        mark = self.core.nundo
        code = self.attempt(self.branches[branch].task, self.branches[branch].choice, &s)
        if code == STEP_BLOCKED:
            return code
        self.steps += 1
        self.append(&s, mark, branch)
        if sleepers:
            for t in range(self.ntask):
                if sleepers >> t & 1 and t != s.task and not conflict(
                        self.scratch, s.count, self.dreamt + dreams[t].first, dreams[t].count):
                    dreams[self.ntask + t] = dreams[t]
                    stay |= <uint64_t> 1 << t
        self.asleep[self.nevent] = stay
        self.awoken[self.nevent] = self.ndreamt
        self.tree[self.nevent] = branch
        return code

    cdef int invariants(self) except -2 nogil:
        """The first invariant that is broken here, or -1."""
        cdef int i, finding
        for i in range(self.core.tables.ninvariant):
            finding = self.core.ask(self.core.tables.invariants[i])
            if finding >= 0:
                return finding
        return -1

    def run(self, *, uint64_t max_traces, uint64_t max_memory, double seconds, terminal_sink=None, tick=None):
        """Run one execution of each trace. COMPLETE, a LIMIT_* code or RESTART."""
        cdef int code
        self.core.terminal_sink = terminal_sink
        self.core.aim_anew()
        self.max_traces = max_traces
        self.max_memory = max_memory
        self.deadline = monotonic() + seconds
        self.tick = tick
        self.looked = monotonic()
        self.stop = 0
        with nogil:
            code = self.explore()
        return code

    cdef int bounds(self) except -1 with gil:
        if self.tick is not None:
            self.tick(self.traces, self.steps, self.nevent)
        PyErr_CheckSignals()
        self.looked = monotonic()
        if refault_resident() > self.max_memory:
            return END_MEMORY
        return END_TIME if self.looked > self.deadline else END_COMPLETE

    cdef int explore(self) except -1 nogil:
        cdef int t, code, finding
        cdef int32_t branch, node
        cdef Step s
        cdef uint64_t ticks = 0
        cdef bint fresh = True
        cdef int watched = self.core.tables.nwatched
        self.core.reset()
        for t in range(self.ntask):
            if self.core.nodes[self.core.loc[t]].cell == NODE_FAIL:
                self.core.fail = self.core.nodes[self.core.loc[t]].arg
                self.report(self.core.fail, NONE)
                return END_COMPLETE
        self.tree[0] = self.new_branch(NULL)
        self.asleep[0] = 0
        if self.invariants() >= 0:
            self.report(self.invariants(), NONE)
            return END_COMPLETE
        watched = self.core.tables.nwatched
        while True:
            node = self.tree[self.nevent]
            if fresh and self.branches[node].child == NONE:
                t = self.awake()
                if t < 0:
                    self.ended()
                    if self.stop:
                        return self.stop
                elif t == self.ntask:
                    self.redundant += 1
                else:
                    self.nscratch = 0
                    self.look(t, &s)
                    self.branches[node].child = self.new_branch(&s)
            branch = self.branches[node].child
            if branch == NONE:
                if self.nevent == 0:
                    return END_COMPLETE
                self.leave()
                fresh = False
                continue
            if self.nevent >= self.max_depth:
                return END_DEPTH
            code = self.advance(branch)
            if self.wide:
                return END_WIDTH
            ticks += 1
            if ticks % 16384 == 0:
                finding = self.bounds()
                if finding:
                    return finding
            if self.traces >= self.max_traces:
                return END_STATES
            if code == STEP_BLOCKED:
                with gil:
                    raise AssertionError("a step of a wakeup sequence is blocked")
            fresh = True
            if code == STEP_FAIL:
                self.condemn(self.core.fail)
            elif self.core.tables.ninvariant:
                finding = self.invariants()
                if self.core.tables.nwatched != watched:
                    return END_RESTART
                if finding >= 0:
                    self.condemn(finding)

    cdef int leave(self) except -1 nogil:
        """The subtree of the last step is explored: take it back; its task sleeps from now on."""
        cdef Event *e = &self.events[self.nevent - 1]
        cdef int32_t branch = e.branch, parent = self.tree[self.nevent - 1]
        self.retract()
        self.ndreamt = self.awoken[self.nevent + 1]
        if e.choice + 1 < self.core.options(e.task):
            self.branches[branch].choice = e.choice + 1
            self.branches[branch].child = NONE
            return 0
        self.branches[parent].child = self.branches[branch].sibling
        self.drop(branch)
        return self.fall_asleep(e)
