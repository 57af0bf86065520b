# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Random schedules, for what is too big to search: finds, never proves.

Every other run is a uniform random walk, good at deep deadlocks. The others follow PCT (Burckhardt et
al., ASPLOS 2010): each task has a random priority, the enabled task with the highest runs, and at d - 1
random steps the running task's priority drops below all others. Each such run finds a bug of depth d with
probability at least 1 / (n k^(d-1)) for n tasks and k steps, however many interleavings there are;
races in kernels seldom need more than d = 4.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int16_t, int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from refault.explore.engines._core cimport (
    STEP_BLOCKED, STEP_FAIL, STEP_MISSING, STEP_OK, Core, monotonic, refault_mix,
)

cdef enum:
    CHANGES = 3       # priority changes of a run: none to three, for depths 1 to 4
    CHUNK = 64        # runs between two looks at the clock


cdef class Sampler:
    """Runs random schedules of a program; everything follows from ``seed``."""

    cdef Core core
    cdef uint64_t state
    cdef int32_t max_depth, longest, length
    cdef int16_t *path
    cdef int32_t *priority
    cdef int32_t *changes
    cdef readonly uint64_t runs, steps, cut
    cdef readonly dict counts, paths

    def __cinit__(self, Core core, uint64_t seed, int max_depth):
        self.core = core
        self.state = seed | 1
        self.max_depth = max_depth
        self.longest = 1
        self.path = <int16_t *> malloc((2 * max_depth + 2) * sizeof(int16_t))
        self.priority = <int32_t *> calloc(core.ntask + 1, sizeof(int32_t))
        self.changes = <int32_t *> calloc(CHANGES + 1, sizeof(int32_t))
        if not (self.path and self.priority and self.changes):
            raise MemoryError
        self.counts = {}
        self.paths = {}

    def __dealloc__(self):
        free(self.path)
        free(self.priority)
        free(self.changes)

    cdef uint64_t below(self, uint64_t n) noexcept nogil:
        """A random number below ``n``."""
        self.state += 0x9e3779b97f4a7c15ULL
        return refault_mix(self.state) % n

    cdef void shuffle(self) noexcept nogil:
        """Random priorities, all above the CHANGES low ones."""
        cdef int i, j
        cdef int32_t p
        for i in range(self.core.ntask):
            self.priority[i] = CHANGES + 1 + i
        for i in range(self.core.ntask - 1, 0, -1):
            j = self.below(i + 1)
            p = self.priority[i]
            self.priority[i] = self.priority[j]
            self.priority[j] = p
        for i in range(CHANGES):
            self.changes[i] = self.below(self.longest) if i < self.runs // 2 % (CHANGES + 1) else -1

    cdef int attempt(self, int t, int choice) except -1 nogil:
        cdef uint64_t fp = 0
        cdef bint solo
        cdef int code
        while True:
            code = self.core.step(t, choice, &fp, &solo)
            if code != STEP_MISSING:
                return code
            self.core.fill()

    cdef int take(self, int t) except -1 nogil:
        """Take a step of task ``t`` with a random choice; STEP_* of it."""
        cdef int n = self.core.options(t), choice, code
        if n == 0:
            return STEP_BLOCKED
        choice = self.below(n) if n > 1 else 0
        code = self.attempt(t, choice)
        if code != STEP_BLOCKED:
            self.path[2 * self.length] = t
            self.path[2 * self.length + 1] = choice
            self.length += 1
            self.steps += 1
        return code

    cdef int walk_step(self) except -1 nogil:
        """A step of a random task that can take one; STEP_BLOCKED if none can."""
        cdef int n = self.core.ntask, i, code
        cdef int first = self.below(n)
        for i in range(n):
            code = self.take((first + i) % n)
            if code != STEP_BLOCKED:
                return code
        return STEP_BLOCKED

    cdef int pct_step(self) except -1 nogil:
        """A step of the task with the highest priority that can take one."""
        cdef int n = self.core.ntask, i, t, best, code
        cdef uint64_t tried = 0
        while True:
            best = -1
            for t in range(n):
                if not (tried >> t & 1) and (best < 0 or self.priority[t] > self.priority[best]):
                    best = t
            if best < 0:
                return STEP_BLOCKED
            code = self.take(best)
            if code != STEP_BLOCKED:
                for i in range(CHANGES):
                    if self.changes[i] == self.length:
                        self.priority[best] = CHANGES - i
                return code
            tried |= <uint64_t> 1 << best

    cdef int one_run(self) except -1 nogil:
        cdef int code = STEP_OK, i, finding
        cdef bint pct = self.runs & 1 and self.core.ntask <= 64
        self.core.reset()
        self.length = 0
        self.shuffle()
        for i in range(self.core.tables.ninvariant):
            finding = self.core.ask(self.core.tables.invariants[i])
            if finding >= 0:
                return self.report(finding)
        while self.length < self.max_depth:
            code = self.pct_step() if pct else self.walk_step()
            if code == STEP_FAIL:
                return self.report(self.core.fail)
            if code == STEP_BLOCKED:
                break
            if self.core.touched:
                for i in range(self.core.tables.ninvariant):
                    finding = self.core.ask(self.core.tables.invariants[i])
                    if finding >= 0:
                        return self.report(finding)
        if code != STEP_BLOCKED:
            self.cut += 1
            return 0
        if self.length > self.longest:
            self.longest = self.length
        if self.core.tables.terminal_probe >= 0:
            finding = self.core.ask(self.core.tables.terminal_probe)
            if finding >= 0:
                return self.report(finding)
        return 0

    cdef int report(self, int finding) except -1 with gil:
        cdef int i
        self.counts[finding] = self.counts.get(finding, 0) + 1
        if finding not in self.paths or len(self.paths[finding]) > self.length:
            self.paths[finding] = [(self.path[2 * i], self.path[2 * i + 1])
                                   for i in range(self.length)]
        return 0

    def run(self, *, double seconds):
        """Run random schedules until something is found or the time is up; whether it was found."""
        cdef double deadline = monotonic() + seconds
        cdef int i
        while not self.paths:
            with nogil:
                for i in range(CHUNK):
                    self.one_run()
                    self.runs += 1
            PyErr_CheckSignals()
            if monotonic() > deadline:
                break
        return bool(self.paths)
