# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Livelocks: cycles of the state graph that a fair scheduler can follow for ever.

The graph of all states is built once, without reduction, each edge with the task that takes it. In a
strongly connected component, a run that visits all of it is *weakly* fair if each task that can take
a step in every state of it takes one inside it, and *strongly* fair if each task that can take a
step in some state of it does. A component that is not weakly fair holds no weakly fair run; one that
is weakly but not strongly fair may hold a strongly fair one among the states in which the starving
task cannot move, so those are decomposed again (Streett). What comes out:

* a strongly fair component in which a task that is no daemon takes steps and is not done: a
  **livelock**, no fair lock or scheduler helps;
* a component that is only weakly fair, with such a task: somebody could get on and never does,
  **starvation**, which a fair lock or queue rules out;
* a strongly fair component in which the tasks that are not done take no step and cannot: they are
  **stuck** while daemons go on; it is judged like a terminal state.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int16_t, int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc

from refault.explore.engines._behaviour cimport NODE_DONE
from refault.explore.engines._core cimport (
    END_COMPLETE, END_MEMORY, END_STATES, END_TIME, STEP_BLOCKED, STEP_FAIL, STEP_MISSING, Core,
    monotonic, refault_resident, refault_words,
)


cdef enum:
    MOST = 1 << 30    # states, of which the numbers fit
    LOOK = 1 << 16    # states between two looks at the clock


class Late(Exception):
    """The time was up before an answer was there."""


cdef struct Edge:
    int32_t source
    int32_t target
    int16_t task
    int16_t choice


cdef struct State:
    uint64_t enabled  # tasks that can take a step
    int32_t parent
    int16_t task      # the step by which it was first reached
    int16_t choice


cdef struct Frame:
    int32_t state
    int32_t task
    int32_t choice
    int32_t pad
    int64_t undo
    uint64_t fp


