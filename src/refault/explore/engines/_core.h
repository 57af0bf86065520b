/* What the engines need of C itself: atomic access, a bit mixer, a prefetch, big pieces of memory. */

#ifndef REFAULT_CORE_H
#define REFAULT_CORE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What was written before a store is seen by whoever loads what was stored. */
#define refault_load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define refault_store(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)

#define refault_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)

#define refault_prefetch(p) __builtin_prefetch((p), 0, 1)

/* A set of tasks as a bit mask: all of them, how many, the first one. */
#define refault_everybody UINT64_MAX
#define refault_ones(x) __builtin_popcountll(x)
#define refault_lowest(x) __builtin_ctzll(x)

/* Two rounds of xor-shift-multiply: every input bit reaches every output bit. */
static inline uint64_t refault_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	return x;
}

/*
 * A zeroed table of 64-bit words, on huge pages where there are some: a random probe of a table of
 * hundreds of megabytes would otherwise miss the TLB as well as the cache. Freed with free().
 */
static inline uint64_t *refault_words(size_t words)
{
	size_t size = words * sizeof(uint64_t);
	void *p = NULL;

	if (size < (size_t)1 << 22)
		return calloc(words, sizeof(uint64_t));
	if (posix_memalign(&p, (size_t)1 << 21, size))
		return NULL;
#ifdef MADV_HUGEPAGE
	madvise(p, size, MADV_HUGEPAGE);
#endif
	memset(p, 0, size);
	return p;
}

/*
 * A piece of address space for an array that grows and must not move. It costs nothing until
 * refault_commit() makes the first bytes of it zeroed memory.
 */
static inline void *refault_reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline size_t refault_pages(size_t bytes)
{
	const size_t step = (size_t)1 << 18;

	return (bytes + step - 1) / step * step;
}

/* Go from old to size bytes of memory in a reserved piece. 0, or -1 where there is none. */
static inline int refault_commit(void *p, size_t old, size_t size)
{
	old = refault_pages(old);
	size = refault_pages(size);
	return size > old ? mprotect((char *)p + old, size - old, PROT_READ | PROT_WRITE) : 0;
}

static inline void refault_release(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

#endif
