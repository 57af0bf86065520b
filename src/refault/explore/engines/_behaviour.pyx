# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Behaviour tables as the native searches see them: nodes, entries, decision trees, futures.

A node names the cell that its task operates on next; its entry for the cell's present value gives
the new value, the next node, and the change of the fingerprint. What is missing in a table is filled
by Python (see ``tables/behaviour``), always in one thread, while other threads may be reading:

* nodes and probes lie in address space reserved once, so they never move;
* an array of entries that must grow is copied, the copy published before its size, and the old one
  kept until no thread reads any more (``shared``);
* of an entry the new value is written last and read first: whoever sees it sees the rest.

Flags and futures may be read a moment too early or too late. Flags only ever go from *solo* to not,
which restarts the search; futures change between searches only.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

cdef extern from "_core.h":
    void refault_watch "refault_store"(uint8_t *p, int value) noexcept nogil

cdef enum:
    NODES = 1 << 22
    PROBES = 1 << 22


cdef int32_t *numbers(int32_t *old, values) except NULL:
    """An array of ``values`` in place of the ``old`` one."""
    cdef int32_t *made
    cdef Py_ssize_t i
    made = <int32_t *> malloc((len(values) + 1) * sizeof(int32_t))
    if made == NULL:
        raise MemoryError
    free(old)
    for i in range(len(values)):
        made[i] = values[i]
    return made


