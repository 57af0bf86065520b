"""Declarations of the behaviour tables in memory; see ``_behaviour.pyx``."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "_core.h":
    int32_t refault_load(int32_t *p) noexcept nogil
    void refault_store(int32_t *p, int32_t value) noexcept nogil
    void *refault_load_pointer "refault_load"(void *p) noexcept nogil
    void refault_store_pointer "refault_store"(void *p, void *value) noexcept nogil
    int32_t refault_solo "refault_relaxed"(int32_t *p) noexcept nogil
    uint8_t refault_watched "refault_relaxed"(uint8_t *p) noexcept nogil
    void *refault_reserve(size_t bytes) noexcept nogil
    int refault_commit(void *p, size_t old, size_t size) noexcept nogil
    void refault_release(void *p, size_t bytes) noexcept nogil


cdef enum:
    MISSING = -1
    BLOCKED = -2

    NODE_DONE = -1
    NODE_CHOOSE = -2
    NODE_FAIL = -3


cdef struct Entry:
    int32_t newv      # new value of the cell, MISSING or BLOCKED
    int32_t next      # next node, or ~node where that node continues the atomic block
    uint64_t delta    # change of the fingerprint


cdef struct Node:
    Entry *entries
    int32_t size      # allocated entries
    int32_t cell      # cell index, or NODE_*
    int32_t task
    int32_t arg       # NODE_CHOOSE: number of options; NODE_FAIL: finding
    int32_t solo      # this operation commutes with all that other tasks may do meanwhile
    int32_t reads     # this operation never changes its cell
    int32_t rank      # the number of the first node that is an image of this one
    uint64_t *images  # what the key changes by under each permutation; NULL: nothing


cdef struct Images:
    uint64_t **of     # per value of a cell: what the key changes by under each permutation, or NULL
    int32_t size


cdef struct Probe:
    int32_t *children # per value: node >= 0, finding as -(f + 3), nothing found -2, MISSING
    int32_t size
    int32_t slot      # cell index, or ~task


cdef inline Entry *known_entry(Node *n, int32_t value) noexcept nogil:
    """The entry of a node at ``value``; NULL if it is not known yet."""
    cdef Entry *e
    if value >= refault_load(&n.size):
        return NULL
    e = (<Entry *> refault_load_pointer(&n.entries)) + value
    return NULL if refault_load(&e.newv) == MISSING else e


cdef inline int32_t known_child(Probe *p, int32_t value) noexcept nogil:
    """Where the answer ``value`` of a probe leads; MISSING if that is not known yet."""
    cdef int32_t *children
    if value >= refault_load(&p.size):
        return MISSING
    children = <int32_t *> refault_load_pointer(&p.children)
    return refault_load(children + value)


@cython.final
cdef class Behaviour:
    cdef readonly int ncell, ntask
    cdef Node *nodes
    cdef readonly int nnode
    cdef Probe *probes
    cdef int nprobe
    cdef int32_t *root
    cdef uint64_t root_fp
    cdef uint8_t *watched
    cdef readonly int nwatched
    cdef int32_t *invariants
    cdef int ninvariant
    cdef int32_t terminal_probe
    cdef int32_t broken                # an assumption that a search may rely on broke
    cdef readonly int permutations     # of identical tasks
    cdef Images *images                # per cell
    cdef int words                     # of a bit mask over signatures; 0: no futures
    cdef int nfuture                   # local states that have one
    cdef int32_t *signature
    cdef uint64_t *future
    cdef int nsignature                # behind their rows of masks come those of the cells
    cdef int32_t *first
    cdef int32_t *count
    cdef int32_t *rows
    cdef uint64_t *masks
    cdef public bint shared            # threads are reading: what is replaced is kept for them
    cdef void **retired
    cdef int nretired, retired_capacity

    cdef bint withdrawn(self) noexcept nogil
    cdef uint64_t *words_of(self, bytes images) except? NULL
    cdef Entry *entry(self, int node, int value) except NULL
    cdef void *moved(self, void *old, size_t size, size_t used) except NULL
