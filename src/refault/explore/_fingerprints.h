/*
 * A set of 64-bit fingerprints that only grows.
 *
 * Open addressing with linear probing in 64 segments, chosen by the top bits of the fingerprint. Each
 * segment grows by itself, by half, when it is three quarters full. So a fingerprint takes 11 to 16
 * bytes, and while a segment grows only 1/64 of the set is there twice. Sizes are no powers of two:
 * the place is the high word of the product of (the rest of) the fingerprint and the size.
 */

#ifndef REFAULT_FINGERPRINTS_H
#define REFAULT_FINGERPRINTS_H

#include <stdint.h>
#include <stdlib.h>

#include "_core.h"

enum { REFAULT_SEGMENTS = 64, REFAULT_SMALLEST = 256 };

struct refault_segment {
	uint64_t *words;
	uint64_t size, used;
};

struct refault_set {
	struct refault_segment segments[REFAULT_SEGMENTS];
	uint64_t bytes;
};

static inline uint64_t refault_place(const struct refault_segment *s, uint64_t fp)
{
	return (uint64_t)(((unsigned __int128)(fp << 6) * s->size) >> 64);
}

/* Where fp is, or the free word where it belongs. */
static inline uint64_t *refault_find(struct refault_set *set, uint64_t fp)
{
	struct refault_segment *s = &set->segments[fp >> 58];
	uint64_t i = refault_place(s, fp);

	while (s->words[i] && s->words[i] != fp)
		if (++i == s->size)
			i = 0;
	return &s->words[i];
}

static inline void refault_fetch(struct refault_set *set, uint64_t fp)
{
	struct refault_segment *s = &set->segments[fp >> 58];

	refault_prefetch(&s->words[refault_place(s, fp)]);
}

/* Give a segment room for size words, none used. 0, or -1 where there is no memory. */
static inline int refault_resize(struct refault_set *set, struct refault_segment *s, uint64_t size)
{
	uint64_t *words = refault_words(size);

	if (!words)
		return -1;
	set->bytes += (size - s->size) * sizeof(*words);
	free(s->words);
	s->words = words;
	s->size = size;
	s->used = 0;
	return 0;
}

static inline int refault_grow(struct refault_set *set, struct refault_segment *s)
{
	struct refault_segment old = *s;
	uint64_t i;

	s->words = NULL;
	if (refault_resize(set, s, old.size + old.size / 2)) {
		*s = old;
		return -1;
	}
	for (i = 0; i < old.size; i++)
		if (old.words[i])
			*refault_find(set, old.words[i]) = old.words[i];
	s->used = old.used;
	free(old.words);
	return 0;
}

/* Add fp. 1: it is new, 0: it was there, -1: no memory. */
static inline int refault_add(struct refault_set *set, uint64_t fp)
{
	struct refault_segment *s = &set->segments[fp >> 58];
	uint64_t *word;

	fp += !fp;
	word = refault_find(set, fp);
	if (*word)
		return 0;
	if (4 * s->used >= 3 * s->size) {
		if (refault_grow(set, s))
			return -1;
		word = refault_find(set, fp);
	}
	*word = fp;
	s->used++;
	return 1;
}

static inline void refault_free(struct refault_set *set)
{
	int i;

	for (i = 0; i < REFAULT_SEGMENTS; i++)
		free(set->segments[i].words);
	memset(set, 0, sizeof(*set));
}

/* Make it empty. 0, or -1 where there is no memory. */
static inline int refault_clear(struct refault_set *set)
{
	int i;

	refault_free(set);
	for (i = 0; i < REFAULT_SEGMENTS; i++)
		if (refault_resize(set, &set->segments[i], REFAULT_SMALLEST))
			return -1;
	return 0;
}

#endif
