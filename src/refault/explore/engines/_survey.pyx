# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How much of the state space a search has stored, by sampling states and looking them up.

A depth-first search knows where it has been and not how much there is. If states were drawn evenly from
all that there are, the share of them that the search has stored would be its coverage. Random walks do
not draw evenly at all: they see the middle of the tasks' ways together, and what is reached by many
schedules. So a sample begins with a *place*: for each task a number of steps, even between none and
the most that it takes. A walk then takes random tasks among those that are not yet at their place; if
one cannot get there the walk is thrown away, and so is the place: to try it again would favour places
with few ways to them, which have few states. Where the tasks' steps alone tell the states apart this
is an even draw of what can be reached; where values or choices do, it is an approximation.

In a reduced search only states that are expanded fully are stored. The walk follows the same reduction,
so a task may be carried beyond its place by steps that are taken alone; then several places lead to one
state, as many as the product over the tasks of one more than the steps taken so since their last choice
among several tasks. A sample weighs one by that.

How far the result is off is a matter of experience: see ``estimate`` and ``python -m bench.estimate``.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from refault.explore.engines._core cimport (
    CHAIN, EVERYBODY, MODE_FULL, STEP_BLOCKED, STEP_MISSING, STEP_OK, Core, monotonic,
    refault_find, refault_mix,
    refault_shared_has,
)

cdef extern from "_fingerprints.h":
    uint64_t refault_word(uint64_t fp) noexcept nogil

cdef enum:
    DEPTH = 4096      # steps of a walk, at most
    CHUNK = 64        # walks between two looks at the clock


cdef struct Sample:
    uint64_t fp
    double weight


cdef bint stored(Core search, uint64_t fp) noexcept:
    """Whether a search has stored a state, also while threads are at it."""
    if search.lent != NULL:
        return refault_shared_has(search.lent, fp)
    return refault_find(&search.known, fp)[0] != 0


