# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Counterexamples with the fewest context switches.

People read a schedule as a drawing with a column per task; what makes it readable is how seldom the
eye has to change the column. So the search is ordered by context switches, then by steps.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int16_t, int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc

from refault.explore.engines._behaviour cimport NODE_FAIL
from refault.explore.engines._core cimport (
    STEP_BLOCKED, STEP_FAIL, STEP_MISSING, STEP_OK, Core, monotonic, refault_mix,
    refault_resident,
)

from refault.explore.engines._core import COMPLETE, LIMIT_MEMORY, LIMIT_STATES, LIMIT_TIME


cdef enum:
    MOST = 1 << 30    # visits, of which the numbers fit


cdef struct Visit:
    int32_t parent
    int16_t task
    int16_t choice
    int32_t link      # next in the same bucket
    int32_t steps


cdef class Shortest:
    """A* over (state, task that ran last), ordered by (context switches, steps).

    From a state, each task other than the last one that does not stand where a violating terminal
    state has it must still be switched to: the least such number over the terminal states known is a
    lower bound, and a consistent one, so the first finding met is the best. Findings that end a run
    in mid-flight only tell that the failing task must be the last. The bound changes an estimate by at
    most two per step, so three levels of buckets (by steps) are the whole queue.
    """

    cdef Core core
    cdef object wanted, kind
    cdef Visit *visits
    cdef int32_t nvisit, capacity
    cdef uint64_t *seen
    cdef uint64_t mask, nseen
    cdef int32_t *levels[3]        # per level: bucket of visits per number of steps
    cdef int32_t nbucket
    cdef int16_t *path
    cdef int32_t path_capacity
    cdef int32_t *targets
    cdef int ntarget
    cdef bint guided
    cdef set failing               # tasks that can end in a finding of this kind
    cdef object found              # numbers of all findings there are, or None if not known
    cdef object goals              # or: fingerprints of the states to reach

    def __cinit__(self, Core core, wanted, kind, found, goals_):
        cdef int i, j
        self.core = core
        self.wanted = wanted
        self.kind = kind
        goals = [g for f, gs in core.targets.items() if wanted.get(f) == kind for g in gs]
        self.ntarget = len(goals)
        self.targets = <int32_t *> malloc((self.ntarget * core.ntask + 1) * sizeof(int32_t))
        if self.targets == NULL:
            raise MemoryError
        for i in range(self.ntarget):
            for j in range(core.ntask):
                self.targets[i * core.ntask + j] = goals[i][j]
        self.failing = set()
        self.goals = goals_
        self.found = found
        self.guided = found is not None and not core.targets_cut and self.only_tasks_end_in_it()

    cdef bint only_tasks_end_in_it(self):
        """Whether every finding of this kind is a known terminal state or the end of one task."""
        cdef int i
        ends = set()
        for i in range(self.core.tables.nnode):
            if self.core.nodes[i].cell == NODE_FAIL:
                ends.add(self.core.nodes[i].arg)
                if self.wanted.get(self.core.nodes[i].arg) == self.kind:
                    self.failing.add(self.core.nodes[i].task)
        found = {f for f in self.found if self.wanted.get(f) == self.kind}
        return found <= (ends | set(self.core.targets))

    def __dealloc__(self):
        cdef int i
        free(self.visits)
        free(self.seen)
        for i in range(3):
            free(self.levels[i])
        free(self.path)
        free(self.targets)

    cdef int estimate(self, int last):
        """A lower bound of the context switches from the core's state on."""
        cdef int best = 1 << 20, i, t, n
        cdef int32_t *goal
        if not self.guided:
            return 0
        for task in self.failing:
            best = min(best, 0 if task == last or last < 0 else 1)
        for i in range(self.ntarget):
            goal = self.targets + i * self.core.ntask
            n = 0
            for t in range(self.core.ntask):
                n += t != last and goal[t] != self.core.loc[t]
            if last < 0 and n:
                n -= 1
            if n < best:
                best = n
                if best == 0:
                    break
        return best

    cdef int add(self, int32_t parent, int task, int choice, int32_t steps, int level) except -1:
        cdef Visit *v
        cdef int32_t *b
        cdef int32_t size, i, k
        cdef int64_t room
        if self.nvisit == self.capacity:
            room = max(4096, 2 * <int64_t> self.capacity)
            v = <Visit *> realloc(self.visits, room * sizeof(Visit)) if room < MOST else NULL
            if v == NULL:
                raise MemoryError
            self.visits = v
            self.capacity = room
        if steps >= self.nbucket:
            size = max(1024, 2 * self.nbucket)
            for k in range(3):
                b = <int32_t *> realloc(self.levels[k], size * sizeof(int32_t))
                if b == NULL:
                    raise MemoryError
                self.levels[k] = b
                for i in range(self.nbucket, size):
                    b[i] = -1
            self.nbucket = size
        v = &self.visits[self.nvisit]
        v.parent = parent
        v.task = task
        v.choice = choice
        v.steps = steps
        b = self.levels[level]
        v.link = b[steps]
        b[steps] = self.nvisit
        self.nvisit += 1
        return 0

    cdef int first_time(self, uint64_t key) except -1:
        cdef uint64_t size, i, j
        cdef uint64_t *old
        cdef uint64_t *wider
        if (self.nseen + 1) * 10 > (self.mask + 1) * 6:
            old = self.seen
            size = self.mask + 1
            wider = <uint64_t *> calloc(2 * size, sizeof(uint64_t))
            if wider == NULL:
                raise MemoryError
            self.seen = wider
            self.mask = 2 * size - 1
            for i in range(size):
                if old[i]:
                    j = old[i] & self.mask
                    while self.seen[j]:
                        j = (j + 1) & self.mask
                    self.seen[j] = old[i]
            free(old)
        j = key & self.mask
        while self.seen[j]:
            if self.seen[j] == key:
                return 0
            j = (j + 1) & self.mask
        self.seen[j] = key
        self.nseen += 1
        return 1

    cdef uint64_t rebuild(self, int32_t visit, int *last, bint *failed) except? 0:
        """Put the core into the state of ``visit``; returns its fingerprint."""
        cdef int32_t n = self.visits[visit].steps, v = visit, i
        cdef uint64_t fp
        cdef bint solo
        cdef int code = STEP_OK
        if n * 2 > self.path_capacity:
            self.path_capacity = 4 * n + 64
            self.path = <int16_t *> realloc(self.path, self.path_capacity * sizeof(int16_t))
            if self.path == NULL:
                raise MemoryError
        for i in range(n - 1, -1, -1):
            self.path[2 * i] = self.visits[v].task
            self.path[2 * i + 1] = self.visits[v].choice
            v = self.visits[v].parent
        fp = self.core.reset()
        for i in range(n):
            code = self.core.step(self.path[2 * i], self.path[2 * i + 1], &fp, &solo)
        last[0] = self.path[2 * n - 2] if n else -1
        failed[0] = code == STEP_FAIL
        return fp

    cdef object met(self, int finding, int32_t steps):
        if self.goals is not None or self.wanted.get(finding) != self.kind:
            return None
        return finding, [(self.path[2 * i], self.path[2 * i + 1]) for i in range(steps)]

    cdef object expand(self, int32_t visit, int level):
        """Visit one state; the (finding, path) if it is what is wanted."""
        cdef int last = -1, t, c, code, i, before, rise
        cdef bint failed = False, enabled = False, solo
        cdef Core core = self.core
        cdef uint64_t fp, g
        cdef int64_t mark
        cdef int32_t steps = self.visits[visit].steps
        fp = self.rebuild(visit, &last, &failed)
        if failed:
            return self.met(core.fail, steps)
        for t in range(core.ntask if last < 0 else 0):
            if core.nodes[core.loc[t]].cell == NODE_FAIL:
                return self.met(core.nodes[core.loc[t]].arg, 0)
        if not self.first_time((fp ^ refault_mix(<uint64_t> (last + 2))) | 1):
            return None
        if self.goals is not None and fp in self.goals:
            return fp, [(self.path[2 * i], self.path[2 * i + 1]) for i in range(steps)]
        for i in range(core.tables.ninvariant):
            code = core.ask(core.tables.invariants[i])
            if code >= 0:
                return self.met(code, steps)
        before = self.estimate(last)
        mark = core.nundo
        for t in range(core.ntask):
            for c in range(core.options(t)):
                while True:
                    g = fp
                    code = core.step(t, c, &g, &solo)
                    if code != STEP_MISSING:
                        break
                    core.fill()
                if code == STEP_BLOCKED:
                    continue
                enabled = True
                rise = (last >= 0 and t != last) + self.estimate(t) - before
                core.undo_to(mark)
                self.add(visit, t, c, steps + 1, (level + max(rise, 0)) % 3)
        if not enabled and core.tables.terminal_probe >= 0:
            code = core.ask(core.tables.terminal_probe)
            if code >= 0:
                return self.met(code, steps)
        return None

    def run(self, uint64_t max_states, uint64_t max_memory, double seconds):
        cdef int32_t steps, v
        cdef int level = 0, empty = 0
        cdef double deadline = monotonic() + seconds
        cdef uint64_t count = 0
        self.seen = <uint64_t *> calloc(1 << 12, sizeof(uint64_t))
        if self.seen == NULL:
            raise MemoryError
        self.mask = (1 << 12) - 1
        self.add(-1, -1, 0, 0, 0)
        while empty < 3:
            steps = 0
            while steps < self.nbucket:
                v = self.levels[level][steps]
                if v < 0:
                    steps += 1
                    continue
                empty = 0
                self.levels[level][steps] = self.visits[v].link
                found = self.expand(v, level)
                if found is not None:
                    return found, COMPLETE
                count += 1
                if count % 1024 == 0:
                    PyErr_CheckSignals()
                    if monotonic() > deadline:
                        return None, LIMIT_TIME
                    if self.nseen > max_states:
                        return None, LIMIT_STATES
                    if refault_resident() > max_memory:
                        return None, LIMIT_MEMORY
            level = (level + 1) % 3
            empty += 1
        return None, COMPLETE


def shortest(Core core, wanted, kind, *, found, uint64_t max_states, uint64_t max_memory, double seconds):
    """The schedule with the fewest context switches, then steps, to a finding of ``kind``.

    ``wanted.get`` maps a finding to its kind. Returns (finding, path) or ``None``, and a code.
    ``found``: where a complete search has gone before, the findings that it made; its violating
    terminal states then guide this one. Else ``None``.
    """
    return Shortest(core, wanted, kind, found, None).run(max_states, max_memory, seconds)


def nearest(Core core, goals, *, uint64_t max_states, uint64_t max_memory, double seconds):
    """The schedule with the fewest context switches, then steps, to one of some states.

    ``goals`` holds fingerprints. Returns (fingerprint, path) or ``None``, and a code.
    """
    return Shortest(core, None, None, None, goals).run(max_states, max_memory, seconds)