@cython.final
cdef class Behaviour:
    """The tables of a program with ``cells`` cells and ``tasks`` tasks."""

    def __cinit__(self, int cells, int tasks):
        self.ncell = cells
        self.ntask = tasks
        self.terminal_probe = -1
        self.root = <int32_t *> calloc(cells + tasks + 1, sizeof(int32_t))
        self.watched = <uint8_t *> calloc(cells + 1, 1)
        self.nodes = <Node *> refault_reserve(NODES * sizeof(Node))
        self.probes = <Probe *> refault_reserve(PROBES * sizeof(Probe))
        self.images = <Images *> calloc(cells + 1, sizeof(Images))
        if not (self.root and self.images and self.watched and self.nodes and self.probes):
            raise MemoryError

    def __dealloc__(self):
        cdef int i, j
        for i in range(self.nnode):
            free(self.nodes[i].entries)
            free(self.nodes[i].images)
        for i in range(self.ncell):
            for j in range(self.images[i].size):
                free(self.images[i].of[j])
            free(self.images[i].of)
        free(self.images)
        for i in range(self.nprobe):
            free(self.probes[i].children)
        refault_release(self.nodes, NODES * sizeof(Node))
        refault_release(self.probes, PROBES * sizeof(Probe))
        for i in range(self.nretired):
            free(self.retired[i])
        free(self.retired)
        free(self.root)
        free(self.watched)
        free(self.invariants)
        free(self.signature)
        free(self.future)
        free(self.first)
        free(self.count)
        free(self.rows)
        free(self.masks)

    def set_permutations(self, int permutations):
        """How many ways there are to exchange identical tasks, that of doing nothing not counted."""
        self.permutations = permutations

    cdef uint64_t *words_of(self, bytes images) except? NULL:
        cdef uint64_t *words
        if not images:
            return NULL
        words = <uint64_t *> malloc(len(images))
        if words == NULL:
            raise MemoryError
        memcpy(words, <const char *> images, len(images))
        return words

    def set_images(self, int cell, int value, bytes images):
        """What the key of a value changes by under each permutation; nothing if empty."""
        cdef Images *m = &self.images[cell]
        cdef int size, i
        cdef uint64_t **of
        if not images:
            return
        if value >= m.size:
            size = max(4, m.size)
            while size <= value:
                size *= 2
            of = <uint64_t **> self.moved(m.of, size * sizeof(void *), m.size * sizeof(void *))
            for i in range(m.size, size):
                of[i] = NULL
            m.of = of
            refault_store(&m.size, size)
        free(m.of[value])
        m.of[value] = self.words_of(images)

    def add_node(self, int task, int cell, int arg, bint reads, int rank, bytes images):
        """Add a node of ``task``; ``cell`` is a cell index or one of -1 done, -2 choose, -3 fail.

        ``rank`` is the number of the first node that is an image of it, -1 if that is itself;
        ``images`` what its key changes by under each permutation of identical tasks.
        """
        cdef Node *n
        cdef size_t at = self.nnode
        if at == NODES or refault_commit(self.nodes, at * sizeof(Node), (at + 1) * sizeof(Node)):
            raise MemoryError
        n = &self.nodes[at]
        n.task = task
        n.cell = cell
        n.arg = arg
        n.reads = reads
        n.solo = cell == NODE_CHOOSE
        n.rank = at if rank < 0 else rank
        n.images = self.words_of(images)
        self.nnode += 1
        return self.nnode - 1

    def set_solo(self, int node, bint solo):
        """Say whether the operation of ``node`` commutes with all that others may do meanwhile."""
        refault_store(&self.nodes[node].solo, solo)

    def set_futures(self, int words, signature, bytes future, first, count, rows, bytes masks):
        """What each local state may still do, and what each signature conflicts with; see ``futures``.

        Masks have ``words`` words. From the next search on they are asked where ``set_solo`` says no.
        """
        free(self.future)
        free(self.masks)
        self.words = 0
        self.nfuture = len(signature)
        self.nsignature = len(first) - self.ncell
        self.signature = numbers(self.signature, signature)
        self.first = numbers(self.first, first)
        self.count = numbers(self.count, count)
        self.rows = numbers(self.rows, rows)
        self.future = <uint64_t *> malloc(len(future) + 8)
        self.masks = <uint64_t *> malloc(len(masks) + 8)
        if not (self.future and self.masks):
            raise MemoryError
        memcpy(self.future, <const char *> future, len(future))
        memcpy(self.masks, <const char *> masks, len(masks))
        self.words = words

    def drop_futures(self):
        """From the next search on there are none."""
        self.words = 0

    def withdraw(self):
        """An assumption behind a ``set_solo(node, True)`` broke: the running search must restart."""
        refault_store(&self.broken, True)

    cdef bint withdrawn(self) noexcept nogil:
        return refault_load(&self.broken)

    cdef void *moved(self, void *old, size_t size, size_t used) except NULL:
        """A copy of an array with room for ``size`` bytes; the old one goes when nobody reads it."""
        cdef void *p
        cdef void **r
        if not self.shared:
            p = realloc(old, size)
            if p == NULL:
                raise MemoryError
            return p
        if self.nretired == self.retired_capacity:
            r = <void **> realloc(self.retired, max(64, 2 * self.retired_capacity) * sizeof(void *))
            if r == NULL:
                raise MemoryError
            self.retired = r
            self.retired_capacity = max(64, 2 * self.retired_capacity)
        p = malloc(size)
        if p == NULL:
            raise MemoryError
        memcpy(p, old, used)
        self.retired[self.nretired] = old
        self.nretired += 1
        return p

    def settle(self):
        """No thread reads any more: free what was kept for them."""
        cdef int i
        self.shared = False
        for i in range(self.nretired):
            free(self.retired[i])
        self.nretired = 0

    cdef Entry *entry(self, int node, int value) except NULL:
        cdef Node *n = &self.nodes[node]
        cdef int size, i
        cdef Entry *e
        if value >= n.size:
            size = max(4, n.size)
            while size <= value:
                size *= 2
            e = <Entry *> self.moved(n.entries, size * sizeof(Entry), n.size * sizeof(Entry))
            for i in range(n.size, size):
                e[i].newv = MISSING
            refault_store_pointer(&n.entries, e)
            refault_store(&n.size, size)
        return &n.entries[value]

    def set_entry(self, int node, int value, int newv, int next, bint cont, uint64_t delta):
        """Node ``node`` at ``value`` of its cell: the cell becomes ``newv``, the task goes to ``next``.

        ``delta`` is the change that this makes to the fingerprint.
        """
        cdef Entry *e = self.entry(node, value)
        e.next = ~next if cont else next
        e.delta = delta
        refault_store(&e.newv, newv)

    def set_blocked(self, int node, int value):
        """Node ``node`` cannot operate while its cell has ``value``."""
        refault_store(&self.entry(node, value).newv, BLOCKED)

    def knows(self, int node, int value):
        """Whether there is an entry, be it that the node is blocked there."""
        return known_entry(&self.nodes[node], value) != NULL

    def entries(self):
        """All that is known as (node, cell or -2, value, new value, next node), but for what is blocked."""
        cdef int i, v
        cdef Entry *e
        known = []
        for i in range(self.nnode):
            for v in range(self.nodes[i].size):
                e = &self.nodes[i].entries[v]
                if e.newv >= 0:
                    known.append((i, self.nodes[i].cell, v, e.newv, e.next if e.next >= 0 else ~e.next))
        return known

    def set_root(self, values, locations, uint64_t fp):
        """The initial state and its fingerprint."""
        cdef int i
        self.root_fp = fp
        for i in range(self.ncell):
            self.root[i] = values[i]
        for i in range(self.ntask):
            self.root[self.ncell + i] = locations[i]

    def add_probe(self, int slot):
        """Add a node of a predicate's decision tree that asks for ``slot`` (a cell, or ~task)."""
        cdef size_t at = self.nprobe
        if at == PROBES or refault_commit(self.probes, at * sizeof(Probe), (at + 1) * sizeof(Probe)):
            raise MemoryError
        self.probes[at].slot = slot
        self.nprobe += 1
        return self.nprobe - 1

    def set_probe(self, int probe, int value, int child):
        """The answer ``value`` leads to the probe ``child``, or to a leaf (see ``Probe``)."""
        cdef Probe *p = &self.probes[probe]
        cdef int size, i
        cdef int32_t *c
        if value >= p.size:
            size = max(4, p.size)
            while size <= value:
                size *= 2
            c = <int32_t *> self.moved(p.children, size * sizeof(int32_t), p.size * sizeof(int32_t))
            for i in range(p.size, size):
                c[i] = MISSING
            refault_store_pointer(&p.children, c)
            refault_store(&p.size, size)
        refault_store(&p.children[value], child)

    def set_terminal(self, int probe):
        """The decision tree asked in terminal states."""
        self.terminal_probe = probe

    def set_invariants(self, probes):
        """The decision trees asked in every state."""
        cdef int i
        free(self.invariants)
        self.ninvariant = len(probes)
        self.invariants = <int32_t *> malloc((self.ninvariant + 1) * sizeof(int32_t))
        if self.invariants == NULL:
            raise MemoryError
        for i in range(self.ninvariant):
            self.invariants[i] = probes[i]

    def watch(self, int cell):
        """An invariant reads ``cell``."""
        self.nwatched += not self.watched[cell]
        refault_watch(self.watched + cell, 1)
