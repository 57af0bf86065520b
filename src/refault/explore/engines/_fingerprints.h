/*
 * A set of 64-bit fingerprints that only grows.
 *
 * Open addressing with linear probing in 64 segments, chosen by the top bits of the fingerprint. Each
 * segment grows by itself, by half, when it is three quarters full. So a fingerprint takes 11 to 16
 * bytes, and while a segment grows only 1/64 of the set is there twice. Sizes are no powers of two:
 * the place is the high word of the product of (the rest of) the fingerprint and the size.
 *
 * Two words are no fingerprints: 0 marks a free place, and all ones (REFAULT_MOVED) is what threads need
 * that share the set, see _shared.h. A fingerprint that is one of them counts as its neighbour.
 */

#ifndef REFAULT_FINGERPRINTS_H
#define REFAULT_FINGERPRINTS_H

#include <stdint.h>
#include <stdlib.h>

#include "_core.h"

enum { REFAULT_SEGMENTS = 64, REFAULT_SMALLEST = 256 };

#define REFAULT_MOVED (~(uint64_t)0)

struct refault_segment {
	uint64_t *words;
	uint64_t size, used;
};

struct refault_set {
	struct refault_segment segments[REFAULT_SEGMENTS];
	uint64_t bytes;
};

static inline uint64_t refault_word(uint64_t fp)
{
	return fp + !fp - (fp == REFAULT_MOVED);
}

static inline uint64_t refault_place(uint64_t size, uint64_t fp)
{
	return (uint64_t)(((unsigned __int128)(fp << 6) * size) >> 64);
}

/* Where fp is, or the free word where it belongs. */
static inline uint64_t *refault_find(struct refault_set *set, uint64_t fp)
{
	struct refault_segment *s = &set->segments[fp >> 58];
	uint64_t i = refault_place(s->size, fp);

	while (s->words[i] && s->words[i] != fp)
		if (++i == s->size)
			i = 0;
	return &s->words[i];
}

static inline void refault_fetch(struct refault_set *set, uint64_t fp)
{
	struct refault_segment *s = &set->segments[fp >> 58];

	refault_prefetch(&s->words[refault_place(s->size, fp)]);
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

	fp = refault_word(fp);
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

/*
 * The fingerprints on the stack of a depth-first search: a small set from which things are taken again.
 * Removal moves what follows in the same cluster back, so that no marks of what was are left.
 */
struct refault_path {
	uint64_t *words;
	uint64_t mask, used;
};

static inline uint64_t refault_path_find(const struct refault_path *p, uint64_t fp)
{
	uint64_t i = fp & p->mask;

	while (p->words[i] && p->words[i] != fp)
		i = (i + 1) & p->mask;
	return i;
}

static inline int refault_path_has(const struct refault_path *p, uint64_t fp)
{
	return p->words[refault_path_find(p, fp + !fp)] != 0;
}

/* Forget everything. 0, or -1 where there is no memory. */
static inline int refault_path_clear(struct refault_path *p, uint64_t size)
{
	uint64_t *words = calloc(size, sizeof(*words));

	if (!words)
		return -1;
	free(p->words);
	p->words = words;
	p->mask = size - 1;
	p->used = 0;
	return 0;
}

static inline int refault_path_add(struct refault_path *p, uint64_t fp)
{
	if (2 * ++p->used > p->mask) {
		struct refault_path old = *p;
		uint64_t i;

		p->words = NULL;
		if (refault_path_clear(p, 2 * (old.mask + 1))) {
			*p = old;
			return -1;
		}
		p->used = old.used;
		for (i = 0; i <= old.mask; i++)
			if (old.words[i])
				p->words[refault_path_find(p, old.words[i])] = old.words[i];
		free(old.words);
	}
	fp += !fp;
	p->words[refault_path_find(p, fp)] = fp;
	return 0;
}

static inline void refault_path_remove(struct refault_path *p, uint64_t fp)
{
	uint64_t i = refault_path_find(p, fp + !fp), j = i;

	p->used--;
	for (;;) {
		j = (j + 1) & p->mask;
		if (!p->words[j])
			break;
		if (((j - p->words[j]) & p->mask) >= ((j - i) & p->mask)) {
			p->words[i] = p->words[j];
			i = j;
		}
	}
	p->words[i] = 0;
}

#endif
