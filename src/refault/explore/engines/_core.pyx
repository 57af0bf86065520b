# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The native core: searches over ints, knows neither cells nor tasks by name.

A state is ``val`` (an interned value per cell) and ``loc`` (a behaviour-table node per task, see
``_behaviour``). A *step* of a task follows entries until it reaches a node that does not continue an
atomic block; a blocked entry on the way undoes it all.

The fingerprint of a state is the exclusive or of one key per slot (see ``keys``), so a step changes it
by a constant that the entry holds: the fingerprint of a successor is known before the successor
is built, its line of the table is fetched ahead, and most steps, which lead to states already
known, cost one load and one exclusive or. The search keeps one state and an undo log.

Whatever is missing in a table is asked of ``filler.fill(node, value)`` with the GIL held; all
the rest runs without it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from refault.explore.engines._behaviour cimport (
    BLOCKED, MISSING, NODE_CHOOSE, NODE_DONE, NODE_FAIL, Behaviour, Entry, Images, Node, Probe, known_child,
    known_entry, refault_load, refault_solo, refault_watched,
)
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

COMPLETE, LIMIT_STATES, LIMIT_MEMORY = END_COMPLETE, END_STATES, END_MEMORY
LIMIT_TIME, RESTART, INTERRUPTED = END_TIME, END_RESTART, END_INTERRUPTED
LIMIT_DEPTH, LIMIT_WIDTH, PAUSED = END_DEPTH, END_WIDTH, END_PAUSED


cdef double monotonic() noexcept nogil:
    cdef timespec ts
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return ts.tv_sec + ts.tv_nsec * 1e-9


class Stopped(Exception):
    """The search stops while this thread waits for an answer."""


