# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A search of states by several threads.

Each thread is a ``Core`` of its own over the same tables, in a loop without the GIL. They share the set of
fingerprints (``_shared.h``) and give each other work (``_crew.h``). A state is expanded by the one thread
that added its fingerprint, so what is visited, counted and found is what one thread would visit, count
and find; only the order differs.

Model code runs in the main thread alone: greenlets belong to the thread that made them. It answers the
others' questions, looks at the limits and the signals, and lets them go on. When it stops them, each lays
its stack aside; all stacks together are what is left to do, for whoever goes on, be it one thread, or
more, or another process.

What one thread cannot tell is whether a state that is known already lies on the stack of another, so
whether the graph has a cycle is not known afterwards (``Core.cyclic`` says that it may).
"""

from _thread import stack_size, start_new_thread

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint64_t

from refault.explore.engines._core cimport (
    END_COMPLETE, END_MEMORY, END_PAUSED, END_RESTART, END_STATES, END_TIME, TARGETS, Core, monotonic,
    refault_crew, refault_resident, refault_set, refault_shared, refault_unit, refault_worker,
)

from refault.explore.engines._core import Stopped

cdef extern from "_core.h":
    int32_t refault_load(int32_t *p) nogil
    uint64_t refault_relaxed(uint64_t *p) nogil

cdef extern from "_shared.h":
    int refault_share(refault_shared *shared, refault_set *s, uint64_t threads) nogil
    void refault_unshare(refault_shared *shared, refault_set *s) nogil
    void refault_reclaim(refault_shared *s, uint64_t seen) nogil

cdef extern from "_crew.h":
    refault_crew *refault_crew_new(int workers) nogil
    void refault_crew_free(refault_crew *c) nogil
    void refault_give(refault_crew *c, refault_unit *u) nogil
    void refault_halt(refault_crew *c) nogil
    void refault_leave(refault_crew *c, refault_worker *w) nogil
    void refault_answer(refault_crew *c, int worker) nogil
    int refault_attend(refault_crew *c, double seconds) nogil
    uint64_t refault_seen(refault_crew *c) nogil

cdef int STACK = 1 << 20        # bytes for a thread: it runs no Python but for an exception
cdef double PERIOD = 0.02      # seconds between two looks at limits and signals


def search(Core core, *, int jobs, bint reduce, bint resume, uint64_t max_states, uint64_t max_memory,
           double seconds, terminal_sink=None, tick=None):
    """As ``Core.search``, with so many threads; what came of it is in ``core``."""
    cdef double deadline = monotonic() + seconds
    cdef int code
    core.prepare(reduce, max_states, terminal_sink)
    if not resume:
        core.begin()
        if not core.start(reduce):
            return END_COMPLETE
    core.cyclic = core.guessed = True
    while True:
        core.lay_aside()
        if core.pending == NULL:
            return END_RESTART if reduce and core.tables.withdrawn() else END_COMPLETE
        if core.states >= max_states:
            return END_STATES
        crew = Crew(core, jobs, reduce)
        code = crew.run(deadline, max_memory, tick)
        if code not in (END_COMPLETE, END_STATES):
            return code


cdef class Crew:
    """Threads that do what is pending in ``core``, once."""

    cdef refault_crew *crew
    cdef Core core
    cdef list cores
    cdef bint reduce
    cdef int code
    cdef object error

    def __cinit__(self, Core core, int jobs, bint reduce):
        cdef Core each
        cdef int i
        self.core = core
        self.reduce = reduce
        self.code = END_COMPLETE
        self.cores = []
        self.crew = refault_crew_new(jobs)
        if self.crew == NULL:
            raise MemoryError
        for i in range(jobs):
            each = Core(core.tables, core.filler)
            each.prepare(reduce, <uint64_t> -1, core.terminal_sink)
            each.crew = self.crew
            each.me = &self.crew.workers[i]
            each.cyclic = True
            self.cores.append(each)

    def __dealloc__(self):
        refault_crew_free(self.crew)

    cdef int run(self, double deadline, uint64_t max_memory, tick) except -1:
        """Search until all is done, or a bound is met, or an exception comes."""
        cdef Core core = self.core
        cdef refault_unit *u
        cdef int i, started = 0
        self.crew.lease = core.max_states - core.states
        try:
            if refault_share(&self.crew.set, &core.known, len(self.cores)):
                raise MemoryError
            core.lent = &self.crew.set
            core.tables.shared = True
            while core.pending != NULL:
                u = core.pending
                core.pending = u.next
                refault_give(self.crew, u)
            usual = stack_size(STACK)
            try:
                for i in range(len(self.cores)):
                    start_new_thread(self.work, (i,))
                    started += 1
            except RuntimeError as e:
                raise MemoryError from e
            finally:
                stack_size(usual)
            self.attend(deadline, max_memory, tick)
        finally:
            # No Python code from here on: Ctrl-C must not leave a thread behind.
            refault_halt(self.crew)
            with nogil:
                while refault_load(&self.crew.ended) < started:
                    refault_attend(self.crew, 1)
            core.whole = False
            self.gather()
            core.whole = True
        if self.error is not None:
            raise self.error
        return self.code

    def work(self, int number):
        """What one thread does; whatever ends it but the end of all work stops the others."""
        cdef Core core = self.cores[number]
        cdef int code = END_PAUSED
        try:
            with nogil:
                code = core.work(self.reduce)
        except Stopped:
            pass
        except BaseException as e:
            self.error = self.error or e
        finally:
            if code != END_COMPLETE:
                if code != END_PAUSED:
                    self.code = code
                refault_halt(self.crew)
            refault_leave(self.crew, core.me)

    cdef int attend(self, double deadline, uint64_t max_memory, tick) except -1:
        """Answer questions and look at the bounds until all threads have ended."""
        cdef int asks
        cdef double now, looked = monotonic()
        while refault_load(&self.crew.ended) < len(self.cores):
            with nogil:
                asks = refault_attend(self.crew, PERIOD)
            if asks >= 0:
                (<Core> self.cores[asks]).answer()
                refault_answer(self.crew, asks)
            now = monotonic()
            if now - looked < PERIOD or self.crew.stop:
                continue
            looked = now
            refault_reclaim(&self.crew.set, refault_seen(self.crew))
            self.look(now > deadline, max_memory, tick)
        return 0

    cdef int look(self, bint late, uint64_t max_memory, tick) except -1:
        """Time, memory, signals, and the caller."""
        cdef uint64_t states = self.core.states, transitions = self.core.transitions, depth = 0
        cdef refault_worker *w
        cdef int code = END_COMPLETE, i
        for i in range(len(self.cores)):
            w = &self.crew.workers[i]
            states += refault_relaxed(&w.states)
            transitions += refault_relaxed(&w.transitions)
            depth = max(depth, refault_relaxed(&w.depth))
        if tick is not None and tick(states, transitions, depth) is True:
            code = END_PAUSED
        PyErr_CheckSignals()
        if late:
            code = END_TIME
        elif refault_resident() > max_memory:
            code = END_MEMORY
        if code != END_COMPLETE:
            self.code = code
            refault_halt(self.crew)
        return 0

    cdef int gather(self) except -1:
        """Bring what the threads have counted, found and left undone back to the core."""
        cdef Core core = self.core, each
        cdef refault_unit *u
        core.tables.settle()
        core.lent = NULL
        refault_unshare(&self.crew.set, &core.known)
        for each in self.cores:
            each.lay_aside()
            each.crew = NULL
            while each.pending != NULL:
                u = each.pending
                each.pending = u.next
                core.take_over(u)
            core.states += each.states
            core.transitions += each.transitions
            core.terminals += each.terminals
            core.misses += each.misses
            core.deepest = max(core.deepest, each.deepest)
            for finding, count in each.counts.items():
                core.counts[finding] = core.counts.get(finding, 0) + count
            for finding, path in each.paths.items():
                core.paths[finding] = min(path, core.paths.get(finding, path), key=len)
            for finding, places in each.targets.items():
                known = core.targets.setdefault(finding, [])
                core.targets_cut |= each.targets_cut or len(known) + len(places) > TARGETS
                known += places[:TARGETS - len(known)]
        while self.crew.units != NULL:
            u = self.crew.units
            self.crew.units = u.next
            core.take_over(u)
        return 0
