/* What the core needs of C itself: a bit mixer, a prefetch, a big zeroed table. */

#ifndef REFAULT_CORE_H
#define REFAULT_CORE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define refault_prefetch(p) __builtin_prefetch((p), 0, 1)

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

#endif