cdef class Survey:
    """Samples of the states that a search of the kind ``reduce`` stores, drawn with ``core``.

    ``core`` shares the tables of the search and has nothing else to do. Everything follows from ``seed``.
    """

    cdef Core core
    cdef bint reduce
    cdef uint64_t random
    cdef Sample *samples
    cdef readonly int64_t drawn, tries
    cdef int64_t capacity
    cdef int32_t *longest          # per task: the most steps seen of it
    cdef int32_t *place            # per task: how many steps it is to take
    cdef int32_t *steps            # per task: how many it has taken
    cdef int32_t *alone            # per task: steps since its last choice among several tasks
    cdef uint64_t members          # the tasks that may be taken here, a bit each
    cdef bint forward              # as in a frame of the search

    def __cinit__(self, Core core, bint reduce, uint64_t seed):
        cdef int n = core.ntask + 1
        self.core = core
        self.reduce = reduce
        self.random = seed | 1
        self.longest = <int32_t *> calloc(n, sizeof(int32_t))
        self.place = <int32_t *> calloc(n, sizeof(int32_t))
        self.steps = <int32_t *> calloc(n, sizeof(int32_t))
        self.alone = <int32_t *> calloc(n, sizeof(int32_t))
        if not (self.longest and self.place and self.steps and self.alone):
            raise MemoryError
        core.prepare(reduce, 0, None)

    def __dealloc__(self):
        free(self.samples)
        free(self.longest)
        free(self.place)
        free(self.steps)
        free(self.alone)

    cdef uint64_t below(self, uint64_t n) noexcept:
        """A random number below ``n``."""
        self.random += 0x9e3779b97f4a7c15ULL
        return refault_mix(self.random) % n

    cdef int attempt(self, int t, uint64_t *fp) except -1:
        """Take a step of task ``t`` with a random choice."""
        cdef bint solo
        cdef int code, n = self.core.options(t)
        cdef int choice = self.below(n) if n > 1 else 0
        while True:
            code = self.core.step(t, choice, fp, &solo)
            if code != STEP_MISSING:
                return code
            self.core.fill()

    cdef int carried(self, int chain) except -2:
        """The task that the reduction takes alone here, or -1; then ``members`` are those it takes."""
        cdef int t
        self.members = EVERYBODY
        if not self.reduce or chain >= CHAIN:
            self.forward = False
            return -1
        t = self.core.pick_solo(self.forward)
        if t < 0 and self.core.tables.words:
            t = self.core.pick_by_futures(self.forward)
            self.members = self.core.members
        if t < 0:
            self.forward = self.members != EVERYBODY
        return t

    cdef int move(self, bint scouting, uint64_t *fp) except -1:
        """A step of a random task that is not at its place yet, whatever its place if ``scouting``."""
        cdef int t, i, code, n = self.core.ntask
        cdef int first = self.below(n)
        for i in range(n):
            t = (first + i) % n
            if not self.core.options(t) or (not scouting and self.steps[t] >= self.place[t]):
                continue
            if not self.members >> min(t, 63) & 1:
                continue
            code = self.attempt(t, fp)
            if code != STEP_BLOCKED:
                self.steps[t] += 1
                self.alone[t] = 0
                return code
        return STEP_BLOCKED

    cdef bint walk(self, bint scouting, uint64_t *fp) except -1:
        """Walk until no task moves that should; whether all are where they should be."""
        cdef int t, code, chain = 0, depth = 0
        cdef Core core = self.core
        fp[0] = core.reset()
        self.forward = False
        for t in range(core.ntask):
            self.steps[t] = self.alone[t] = 0
        while depth < DEPTH:
            depth += 1
            t = self.carried(chain)
            if t < 0:
                chain = 0
                code = self.move(scouting, fp)
                if code == STEP_BLOCKED:
                    break
            else:
                chain += 1 if core.options(t) == 1 else CHAIN // 2
                code = self.attempt(t, fp)
                self.steps[t] += 1
                self.alone[t] += 1
            if code != STEP_OK:
                return False
        for t in range(core.ntask):
            if not scouting and self.steps[t] < self.place[t]:
                return False
        return depth < DEPTH

    def scout(self, int walks, most):
        """Find out how many steps each task takes; ``most`` bounds them, for runs may be endless."""
        cdef int i, t
        cdef uint64_t fp
        for i in range(walks):
            self.walk(True, &fp)
            for t in range(self.core.ntask):
                self.longest[t] = min(max(self.longest[t], self.steps[t]), <int32_t> most[t])

    cdef int add(self, uint64_t fp) except -1:
        cdef Sample *s
        cdef int t
        cdef double weight = 1.0
        if self.drawn == self.capacity:
            s = <Sample *> realloc(self.samples, max(1024, 2 * self.capacity) * sizeof(Sample))
            if s == NULL:
                raise MemoryError
            self.samples = s
            self.capacity = max(1024, 2 * self.capacity)
        for t in range(self.core.ntask):
            weight /= self.alone[t] + 1
        if self.core.folding:
            fp = self.core.canonical(fp)
        self.samples[self.drawn].fp = refault_word(fp)
        self.samples[self.drawn].weight = weight
        self.drawn += 1
        return 0

    def draw(self, *, int samples, int tries, double seconds):
        """Draw up to ``samples`` more, in at most so many ``tries`` and ``seconds``."""
        cdef double deadline = monotonic() + seconds
        cdef int64_t enough = self.drawn + samples, last = self.tries + tries
        cdef uint64_t fp
        cdef int t
        while self.drawn < enough and self.tries < last:
            for t in range(self.core.ntask):
                self.place[t] = self.below(self.longest[t] + 1)
            if self.walk(False, &fp):
                self.add(fp)
            self.tries += 1
            if self.tries % CHUNK == 0 and monotonic() > deadline:
                return

    def coverage(self, Core search):
        """The share of the samples that ``search`` has stored, and what it rests on.

        That is: how many samples of equal weight are worth as much as these, and how many of those
        that are stored.
        """
        cdef double all = 0, squares = 0, found = 0, found_squares = 0, w
        cdef int64_t i
        for i in range(self.drawn):
            w = self.samples[i].weight
            all += w
            squares += w * w
            if stored(search, self.samples[i].fp):
                found += w
                found_squares += w * w
        if all == 0:
            return 0.0, 0.0, 0.0
        return found / all, all * all / squares, found * found / found_squares if found else 0.0


def alternatives(Core search):
    """How many steps on the stack of ``search`` may still be taken instead of those that were."""
    cdef int64_t i, count = 0
    for i in range(search.depth + 1):
        if search.frames[i].mode == MODE_FULL:
            count += max(0, search.ntask - search.frames[i].task - 1)
    return count
