"""Declarations that the engines share; see ``_core.pyx`` for what they mean."""

cimport cython
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t

from refault.explore.engines._behaviour cimport Behaviour, Entry, Node, Probe

cdef extern from "_core.h":
    void refault_prefetch(const void *p) noexcept nogil
    const uint64_t EVERYBODY "refault_everybody"
    int refault_ones(uint64_t x) noexcept nogil
    int refault_lowest(uint64_t x) noexcept nogil
    uint64_t refault_mix(uint64_t x) noexcept nogil
    uint64_t *refault_words(size_t words) noexcept nogil

cdef extern from "_memory.h":
    uint64_t refault_resident() noexcept nogil
    void refault_give_back() noexcept nogil

cdef extern from "_fingerprints.h":
    enum:
        REFAULT_SEGMENTS

    cdef struct refault_segment:
        uint64_t *words
        uint64_t size
        uint64_t used

    cdef struct refault_set:
        refault_segment segments[64]
        uint64_t bytes

    cdef struct refault_path:
        uint64_t *words
        uint64_t mask
        uint64_t used

    int refault_path_has(refault_path *p, uint64_t fp) noexcept nogil
    int refault_path_clear(refault_path *p, uint64_t size) noexcept nogil
    int refault_path_add(refault_path *p, uint64_t fp) noexcept nogil
    void refault_path_remove(refault_path *p, uint64_t fp) noexcept nogil
    uint64_t *refault_find(refault_set *s, uint64_t fp) noexcept nogil
    void refault_fetch(refault_set *s, uint64_t fp) noexcept nogil
    int refault_add(refault_set *s, uint64_t fp) noexcept nogil
    int refault_resize(refault_set *s, refault_segment *segment, uint64_t size) noexcept nogil
    int refault_clear(refault_set *s) noexcept nogil
    void refault_free(refault_set *s) noexcept nogil

cdef extern from "_shared.h":
    cdef struct refault_shared:
        uint64_t bytes

    int refault_shared_add(refault_shared *s, uint64_t fp) noexcept nogil
    int refault_shared_has(refault_shared *s, uint64_t fp) noexcept nogil
    void refault_shared_fetch(refault_shared *s, uint64_t fp) noexcept nogil

cdef extern from "_crew.h":
    cdef struct refault_unit:
        refault_unit *next
        void *frames
        int64_t count

    cdef struct refault_worker:
        uint64_t states
        uint64_t transitions
        uint64_t depth
        uint64_t bytes

    cdef struct refault_crew:
        int32_t stop
        int32_t hungry
        refault_shared set
        refault_worker *workers
        refault_unit *units
        int32_t ended
        uint64_t lease

    refault_unit *refault_unit_new(int64_t count, size_t size) noexcept nogil
    void refault_unit_free(refault_unit *u) noexcept nogil
    refault_unit *refault_take(refault_crew *c, refault_worker *w) noexcept nogil
    void refault_give(refault_crew *c, refault_unit *u) noexcept nogil
    void refault_pass(refault_crew *c, refault_worker *w) noexcept nogil
    int refault_question(refault_crew *c, refault_worker *w) noexcept nogil
    void refault_tell(refault_worker *w, uint64_t states, uint64_t transitions, uint64_t depth,
                      uint64_t bytes) noexcept nogil
    uint64_t refault_lease(refault_crew *c) noexcept nogil


cdef enum:
    # How a search ends.
    END_COMPLETE = 0
    END_STATES = 1
    END_MEMORY = 2
    END_TIME = 3
    END_RESTART = 4
    END_INTERRUPTED = 5
    END_DEPTH = 6
    END_WIDTH = 7
    END_PAUSED = 8

    STEP_BLOCKED = 0
    STEP_OK = 1
    STEP_MISSING = 2
    STEP_FAIL = 3

    MODE_FULL = 0
    MODE_SOLO = 1

    # A chain of states expanded for one task only is stored at the latest after so many.
    CHAIN = 256

    # Futures are asked of so many states; if fewer than one in so many had an answer, not again
    # before so many states, those included.
    TRIAL = 4096
    WORTHWHILE = 16
    PAUSE = 65536

    # So many violating terminal states at most guide the search for few context switches.
    TARGETS = 2048


cdef struct Undo:
    int32_t slot      # cell index, or ~task
    int32_t old


cdef struct Frame:
    uint64_t fp
    uint64_t known    # plain search: tasks (of the first 64) whose step leads to a stored state
    uint64_t key      # what the state is stored as: the fingerprint of the least of its images
    uint64_t members  # the tasks (of the first 64) that the state is expanded for
    int64_t undo      # length of the undo log when the state was entered
    int32_t task      # next task to try
    int32_t choice
    int32_t chain     # solo states since the last stored one
    int16_t came_task
    int16_t came_choice
    int16_t choices   # of the task that it is expanded for alone
    uint8_t mode
    uint8_t enabled
    uint8_t stored
    uint8_t entered   # how it is expanded has been decided
    uint8_t forward   # the last stored state was expanded for some tasks only
    uint8_t order     # in which its tasks are tried


cdef enum:
    # What a thread asks of the main one.
    FOR_ENTRY = 1
    FOR_CHILD = 2


cdef double monotonic() noexcept nogil