cdef class Graph:
    """The state graph, and its fair components."""

    cdef Core core
    cdef uint64_t *keys
    cdef int32_t *numbers
    cdef uint64_t mask
    cdef State *states
    cdef readonly int32_t nstate
    cdef int32_t state_capacity
    cdef Edge *edges
    cdef readonly int64_t nedge
    cdef int64_t edge_capacity
    cdef Frame *frames
    cdef int64_t depth, frame_capacity
    cdef int64_t *out              # edges of a state: out[s] .. out[s + 1]
    cdef int32_t *label            # which set of states a state belongs to; 0: none any more
    cdef int32_t *index
    cdef int32_t *low
    cdef int32_t *stack
    cdef int32_t *path
    cdef int64_t *cursor
    cdef uint64_t max_memory
    cdef int32_t max_states, labels
    cdef double deadline

    def __cinit__(self, Core core):
        self.core = core
        if core.ntask > 64:
            raise ValueError("at most 64 tasks")

    def __dealloc__(self):
        free(self.keys)
        free(self.numbers)
        free(self.states)
        free(self.edges)
        free(self.frames)
        free(self.out)
        free(self.label)
        free(self.index)
        free(self.low)
        free(self.stack)
        free(self.path)
        free(self.cursor)

    # ---- building ------------------------------------------------------------------------------

    def build(self, *, max_states, uint64_t max_memory, double seconds):
        """Visit all states and keep them with their edges. COMPLETE or a LIMIT_* code."""
        cdef int code
        self.max_states = min(max_states, 2**31 - 1)
        self.max_memory = max_memory
        self.deadline = monotonic() + seconds
        self.mask = (1 << 12) - 1
        self.keys = refault_words(self.mask + 1)
        self.numbers = <int32_t *> calloc(self.mask + 1, sizeof(int32_t))
        if self.keys == NULL or self.numbers == NULL:
            raise MemoryError
        with nogil:
            code = self.visit_all()
        if code == END_COMPLETE:
            self.sort_edges()
        return code

    cdef int32_t number(self, uint64_t fp, bint *fresh) noexcept nogil:
        cdef uint64_t i = fp & self.mask
        while self.keys[i]:
            if self.keys[i] == fp:
                fresh[0] = False
                return self.numbers[i]
            i = (i + 1) & self.mask
        self.keys[i] = fp
        self.numbers[i] = self.nstate
        fresh[0] = True
        return self.nstate

    cdef int grow_table(self) except -1 nogil:
        cdef uint64_t size = self.mask + 1, i, j
        cdef uint64_t *keys = self.keys
        cdef int32_t *numbers = self.numbers
        cdef uint64_t *wider = refault_words(2 * size)
        cdef int32_t *more = <int32_t *> malloc(2 * size * sizeof(int32_t))
        if wider == NULL or more == NULL:
            free(wider)
            free(more)
            with gil:
                raise MemoryError
        self.keys = wider
        self.numbers = more
        self.mask = 2 * size - 1
        for i in range(size):
            if keys[i]:
                j = keys[i] & self.mask
                while self.keys[j]:
                    j = (j + 1) & self.mask
                self.keys[j] = keys[i]
                self.numbers[j] = numbers[i]
        free(keys)
        free(numbers)
        return 0

    cdef int add_state(self, int32_t parent, int task, int choice) except -1 nogil:
        cdef State *s
        cdef int64_t room
        if self.nstate == self.state_capacity:
            room = max(4096, 2 * <int64_t> self.state_capacity)
            s = <State *> realloc(self.states, room * sizeof(State)) if room < MOST else NULL
            if s == NULL:
                with gil:
                    raise MemoryError
            self.states = s
            self.state_capacity = room
        s = &self.states[self.nstate]
        s.enabled = 0
        s.parent = parent
        s.task = task
        s.choice = choice
        self.nstate += 1
        if <uint64_t> self.nstate * 10 > (self.mask + 1) * 7:
            self.grow_table()
        return 0

    cdef int add_edge(self, int32_t source, int32_t target, int task, int choice) except -1 nogil:
        cdef Edge *e
        if self.nedge == self.edge_capacity:
            e = <Edge *> realloc(self.edges, max(8192, 2 * self.edge_capacity) * sizeof(Edge))
            if e == NULL:
                with gil:
                    raise MemoryError
            self.edges = e
            self.edge_capacity = max(8192, 2 * self.edge_capacity)
        e = &self.edges[self.nedge]
        e.source = source
        e.target = target
        e.task = task
        e.choice = choice
        self.nedge += 1
        return 0

    cdef int push(self, int32_t state, int64_t undo, uint64_t fp) except -1 nogil:
        cdef Frame *f
        if self.depth + 1 == self.frame_capacity or self.frames == NULL:
            f = <Frame *> realloc(self.frames, max(1024, 2 * self.frame_capacity) * sizeof(Frame))
            if f == NULL:
                with gil:
                    raise MemoryError
            self.frames = f
            self.frame_capacity = max(1024, 2 * self.frame_capacity)
        self.depth += 1
        f = &self.frames[self.depth]
        f.state = state
        f.task = 0
        f.choice = 0
        f.undo = undo
        f.fp = fp
        return 0

    cdef bint sound(self) except -1 nogil:
        """Whether every invariant holds here; what follows a broken one does not count."""
        cdef int i
        for i in range(self.core.tables.ninvariant):
            if self.core.ask(self.core.tables.invariants[i]) >= 0:
                return False
        return True

    cdef int bounds(self) except -1 with gil:
        PyErr_CheckSignals()
        if monotonic() > self.deadline:
            return END_TIME
        if refault_resident() > self.max_memory:
            return END_MEMORY
        return END_STATES if self.nstate > self.max_states else END_COMPLETE

    cdef int look(self) except -1:
        """Raise ``Late`` or ``MemoryError`` where a bound is passed."""
        cdef int code = self.bounds()
        if code == END_TIME:
            raise Late
        if code == END_MEMORY:
            raise MemoryError
        return 0

    cdef int visit_all(self) except -1 nogil:
        cdef uint64_t fp = self.core.reset()
        cdef bint fresh, solo
        cdef int code, t
        cdef int64_t mark
        cdef int32_t n
        cdef Frame *f
        cdef int64_t ticks = 0
        self.depth = -1
        self.number(fp, &fresh)
        self.add_state(-1, -1, 0)
        self.push(0, 0, fp)
        if not self.sound():
            self.depth = -1
        while self.depth >= 0:
            f = &self.frames[self.depth]
            t = f.task
            if t >= self.core.ntask:
                self.core.undo_to(f.undo)
                self.depth -= 1
                continue
            if f.choice >= self.core.options(t):
                f.task += 1
                f.choice = 0
                continue
            mark = self.core.nundo
            fp = f.fp
            code = self.core.step(t, f.choice, &fp, &solo)
            if code == STEP_MISSING:
                self.core.fill()
                continue
            f.choice += 1
            if code == STEP_BLOCKED:
                continue
            self.states[f.state].enabled |= <uint64_t> 1 << t
            if code == STEP_FAIL:
                self.core.undo_to(mark)
                continue
            n = self.number(fp, &fresh)
            self.add_edge(f.state, n, t, f.choice - 1)
            if not fresh:
                self.core.undo_to(mark)
                continue
            self.add_state(f.state, t, f.choice - 1)
            if not self.sound():
                self.core.undo_to(mark)
                continue
            self.push(n, mark, fp)
            ticks += 1
            if ticks % 32768 == 0:
                code = self.bounds()
                if code:
                    return code
        return 0

    cdef int sort_edges(self) except -1:
        """Edges by source (a counting sort), and the arrays for the decomposition."""
        cdef int64_t i
        cdef int32_t s
        cdef Edge *sorted_edges = <Edge *> malloc((self.nedge + 1) * sizeof(Edge))
        self.out = <int64_t *> calloc(self.nstate + 2, sizeof(int64_t))
        self.label = <int32_t *> malloc((self.nstate + 1) * sizeof(int32_t))
        self.index = <int32_t *> malloc((self.nstate + 1) * sizeof(int32_t))
        self.low = <int32_t *> malloc((self.nstate + 1) * sizeof(int32_t))
        self.stack = <int32_t *> malloc((self.nstate + 1) * sizeof(int32_t))
        self.path = <int32_t *> malloc((self.nstate + 1) * sizeof(int32_t))
        self.cursor = <int64_t *> malloc((self.nstate + 1) * sizeof(int64_t))
        if not (sorted_edges and self.out and self.label and self.index and self.low
                and self.stack and self.path and self.cursor):
            raise MemoryError
        for i in range(self.nedge):
            self.out[self.edges[i].source + 1] += 1
        for s in range(self.nstate):
            self.out[s + 1] += self.out[s]
            self.label[s] = 1
            self.cursor[s] = self.out[s]
        for i in range(self.nedge):
            sorted_edges[self.cursor[self.edges[i].source]] = self.edges[i]
            self.cursor[self.edges[i].source] += 1
        free(self.edges)
        self.edges = sorted_edges
        self.labels = 1
        return 0

    # ---- fair components -----------------------------------------------------------------------

    cdef list decompose(self, list members, int32_t label):
        """The strongly connected components of the states labelled ``label`` (iterative Tarjan).

        ``members`` are those states, or ``None`` for all states there are. Only components with an
        edge inside are returned, as lists of states with a label each.
        """
        cdef int32_t root, s, u, n = 0, top = 0, depth = 0, size, count, k
        cdef int64_t e
        cdef list found = []
        cdef bint inside
        count = self.nstate if members is None else len(members)
        for k in range(count):
            root = k if members is None else members[k]
            self.index[root] = -1
        for k in range(count):
            root = k if members is None else members[k]
            if self.index[root] >= 0:
                continue
            self.path[0] = root
            depth = 1
            self.index[root] = self.low[root] = n
            n += 1
            if n % LOOK == 0:
                self.look()
            self.cursor[root] = self.out[root]
            self.stack[top] = root
            top += 1
            while depth:
                s = self.path[depth - 1]
                if self.cursor[s] < self.out[s + 1]:
                    u = self.edges[self.cursor[s]].target
                    self.cursor[s] += 1
                    if self.label[u] != label:
                        continue
                    if self.index[u] < 0:
                        self.index[u] = self.low[u] = n
                        n += 1
                        if n % LOOK == 0:
                            self.look()
                        self.cursor[u] = self.out[u]
                        self.stack[top] = u
                        top += 1
                        self.path[depth] = u
                        depth += 1
                    elif self.index[u] < self.low[s]:
                        self.low[s] = self.index[u]
                    continue
                depth -= 1
                if depth and self.low[s] < self.low[self.path[depth - 1]]:
                    self.low[self.path[depth - 1]] = self.low[s]
                if self.low[s] != self.index[s]:
                    continue
                size = top
                while self.stack[size - 1] != s:
                    size -= 1
                size -= 1
                inside = top - size > 1
                if not inside:
                    for e in range(self.out[s], self.out[s + 1]):
                        inside = inside or self.edges[e].target == s
                if inside:
                    self.labels += 1
                    found.append((self.labels, [self.stack[i] for i in range(size, top)]))
                for i in range(size, top):
                    self.label[self.stack[i]] = self.labels if inside else 0
                    self.index[self.stack[i]] = n + 1
                top = size
        return found

    cdef tuple masks(self, list members, int32_t label):
        """(tasks enabled in all states, in some state, tasks with a step inside)."""
        cdef uint64_t everywhere = ~<uint64_t> 0, somewhere = 0, inside = 0
        cdef int32_t s
        cdef int64_t e
        for s in members:
            everywhere &= self.states[s].enabled
            somewhere |= self.states[s].enabled
            for e in range(self.out[s], self.out[s + 1]):
                if self.label[self.edges[e].target] == label:
                    inside |= <uint64_t> 1 << self.edges[e].task
        return everywhere, somewhere, inside

    def fair(self):
        """Each fair component: (states, tasks that step inside it, tasks that starve there).

        Nobody starves in a strongly fair one. A component that is only weakly fair is returned with the
        starving tasks, followed by the strongly fair ones within. ``Late`` where the time is up.
        """
        cdef int32_t label, s
        cdef list work = self.decompose(None, 1), rest
        cdef list found = []
        cdef uint64_t starving, weak
        while work:
            self.look()
            label, members = work.pop()
            everywhere, somewhere, inside = self.masks(members, label)
            weak = everywhere & ~inside
            if weak:
                continue
            starving = somewhere & ~inside
            found.append((members, inside, starving))
            if not starving:
                continue
            rest = [s for s in members if not self.states[s].enabled & starving]
            for s in members:
                if self.states[s].enabled & starving:
                    self.label[s] = 0
            work.extend(self.decompose(rest, label))
        return found

    # ---- what to show of a component -----------------------------------------------------------

    def stem(self, int32_t state):
        """A schedule from the initial state to ``state``."""
        steps = []
        while self.states[state].parent >= 0:
            steps.append((self.states[state].task, self.states[state].choice))
            state = self.states[state].parent
        steps.reverse()
        return steps

    def cycle(self, members, int32_t start, inside):
        """A round trip from ``start`` inside the component that is fair: as (task, choice) steps.

        Each task of ``inside`` takes a step, or is seen in a state in which it cannot. ``Late`` where
        the time is up.
        """
        cdef set component = set(members)
        cdef list steps = []
        cdef int32_t at = start
        missing = {t for t in range(self.core.ntask) if inside >> t & 1}
        while missing:
            missing -= {t for t in missing if not self.states[at].enabled >> t & 1}
            if not missing and steps:
                break
            way = self.walk(component, at, missing, -1)
            if way is None:
                break
            for task, choice, at in way:
                steps.append((task, choice))
                missing -= {t for t in missing if not self.states[at].enabled >> t & 1}
                missing.discard(task)
        if at != start or not steps:
            for task, choice, at in self.walk(component, at, set(), start):
                steps.append((task, choice))
        return steps

    cdef object walk(self, set component, int32_t at, set tasks, int32_t goal):
        """The shortest walk from ``at`` that ends with a step of one of ``tasks``, or in ``goal``."""
        cdef int64_t e
        cdef dict came = {at: None}
        cdef list queue = [at], way
        cdef int32_t s, u
        for number, here in enumerate(queue):
            if number % LOOK == 0:
                self.look()
            s = here
            for e in range(self.out[s], self.out[s + 1]):
                u = self.edges[e].target
                if u not in component:
                    continue
                step = (s, self.edges[e].task, self.edges[e].choice, u)
                if self.edges[e].task in tasks or u == goal:
                    way = []
                    while step is not None:
                        way.append(step[1:])
                        step = came[step[0]]
                    way.reverse()
                    return way
                if u not in came:
                    came[u] = step
                    queue.append(u)
        return None

    def fingerprints(self, members):
        """The fingerprints of some states."""
        cdef uint64_t i
        wanted = set(members)
        return {self.keys[i] for i in range(self.mask + 1)
                if self.keys[i] and self.numbers[i] in wanted}

    def state(self, uint64_t fp):
        """The state with a fingerprint."""
        cdef bint fresh
        return self.number(fp, &fresh)

    def visit(self, path):
        """Put the core into the state that ``path`` leads to."""
        cdef uint64_t fp = self.core.reset()
        cdef bint solo
        for task, choice in path:
            self.core.step(task, choice, &fp, &solo)

    def done(self):
        """The tasks that are done in the core's present state, as a mask."""
        cdef uint64_t mask = 0
        cdef int t
        for t in range(self.core.ntask):
            if self.core.nodes[self.core.loc[t]].cell == NODE_DONE:
                mask |= <uint64_t> 1 << t
        return mask

    def judge(self):
        """What the judgement of terminal states says of the core's present state, or -1."""
        if self.core.tables.terminal_probe < 0:
            return -1
        return max(self.core.ask(self.core.tables.terminal_probe), -1)