@cython.final
cdef class Core:
    """One search at a time over ``tables``; ``filler`` fills them where they lack something."""

    def __cinit__(self, Behaviour tables, filler):
        cdef int cells = tables.ncell, tasks = tables.ntask
        self.ncell = cells
        self.ntask = tasks
        self.filler = filler
        self.tables = tables
        self.depth = -1
        self.whole = True
        self.nodes = tables.nodes
        self.probes = tables.probes
        self.watched = tables.watched
        self.val = <int32_t *> calloc(cells + 1, sizeof(int32_t))
        self.loc = <int32_t *> calloc(tasks + 1, sizeof(int32_t))
        self.counts = {}
        self.paths = {}
        self.targets = {}
        if not (self.val and self.loc):
            raise MemoryError

    def __dealloc__(self):
        free(self.val)
        free(self.loc)
        free(self.undo)
        free(self.frames)
        refault_free(&self.known)
        free(self.stack.words)
        free(self.against)
        free(self.turned)
        free(self.fresh_words)
        self.drop_pending()

    cdef void drop_pending(self) noexcept nogil:
        cdef refault_unit *u
        if self.unit != NULL:
            self.take_over(self.unit)
        while self.pending != NULL:
            u = self.pending
            self.pending = u.next
            refault_unit_free(u)

    def value(self, int slot):
        """The present value of a cell, or the node of ``~task``."""
        return self.val[slot] if slot >= 0 else self.loc[~slot]

    # ---- state ---------------------------------------------------------------------------------

    cdef uint64_t reset(self) noexcept nogil:
        cdef int32_t *root = self.tables.root
        memcpy(self.val, root, self.ncell * sizeof(int32_t))
        memcpy(self.loc, root + self.ncell, self.ntask * sizeof(int32_t))
        self.nundo = 0
        return self.tables.root_fp

    cdef int log(self, int32_t slot, int32_t old) except -1 nogil:
        cdef Undo *u
        if self.nundo == self.undo_capacity:
            u = <Undo *> realloc(self.undo, max(1024, 2 * self.undo_capacity) * sizeof(Undo))
            if u == NULL:
                with gil:
                    raise MemoryError
            self.undo = u
            self.undo_capacity = max(1024, 2 * self.undo_capacity)
        self.undo[self.nundo].slot = slot
        self.undo[self.nundo].old = old
        self.nundo += 1
        return 0

    cdef void undo_to(self, int64_t mark) noexcept nogil:
        cdef Undo *u
        while self.nundo > mark:
            self.nundo -= 1
            u = &self.undo[self.nundo]
            if u.slot >= 0:
                self.val[u.slot] = u.old
            else:
                self.loc[~u.slot] = u.old

    cdef int options(self, int t) noexcept nogil:
        """How many outcomes the next step of task ``t`` may have (0: it is done)."""
        cdef Node *n = &self.nodes[self.loc[t]]
        if n.cell >= 0:
            return 1
        if n.cell == NODE_CHOOSE:
            return n.arg
        return 0

    cdef int step(self, int t, int choice, uint64_t *fp, bint *solo) except -1 nogil:
        """Do one step of task ``t``; on success ``fp`` is the new fingerprint.

        ``solo`` tells whether every operation of the step is flagged so.
        """
        cdef int64_t mark = self.nundo
        cdef int32_t here = self.loc[t], v
        cdef Node *n
        cdef Entry *e
        cdef uint64_t f = fp[0]
        solo[0] = True
        self.touched = False
        self.log(~t, here)
        while True:
            n = &self.nodes[here]
            if n.cell >= 0:
                v = self.val[n.cell]
            elif n.cell == NODE_CHOOSE:
                v = choice
            else:
                self.undo_to(mark)
                return STEP_BLOCKED
            e = known_entry(n, v)
            if e == NULL:
                self.undo_to(mark)
                self.miss_node = here
                self.miss_value = v
                return STEP_MISSING
            if e.newv == BLOCKED:
                self.undo_to(mark)
                return STEP_BLOCKED
            solo[0] = solo[0] and refault_solo(&n.solo)
            if n.cell >= 0 and e.newv != v:
                self.log(n.cell, v)
                self.val[n.cell] = e.newv
                self.touched = self.touched or refault_watched(self.watched + n.cell)
            f ^= e.delta
            if e.next >= 0:
                here = e.next
                break
            here = ~e.next
        self.loc[t] = here
        fp[0] = f
        if self.nodes[here].cell == NODE_FAIL:
            self.fail = self.nodes[here].arg
            return STEP_FAIL
        return STEP_OK

    cdef int fill(self) except -1 nogil:
        """Have the entry of the miss filled: here, or by the main thread."""
        if self.crew != NULL:
            return self.await_answer(FOR_ENTRY)
        return self.fill_here()

    cdef int fill_here(self) except -1 with gil:
        self.misses += 1
        self.filler.fill(self.miss_node, self.miss_value)
        return 0

    cdef int fill_probe(self, int probe, int value) except -1 nogil:
        self.miss_node = probe
        self.miss_value = value
        if self.crew != NULL:
            return self.await_answer(FOR_CHILD)
        return self.fill_probe_here()

    cdef int fill_probe_here(self) except -1 with gil:
        self.filler.fill_probe(self, self.miss_node, self.miss_value)
        return 0

    cdef int await_answer(self, int question) except -1 nogil:
        self.question = question
        if not refault_question(self.crew, self.me):
            with gil:
                raise Stopped
        return 0

    cdef int answer(self) except -1:
        """The main thread, to this one: fill what it asks for, if nobody else has asked before."""
        if self.question == FOR_ENTRY:
            if known_entry(&self.nodes[self.miss_node], self.miss_value) == NULL:
                self.fill_here()
        elif known_child(&self.probes[self.miss_node], self.miss_value) == MISSING:
            self.fill_probe_here()
        return 0

    cdef int ask(self, int probe) except -100 nogil:
        """Walk a decision tree: the finding, or -2."""
        cdef int32_t v, child
        while True:
            v = self.slot(self.probes[probe].slot)
            child = known_child(&self.probes[probe], v)
            if child == MISSING:
                self.fill_probe(probe, v)
                continue
            if child >= 0:
                probe = child
            elif child == -2:
                return -2
            else:
                return -(child + 3)

    cdef int32_t slot(self, int32_t s) noexcept nogil:
        return self.val[s] if s >= 0 else self.loc[~s]

    # ---- exhaustive search ---------------------------------------------------------------------

    cdef int push(self, uint64_t fp, int64_t undo, int task, int choice) except -1 nogil:
        cdef Frame *f
        if self.depth + 1 == self.frame_capacity:
            f = <Frame *> realloc(self.frames, max(1024, 2 * self.frame_capacity) * sizeof(Frame))
            if f == NULL:
                with gil:
                    raise MemoryError
            self.frames = f
            self.frame_capacity = max(1024, 2 * self.frame_capacity)
        self.depth += 1
        if self.depth > self.deepest:
            self.deepest = self.depth
        f = &self.frames[self.depth]
        memset(f, 0, sizeof(Frame))
        f.fp = fp
        f.undo = undo
        f.came_task = task
        f.came_choice = choice
        f.members = EVERYBODY
        f.order = self.order
        return 0

    cdef uint64_t canonical(self, uint64_t fp) noexcept nogil:
        """The smallest fingerprint of all images of the present state; ``fp`` is its own."""
        cdef int i, k, n = self.tables.permutations
        cdef uint64_t least = fp
        cdef uint64_t *by
        cdef Images *images
        memset(self.turned, 0, n * 8)
        for i in range(self.ncell):
            images = &self.tables.images[i]
            if self.val[i] < refault_load(&images.size):
                by = images.of[self.val[i]]
                if by != NULL:
                    for k in range(n):
                        self.turned[k] ^= by[k]
        for i in range(self.ntask):
            by = self.nodes[self.loc[i]].images
            if by != NULL:
                for k in range(n):
                    self.turned[k] ^= by[k]
        for k in range(n):
            least = min(least, fp ^ self.turned[k])
        return least

    cdef bint store(self, Frame *f) except -1 nogil:
        """Put the state of the top frame into the set; false if it is there already."""
        cdef int code
        f.key = self.canonical(f.fp) if self.folding else f.fp
        if self.crew != NULL:
            code = refault_shared_add(&self.crew.set, f.key)
        else:
            code = refault_add(&self.known, f.key)
        if code < 0:
            with gil:
                raise MemoryError
        if code:
            self.note_stored(f)
        elif not self.cyclic and refault_path_has(&self.stack, f.key):
            self.cyclic = True
        return code

    cdef int note_stored(self, Frame *f) except -1 nogil:
        self.states += 1
        f.stored = 1
        if self.recording:
            self.note_fresh(f.key)
        if self.crew != NULL:
            if self.lease == 0:
                self.lease = refault_lease(self.crew)
            if self.lease == 0:
                self.full = True
            else:
                self.lease -= 1
        elif refault_path_add(&self.stack, f.key):
            with gil:
                raise MemoryError
        return 0

    cdef int note_fresh(self, uint64_t fp) except -1 nogil:
        cdef uint64_t *words
        if self.nfresh == self.fresh_capacity:
            self.fresh_capacity = 2 * self.fresh_capacity + 1024
            words = <uint64_t *> realloc(self.fresh_words, self.fresh_capacity * 8)
            if words == NULL:
                with gil:
                    raise MemoryError
            self.fresh_words = words
        self.fresh_words[self.nfresh] = fp
        self.nfresh += 1
        return 0

    cdef int pick_solo(self, bint forward) except -2 nogil:
        """A task whose next step commutes with all that others may do, or -1.

        ``forward``: it must lead to a local state with a higher number.
        """
        cdef int t, code
        cdef int32_t landed
        cdef Node *n
        cdef bint solo
        cdef uint64_t fp
        cdef int64_t mark = self.nundo
        for t in range(self.ntask):
            n = &self.nodes[self.loc[t]]
            if not refault_solo(&n.solo):
                continue
            if n.cell == NODE_CHOOSE:
                if forward:
                    self.survey_choice(t)
                    if self.backward:
                        continue
                return t
            while True:
                fp = 0
                code = self.step(t, 0, &fp, &solo)
                landed = self.loc[t]
                self.undo_to(mark)
                if code != STEP_MISSING:
                    break
                self.fill()
            if code == STEP_OK and solo and not (forward and self.nodes[landed].rank <= self.nodes[self.loc[t]].rank):
                return t
        return -1

    cdef bint oppose(self, int row, int32_t value) noexcept nogil:
        """Add what conflicts at ``value`` to ``against``; false where that is not known."""
        cdef int i
        cdef int32_t mask
        cdef uint64_t *words
        if value >= self.tables.count[row]:
            return False
        mask = self.tables.rows[self.tables.first[row] + value]
        if mask < 0:
            return False
        if mask == 0:
            return True
        self.opposed = True
        words = self.tables.masks + <int64_t> mask * self.tables.words
        for i in range(self.tables.words):
            self.against[i] |= words[i]
        return True

    cdef uint64_t in_the_way(self, int t) noexcept nogil:
        """The tasks other than ``t`` that may still do something that ``against`` holds."""
        cdef int u, i, words = self.tables.words
        cdef uint64_t tasks = 0
        cdef uint64_t *future
        if not self.opposed:
            return 0
        for u in range(self.ntask):
            if u == t or self.nodes[self.loc[u]].cell == NODE_DONE:
                continue
            if self.loc[u] >= self.tables.nfuture:
                tasks |= <uint64_t> 1 << min(u, 63)
                continue
            future = self.tables.future + <int64_t> self.loc[u] * words
            for i in range(words):
                if future[i] & self.against[i]:
                    tasks |= <uint64_t> 1 << min(u, 63)
                    break
        return tasks

    cdef int survey_choice(self, int t) except -1 nogil:
        """As ``survey``, of a task that makes a choice: that conflicts with nothing."""
        cdef Node *n = &self.nodes[self.loc[t]]
        cdef Entry *e
        cdef int i, code = STEP_OK
        self.backward = False
        for i in range(n.arg):
            e = known_entry(n, i)
            if e == NULL:
                self.miss_node = self.loc[t]
                self.miss_value = i
                self.fill()
                e = known_entry(n, i)
            if self.nodes[e.next].cell == NODE_FAIL:
                code = STEP_FAIL
            self.backward = self.backward or self.nodes[e.next].rank <= n.rank
        return code

    cdef int survey(self, int t) except -1 nogil:
        """Look at the next step of task ``t``: ``against`` is what must not come before it.

        Of a step that is blocked: what would change the value at which it is. STEP_MISSING where
        the futures do not tell. ``backward``: it leads to no local state with a higher number.
        """
        cdef int64_t mark = self.nundo
        cdef int32_t here = self.loc[t], v
        cdef Node *n = &self.nodes[here]
        cdef Entry *e
        cdef int code
        memset(self.against, 0, self.tables.words * 8)
        self.opposed = False
        if n.cell == NODE_CHOOSE:
            return self.survey_choice(t)
        while True:
            n = &self.nodes[here]
            v = self.val[n.cell]
            e = known_entry(n, v)
            if e == NULL:
                self.undo_to(mark)
                self.miss_node = here
                self.miss_value = v
                self.fill()
                here = self.loc[t]
                memset(self.against, 0, self.tables.words * 8)
                continue
            if e.newv == BLOCKED:
                code = STEP_BLOCKED
                if here != self.loc[t] or not self.oppose(self.tables.nsignature + n.cell, v):
                    code = STEP_MISSING
                break
            if here >= self.tables.nfuture or not self.oppose(self.tables.signature[here], v):
                code = STEP_MISSING
                break
            if e.next >= 0:
                code = STEP_FAIL if self.nodes[e.next].cell == NODE_FAIL else STEP_OK
                self.backward = self.nodes[e.next].rank <= self.nodes[self.loc[t]].rank
                break
            if e.newv != v:
                self.log(n.cell, v)
                self.val[n.cell] = e.newv
            here = ~e.next
        self.undo_to(mark)
        return code

    cdef int pick_by_futures(self, bint forward) except -2 nogil:
        """A task that may be explored alone by what the others may still do, or -1.

        With -1, ``members`` are the tasks that may be explored without the others; see ``futures``.
        """
        cdef int t, code
        cdef uint64_t able = 0, back = 0, unsure = 0, bit
        self.members = EVERYBODY
        for t in range(self.ntask):
            if self.nodes[self.loc[t]].cell == NODE_DONE:
                continue
            bit = <uint64_t> 1 << min(t, 63)
            code = self.survey(t)
            if code == STEP_MISSING or code == STEP_FAIL:
                unsure |= bit
                continue
            self.near[min(t, 63)] = self.in_the_way(t)
            if code == STEP_OK:
                if not (self.near[min(t, 63)] or forward and self.backward):
                    return t
                able |= bit
                if self.backward:
                    back |= bit
        if self.ntask > 64:
            return -1
        return self.pick_several(forward, able, back, unsure)

    cdef bint pays(self) noexcept nogil:
        """Whether to ask the futures: not for a while where they seldom had an answer before."""
        self.asked += 1
        if self.asked == TRIAL:
            self.idle = self.gained < TRIAL // WORTHWHILE
        if self.asked == (PAUSE if self.idle else TRIAL):
            self.asked = self.gained = 0
            self.idle = False
        return not self.idle

    cdef int pick_several(self, bint forward, uint64_t able, uint64_t back, uint64_t unsure) noexcept nogil:
        """The rest of ``pick_by_futures``, from what it found: the set with the fewest steps.

        ``able`` tasks can take a step, ``back`` ones lead to no higher number, of ``unsure`` ones too
        little is known or they fail. No set holds one of those.
        """
        cdef int t, u, steps, best = refault_ones(able | unsure)
        cdef uint64_t tasks, todo
        cdef bint single = able & (able - 1) == 0
        for t in range(self.ntask):
            if self.nodes[self.loc[t]].cell == NODE_DONE or unsure >> t & 1:
                continue
            tasks = todo = <uint64_t> 1 << t
            while todo and (able & ~tasks or single) and not tasks & unsure:
                u = refault_lowest(todo)
                todo &= todo - 1
                todo |= self.near[u] & ~tasks
                tasks |= self.near[u]
            if todo or tasks & unsure:
                continue
            steps = refault_ones(tasks & able)
            if steps == 1 and not (forward and tasks & able & back):
                return refault_lowest(tasks & able)
            if 0 < steps < best and not tasks & able & back:
                best = steps
                self.members = tasks
        return -1

    cdef Entry *next_entry(self, int t) noexcept nogil:
        """The entry that the next step of task ``t`` begins with; NULL if none or not known."""
        cdef Node *n = &self.nodes[self.loc[t]]
        if n.cell < 0:
            return NULL
        return known_entry(n, self.val[n.cell])

    cdef void look_ahead(self, Frame *f) noexcept nogil:
        """Plain search: find out which successors of the top frame's state are stored already.

        A look-up is a cache miss. Those of all successors are under way at the same time here, and
        are not made again; what is not stored yet is looked up anew when its turn comes.
        """
        cdef int t, n = min(self.ntask, 64)
        cdef Entry *e
        if self.crew != NULL:
            self.look_ahead_shared(f, n)
            return
        for t in range(n):
            e = self.next_entry(t)
            if e != NULL and e.newv >= 0 and e.next >= 0:
                refault_fetch(&self.known, f.fp ^ e.delta)
        for t in range(n):
            e = self.next_entry(t)
            if e != NULL and e.newv >= 0 and e.next >= 0:
                if refault_find(&self.known, f.fp ^ e.delta)[0]:
                    f.known |= <uint64_t> 1 << t
                    if not self.cyclic and refault_path_has(&self.stack, f.fp ^ e.delta):
                        self.cyclic = True

    cdef void look_ahead_shared(self, Frame *f, int n) noexcept nogil:
        """The same in a set that others are adding to."""
        cdef int t
        cdef Entry *e
        for t in range(n):
            e = self.next_entry(t)
            if e != NULL and e.newv >= 0 and e.next >= 0:
                refault_shared_fetch(&self.crew.set, f.fp ^ e.delta)
        for t in range(n):
            e = self.next_entry(t)
            if e != NULL and e.newv >= 0 and e.next >= 0:
                if refault_shared_has(&self.crew.set, f.fp ^ e.delta):
                    f.known |= <uint64_t> 1 << t

    cdef bint enter(self, bint reduce) except -1 nogil:
        """Decide how the state of the top frame is expanded; false if it need not be.

        *The cycle proviso.* No task may be left out all the way round a cycle of the reduced graph. A
        state is expanded in one of three ways: fully, and stored; for some tasks, and stored; for one
        task, and not stored. No more than CHAIN states in a row are of the third kind, so each cycle
        has a stored state. Local states are numbered in the order in which they were found, so a task
        that comes back to where it was takes a step to a number no higher than the one before. For
        some tasks only a state is expanded only if none of their steps is of that kind; nor is, until
        the next stored state, the step of any state of the third kind. So a cycle without a fully
        expanded state would have no such step at all, and nobody could come back on it. That holds
        whatever the order of the search, and needs no stack: what is not stored belongs to the one
        stored state that it was reached from.

        Nor do choices multiply: there are two at most in a row of states that are not stored.
        """
        cdef Frame *f = &self.frames[self.depth]
        cdef int t = -1, finding, i, chain = 0
        cdef bint touched = self.touched or self.depth == 0
        cdef uint64_t members = EVERYBODY
        if self.depth:
            chain = self.frames[self.depth - 1].chain
            f.forward = self.frames[self.depth - 1].forward
        if reduce and chain < CHAIN and not f.stored:
            t = self.pick_solo(f.forward)
            if t < 0 and self.tables.words and self.pays():
                t = self.pick_by_futures(f.forward)
                members = self.members
                self.gained += t >= 0 or members != EVERYBODY
        if t >= 0:
            f.mode = MODE_SOLO
            f.order = 0
            f.task = t
            f.choices = min(self.options(t), 1 << 14)
            f.chain = chain + (1 if f.choices == 1 else CHAIN // 2)
        elif not f.stored and not self.store(f):
            return False
        else:
            f.members = members
            f.forward = members != EVERYBODY
            if not self.folding and not reduce:
                self.look_ahead(f)
        if self.tables.ninvariant and touched:
            for i in range(self.tables.ninvariant):
                finding = self.ask(self.tables.invariants[i])
                if finding >= 0:
                    self.report(finding, False)
                    return False
        f.entered = 1
        return True

    cdef int report(self, int finding, bint failed_step) except -1 with gil:
        """Count a finding; keep the schedule to the first of its kind."""
        cdef int64_t i
        self.counts[finding] = self.counts.get(finding, 0) + 1
        if finding not in self.paths:
            path = [(self.frames[i].came_task, self.frames[i].came_choice)
                    for i in range(1, self.depth + 1)]
            if failed_step:
                path.append((self.task_of(&self.frames[self.depth], self.frames[self.depth].task),
                             self.frames[self.depth].choice))
            self.paths[finding] = path
        return 0

    cdef int terminal(self) except -1 nogil:
        cdef int finding = -2
        if self.tables.terminal_probe >= 0:
            finding = self.ask(self.tables.terminal_probe)
        self.terminals += 1
        if self.terminal_sink is not None:
            with gil:
                self.terminal_sink([self.val[i] for i in range(self.ncell)],
                                   [self.loc[i] for i in range(self.ntask)])
        if finding >= 0:
            self.report(finding, False)
            self.aim(finding)
        return 0

    cdef int aim(self, int finding) except -1 with gil:
        """Remember where the tasks stood at a violating terminal state."""
        known = self.targets.setdefault(finding, [])
        if len(known) < TARGETS:
            known.append([self.loc[i] for i in range(self.ntask)])
        else:
            self.targets_cut = True
        return 0

    cdef int aim_anew(self) except -1:
        self.targets = {}
        self.targets_cut = False
        return 0

    cdef void pop(self) noexcept nogil:
        cdef Frame *f = &self.frames[self.depth]
        if f.stored and self.crew == NULL:
            refault_path_remove(&self.stack, f.key)
        self.undo_to(f.undo)
        self.depth -= 1
        if self.depth < self.base:
            self.base = self.depth

    cdef int bounds(self) except -1 with gil:
        """Time, memory and signals; called now and then. 0 or a LIMIT_* code."""
        pause = self.tick is not None and self.tick(self.states, self.transitions, self.depth)
        PyErr_CheckSignals()
        if monotonic() > self.deadline:
            return END_TIME
        if pause is True:
            return END_PAUSED
        if refault_resident() > self.max_memory:
            return END_MEMORY
        return END_COMPLETE

    def search(self, *, bint reduce, bint resume, uint64_t max_states, uint64_t max_memory, double seconds,
               terminal_sink=None, tick=None):
        """Visit every state. Returns COMPLETE, LIMIT_*, RESTART (an assumption broke) or PAUSED.

        ``tick`` is called now and then with (states, transitions, depth), and pauses the search by
        ``True``. After a LIMIT_* or a pause, ``resume`` goes on where that search stopped.
        """
        cdef int code
        self.max_memory = max_memory
        self.deadline = monotonic() + seconds
        self.prepare(reduce, max_states, terminal_sink)
        self.tick = tick
        if not resume:
            self.begin()
            if not self.start(reduce):
                return COMPLETE
        with nogil:
            code = self.visit_pending(reduce)
        return code

    cdef int prepare(self, bint reduce, uint64_t max_states, terminal_sink) except -1:
        """What every search begins with, also one that goes on."""
        self.max_states = max_states
        self.terminal_sink = terminal_sink
        self.lease = 0
        self.full = False
        free(self.against)
        self.against = <uint64_t *> malloc(self.tables.words * 8 + 8)
        free(self.turned)
        self.turned = <uint64_t *> malloc(self.tables.permutations * 8 + 8)
        if self.against == NULL or self.turned == NULL:
            raise MemoryError
        self.asked = self.gained = 0
        self.idle = False
        self.folding = reduce and self.tables.permutations > 0
        return 0

    def forget(self):
        """Free the set of states and the stack: a search that was stopped cannot go on any more."""
        self.drop_pending()
        self.depth = -1
        self.nundo = 0
        free(self.frames)
        free(self.undo)
        self.frames = NULL
        self.undo = NULL
        self.frame_capacity = self.undo_capacity = 0
        if refault_clear(&self.known) or refault_path_clear(&self.stack, 1 << 10):
            raise MemoryError
        refault_give_back()

    # ---- checkpoints ---------------------------------------------------------------------------

    def save(self):
        """What a search that was stopped needs to go on, but for its table: as plain data."""
        cdef refault_unit *u
        self.lay_aside()
        stacks = []
        u = self.pending
        while u != NULL:
            stacks.append(stack_of(u))
            u = u.next
        return {
            "stacks": stacks, "counts": self.counts, "paths": self.paths, "targets": self.targets,
            "targets_cut": bool(self.targets_cut), "cyclic": bool(self.cyclic),
            "guessed": bool(self.guessed),
            "withdrawn": bool(self.tables.withdrawn()), "again_at": self.again_at, "states": self.states,
            "transitions": self.transitions, "terminals": self.terminals, "deepest": self.deepest,
            "segments": [(self.known.segments[i].size, self.known.segments[i].used)
                         for i in range(REFAULT_SEGMENTS)],
        }

    def take_up(self, stacks):
        """Make these, in the form that ``save`` gives, all that is left to do."""
        cdef refault_unit *u
        self.drop_pending()
        self.depth = -1
        for stack in reversed(stacks):
            u = unit_of(stack)
            u.next = self.pending
            self.pending = u

    # ---- searches in other processes -----------------------------------------------------------

    def serve(self):
        """Begin to work for another process: know no state."""
        self.begin()
        self.cyclic = self.guessed = True

    def turn_to(self, stack, uint8_t order):
        """Count anew, keep the set, and have this stack to do; for ``order`` see ``task_of``."""
        self.order = order
        self.counts, self.paths = {}, {}
        self.states = self.transitions = self.terminals = self.again_at = 0
        self.deepest = 0
        self.tables.broken = False
        self.nfresh = 0
        self.recording = True
        self.take_up([stack])

    def fresh(self):
        """The fingerprints added since ``turn_to``, eight bytes each."""
        return PyBytes_FromStringAndSize(<char *> self.fresh_words, self.nfresh * 8)

    def fingerprints(self):
        """All fingerprints, eight bytes each."""
        cdef uint64_t i, j, n = 0
        cdef refault_segment *s
        cdef uint64_t *out
        for i in range(REFAULT_SEGMENTS):
            n += self.known.segments[i].used
        data = PyBytes_FromStringAndSize(NULL, 8 * n)
        out = <uint64_t *> PyBytes_AS_STRING(data)
        n = 0
        for i in range(REFAULT_SEGMENTS):
            s = &self.known.segments[i]
            for j in range(s.size):
                if s.words[j]:
                    out[n] = s.words[j]
                    n += 1
        return data

    def learn(self, const uint8_t[::1] data):
        """Add fingerprints, eight bytes each; how many were new."""
        cdef int64_t i, new = 0
        cdef int code
        if data.shape[0] == 0:
            return 0
        for i in range(data.shape[0] // 8):
            code = refault_add(&self.known, (<const uint64_t *> &data[0])[i])
            if code < 0:
                raise MemoryError
            new += code
        return new

    def account(self, uint64_t states, uint64_t transitions, uint64_t terminals, int64_t depth):
        """Another process has seen so much more."""
        self.states += states
        self.transitions += transitions
        self.terminals += terminals
        self.deepest = max(self.deepest, depth)
        self.cyclic = self.guessed = True

    def found(self, finding, count, path):
        """Another process has found this."""
        self.counts[finding] = self.counts.get(finding, 0) + count
        self.paths[finding] = min(path, self.paths.get(finding, path), key=len)
        self.targets_cut = True

    def segment(self, int number):
        """A segment of the set of fingerprints, as memory that lasts until the search goes on."""
        cdef uint64_t size = self.known.segments[number].size
        return <uint64_t[:size]> self.known.segments[number].words

    def load(self, saved):
        """Go back to what ``save`` gave; the fingerprints are then to be put into each ``segment``.

        False if the schedule on a stack leads elsewhere: the tables are not those of then.
        """
        self.begin()
        for i, (size, used) in enumerate(saved["segments"]):
            if refault_resize(&self.known, &self.known.segments[i], size):
                raise MemoryError
            self.known.segments[i].used = used
        for stack in reversed(saved["stacks"]):
            if not self.install(unit_of(stack)):
                return False
            self.lay_aside()
        self.counts, self.paths = dict(saved["counts"]), dict(saved["paths"])
        self.targets, self.targets_cut = dict(saved["targets"]), saved["targets_cut"]
        self.states, self.transitions = saved["states"], saved["transitions"]
        self.terminals, self.deepest = saved["terminals"], saved["deepest"]
        self.cyclic, self.guessed = saved["cyclic"], saved["guessed"]
        self.tables.broken, self.again_at = saved["withdrawn"], saved["again_at"]
        return True

    # ---- stacks --------------------------------------------------------------------------------

    cdef refault_unit *stack_to(self, int64_t depth) except NULL nogil:
        """A copy of the stack up to a depth."""
        cdef refault_unit *u = refault_unit_new(depth + 1, sizeof(Frame))
        if u == NULL:
            with gil:
                raise MemoryError
        memcpy(u.frames, self.frames, (depth + 1) * sizeof(Frame))
        return u

    cdef void take_over(self, refault_unit *u) noexcept nogil:
        """Go on with a stack later; if it is the one that was being installed, begin that anew."""
        if u == self.unit:
            self.unit = NULL
            self.depth = -1
        u.next = self.pending
        self.pending = u

    cdef int lay_aside(self) except -1 nogil:
        """Make the present stack the first of those to go on with."""
        if self.unit != NULL:
            self.take_over(self.unit)
        elif self.depth >= 0:
            self.take_over(self.stack_to(self.depth))
            self.depth = -1
        return 0

    cdef bint install(self, refault_unit *u) except -1 nogil:
        """Go to where a stack has been; false if its schedule leads elsewhere. Takes ``u``."""
        cdef Frame *f
        cdef uint64_t fp = self.reset()
        cdef int64_t i, mark
        cdef bint solo
        self.depth = -1
        self.base = 0
        self.unit = u
        if refault_path_clear(&self.stack, 1 << 10):
            with gil:
                raise MemoryError
        for i in range(u.count):
            f = &(<Frame *> u.frames)[i]
            mark = self.nundo
            if f.came_task >= 0:
                while self.step(f.came_task, f.came_choice, &fp, &solo) == STEP_MISSING:
                    self.fill()
            if fp != f.fp:
                return False
            self.push(fp, mark, f.came_task, f.came_choice)
            self.frames[self.depth] = f[0]
            self.frames[self.depth].undo = mark
            f = &self.frames[self.depth]
            if f.stored:
                f.key = self.canonical(fp) if self.folding else fp
            if f.stored and self.crew == NULL and refault_path_add(&self.stack, f.key):
                with gil:
                    raise MemoryError
        self.unit = NULL
        refault_unit_free(u)
        return True

    cdef int go_to(self, refault_unit *u) except -1 nogil:
        if not self.install(u):
            with gil:
                raise AssertionError("a schedule leads elsewhere in the same tables")
        return 0

    cdef bint much_left(self, Frame *f) noexcept nogil:
        """Whether something may be left to try at a state that leads to others not known yet."""
        cdef int i, t
        if f.mode == MODE_SOLO:
            return f.task < self.ntask and f.choice < f.choices
        for i in range(f.task + (f.choice > 0), self.ntask):
            t = self.task_of(f, i)
            if t >= 64 or f.members >> t & 1 and not f.known >> t & 1:
                return True
        return False

    cdef int share_work(self) except -1 nogil:
        """Give what is left at the shallowest state of the stack to a thread without work.

        Not the top: what is left there is not worth it.
        """
        cdef refault_unit *u
        cdef int64_t i
        if self.base < 0:
            self.base = 0
        while self.base < self.depth and not self.much_left(&self.frames[self.base]):
            self.base += 1
        if self.base >= self.depth:
            return 0
        u = self.stack_to(self.base)
        for i in range(u.count - 1):
            (<Frame *> u.frames)[i].task = self.ntask
        self.frames[self.base].task = self.ntask
        refault_give(self.crew, u)
        return 0

    cdef int work(self, bint reduce) except -1 nogil:
        """Be one thread of a crew, until all is done (END_COMPLETE) or the search stops."""
        cdef refault_unit *u
        cdef int code
        while True:
            u = refault_take(self.crew, self.me)
            if u == NULL:
                return END_COMPLETE
            self.go_to(u)
            code = self.visit_all(reduce)
            if code != END_COMPLETE:
                return code

    cdef int visit_pending(self, bint reduce) except -1 nogil:
        """Visit what is left at the present stack and at all others."""
        cdef refault_unit *u
        cdef int code
        if self.unit != NULL:
            self.take_over(self.unit)
        while True:
            code = self.visit_all(reduce)
            if code != END_COMPLETE:
                return code
            u = self.pending
            if u == NULL:
                return END_RESTART if reduce and self.tables.withdrawn() else END_COMPLETE
            self.pending = u.next
            self.go_to(u)

    # ---- the search ----------------------------------------------------------------------------

    cdef int begin(self) except -1:
        self.drop_pending()
        self.whole = True
        self.base = 0
        self.tables.broken = False
        self.again_at = 0
        self.counts = {}
        self.paths = {}
        self.aim_anew()
        self.states = self.transitions = self.terminals = 0
        self.deepest = 0
        self.depth = -1
        self.cyclic = self.guessed = False
        if refault_clear(&self.known) or refault_path_clear(&self.stack, 1 << 10):
            raise MemoryError
        return 0

    cdef bint start(self, bint reduce) except -1:
        """Enter the initial state; false if there is nothing to explore from it."""
        cdef uint64_t fp = self.reset()
        cdef int t
        for t in range(self.ntask):
            if self.nodes[self.loc[t]].cell == NODE_FAIL:
                self.report(self.nodes[self.loc[t]].arg, False)
                return False
        self.push(fp, 0, -1, 0)
        return self.enter(reduce)

    cdef int visit_all(self, bint reduce) except -1 nogil:
        cdef Frame *f
        cdef uint64_t fp, ticks = 0
        cdef int code, t
        cdef int64_t mark
        cdef bint solo
        cdef Entry *e
        if self.depth >= 0 and not self.frames[self.depth].entered:
            # An exception came in between: Ctrl-C, or the deadline while a table was being filled.
            self.touched = True
            if not self.enter(reduce):
                self.pop()
        while self.depth >= 0:
            if reduce and self.tables.withdrawn():
                # Go on for as long again before the restart: there is more to learn, and a restart
                # for each thing learned would cost many times the search.
                if not self.again_at:
                    self.again_at = 2 * self.transitions + 1000
                elif self.transitions >= self.again_at:
                    return END_RESTART
            if self.crew != NULL:
                if refault_load(&self.crew.stop):
                    return END_PAUSED
                refault_pass(self.crew, self.me)
                if refault_load(&self.crew.hungry) > 0:
                    self.share_work()
                if ticks % 1024 == 0:
                    refault_tell(self.me, self.states, self.transitions, self.depth,
                                 self.frame_capacity * sizeof(Frame))
            ticks += 1
            if ticks >= 65536 and self.crew == NULL:
                ticks = 0
                code = self.bounds()
                if code:
                    return code
            f = &self.frames[self.depth]
            t = f.task if f.order == 0 else self.task_of(f, f.task)
            if t >= self.ntask or f.choice >= self.options(t) or (t < 64 and not f.members >> t & 1):
                if t < self.ntask and f.mode == MODE_FULL:
                    f.task += 1
                    f.choice = 0
                    continue
                if not f.enabled and f.mode == MODE_FULL:
                    self.terminal()
                self.pop()
                continue
            e = self.next_entry(t)
            if e != NULL and e.newv == BLOCKED:
                f.choice += 1
                continue
            if t < 64 and f.known >> t & 1:
                self.transitions += 1
                f.enabled = 1
                f.choice += 1
                continue
            mark = self.nundo
            fp = f.fp
            code = self.step(t, f.choice, &fp, &solo)
            if code == STEP_MISSING:
                self.fill()
                continue
            if code == STEP_BLOCKED:
                f.choice += 1
                continue
            f.enabled = 1
            self.transitions += 1
            if code == STEP_FAIL:
                self.undo_to(mark)
                if f.mode == MODE_SOLO:
                    self.widen()
                    continue
                self.report(self.fail, True)
                self.frames[self.depth].choice += 1
                continue
            self.push(fp, mark, t, f.choice)
            self.frames[self.depth - 1].choice += 1
            if not self.enter(reduce):
                self.pop()
            elif self.frames[self.depth].stored:
                if self.states >= self.max_states or self.full:
                    return END_STATES
        return END_COMPLETE

    cdef int task_of(self, Frame *f, int i) noexcept nogil:
        """The task that is number ``i`` in the order in which a state's tasks are tried.

        Searches that hear of each other only now and then go different ways by different orders:
        forwards or backwards, from any task on. Order 0 is that of the tasks' numbers.
        """
        if f.order == 0 or i >= self.ntask:
            return i
        if f.order & 1:
            i = self.ntask - 1 - i
        return (i + (f.order >> 1)) % self.ntask

    cdef int widen(self) except -1 nogil:
        """Expand the state of the top frame, so far expanded for one task only, fully after all."""
        cdef Frame *f = &self.frames[self.depth]
        f.mode = MODE_FULL
        f.members = EVERYBODY
        f.forward = 0
        f.chain = 0
        f.choice = 0
        f.task = 0
        f.order = self.order
        if not self.store(f):
            f.enabled = 1
            f.task = self.ntask
        return 0


cdef list stack_of(refault_unit *u):
    """A stack as plain data."""
    cdef Frame *f
    cdef int64_t i
    frames = []
    for i in range(u.count):
        f = &(<Frame *> u.frames)[i]
        frames.append((f.fp, f.task, f.choice, f.chain, f.came_task, f.came_choice, f.members,
                       f.mode | f.enabled << 1 | f.stored << 2 | f.entered << 3 | f.forward << 4
                       | f.order << 5))
    return frames


cdef refault_unit *unit_of(stack) except NULL:
    """The other way round."""
    cdef refault_unit *u = refault_unit_new(len(stack), sizeof(Frame))
    cdef Frame *f
    if u == NULL:
        raise MemoryError
    memset(u.frames, 0, len(stack) * sizeof(Frame))
    for i, (fp, task, choice, chain, came_task, came_choice, members, bits) in enumerate(stack):
        f = &(<Frame *> u.frames)[<int64_t> i]
        f.fp, f.task, f.choice, f.chain = fp, task, choice, chain
        f.came_task, f.came_choice, f.members = came_task, came_choice, members
        f.mode, f.enabled, f.stored = bits & 1, bits >> 1 & 1, bits >> 2 & 1
        f.entered, f.forward, f.order = bits >> 3 & 1, bits >> 4 & 1, bits >> 5
    return u