@cython.final
cdef class Core:
    cdef readonly int ncell, ntask
    cdef object filler
    cdef readonly Behaviour tables
    cdef Node *nodes                   # those of the tables, as are the next two
    cdef Probe *probes
    cdef uint8_t *watched
    cdef int32_t *val
    cdef int32_t *loc
    cdef Undo *undo
    cdef int64_t nundo, undo_capacity
    cdef Frame *frames
    cdef int64_t depth, frame_capacity
    cdef refault_set known
    cdef refault_path stack
    cdef readonly bint cyclic          # some run can come back to a state
    cdef readonly bint guessed         # for all that is known of that
    cdef readonly uint64_t states
    cdef readonly uint64_t transitions, terminals
    cdef readonly int64_t deepest
    cdef readonly uint64_t misses
    cdef int32_t miss_node, miss_value, fail
    cdef int32_t question              # FOR_*
    cdef bint touched
    cdef readonly dict counts          # finding -> how often
    cdef readonly dict paths           # finding -> list of (task, choice)
    cdef object terminal_sink
    cdef dict targets                  # finding -> bytes of the locations where it was found
    cdef readonly bint targets_cut     # more than TARGETS of them
    cdef uint64_t max_states, max_memory
    cdef double deadline
    cdef object tick
    cdef uint64_t again_at             # restart after so many transitions; 0: not at all
    cdef refault_unit *pending         # stacks to go on with after the present one
    cdef refault_unit *unit            # the one that is being installed
    cdef refault_crew *crew            # the threads that this is one of; NULL: there is only this
    cdef refault_worker *me
    cdef public bint whole             # what threads left undone is all here again
    cdef refault_shared *lent          # where the set of this core is while threads have it
    cdef int64_t base                  # nothing is left to try in the frames below
    cdef uint64_t lease                # states that may be stored before asking for more
    cdef bint full                     # no more states may be stored
    cdef uint8_t order                 # of the tasks, at states that are entered
    cdef bint recording                # what is added, for another process
    cdef uint64_t *fresh_words
    cdef int64_t nfresh, fresh_capacity
    cdef uint64_t *against             # scratch: what the step being looked at conflicts with
    cdef bint folding                  # states are stored up to permutations of identical tasks
    cdef uint64_t *turned              # scratch: what those change the fingerprint by
    cdef uint64_t near[64]             # scratch: per task, whose futures are in its way
    cdef uint64_t members              # what pick_by_futures() found
    cdef int asked, gained             # how often the futures were asked, and had an answer
    cdef bint idle                     # they are not asked for a while
    cdef bint opposed                  # against holds anything
    cdef bint backward                 # where the step that survey() looked at leads

    cdef uint64_t reset(self) noexcept nogil
    cdef int step(self, int t, int choice, uint64_t *fp, bint *solo) except -1 nogil
    cdef int fill(self) except -1 nogil
    cdef int fill_here(self) except -1 with gil
    cdef int fill_probe(self, int probe, int value) except -1 nogil
    cdef int fill_probe_here(self) except -1 with gil
    cdef int await_answer(self, int question) except -1 nogil
    cdef int answer(self) except -1
    cdef int ask(self, int probe) except -100 nogil
    cdef int push(self, uint64_t fp, int64_t undo, int task, int choice) except -1 nogil
    cdef int note_fresh(self, uint64_t fp) except -1 nogil
    cdef int note_stored(self, Frame *f) except -1 nogil
    cdef void drop_pending(self) noexcept nogil
    cdef uint64_t canonical(self, uint64_t fp) noexcept nogil
    cdef bint store(self, Frame *f) except -1 nogil
    cdef int pick_solo(self, bint forward) except -2 nogil
    cdef int pick_by_futures(self, bint forward) except -2 nogil
    cdef int pick_several(self, bint forward, uint64_t able, uint64_t back, uint64_t unsure) noexcept nogil
    cdef int survey(self, int t) except -1 nogil
    cdef int survey_choice(self, int t) except -1 nogil
    cdef bint oppose(self, int row, int32_t value) noexcept nogil
    cdef bint pays(self) noexcept nogil
    cdef uint64_t in_the_way(self, int t) noexcept nogil
    cdef void look_ahead(self, Frame *f) noexcept nogil
    cdef void look_ahead_shared(self, Frame *f, int n) noexcept nogil
    cdef bint enter(self, bint reduce) except -1 nogil
    cdef int report(self, int finding, bint failed_step) except -1 with gil
    cdef int terminal(self) except -1 nogil
    cdef int aim(self, int finding) except -1 with gil
    cdef int aim_anew(self) except -1
    cdef void pop(self) noexcept nogil
    cdef int bounds(self) except -1 with gil
    cdef int begin(self) except -1
    cdef bint start(self, bint reduce) except -1
    cdef int visit_all(self, bint reduce) except -1 nogil
    cdef int visit_pending(self, bint reduce) except -1 nogil
    cdef int work(self, bint reduce) except -1 nogil
    cdef refault_unit *stack_to(self, int64_t depth) except NULL nogil
    cdef int lay_aside(self) except -1 nogil
    cdef void take_over(self, refault_unit *u) noexcept nogil
    cdef bint install(self, refault_unit *u) except -1 nogil
    cdef int go_to(self, refault_unit *u) except -1 nogil
    cdef bint much_left(self, Frame *f) noexcept nogil
    cdef int share_work(self) except -1 nogil
    cdef int prepare(self, bint reduce, uint64_t max_states, terminal_sink) except -1
    cdef int task_of(self, Frame *f, int i) noexcept nogil
    cdef int widen(self) except -1 nogil
    cdef int log(self, int32_t slot, int32_t old) except -1 nogil
    cdef void undo_to(self, int64_t mark) noexcept nogil
    cdef int options(self, int t) noexcept nogil
    cdef int32_t slot(self, int32_t s) noexcept nogil
    cdef Entry *next_entry(self, int t) noexcept nogil
