/*
 * The same set of fingerprints for threads: who adds a fingerprint first is told that it is new, and
 * nobody else is.
 *
 * Looking up and adding take no lock. A place goes from free to a fingerprint by compare and swap, once
 * and for good; everybody who looks for a fingerprint walks over the same places in the same order, so of
 * two who add the same one, one fails at the place where the other succeeded, and finds it there.
 *
 * A segment that is three quarters full is moved to a bigger array by whoever notices first, under the
 * segment's lock. It goes over the old array once and takes each place as it is at that moment: a free
 * one becomes MOVED, so that nothing can be added there any more, a fingerprint is copied and stays for
 * those who still look. Who meets MOVED waits until the new array is published and begins again in it;
 * everything that the old one ever held is in the new one by then. Only those who meet MOVED ever wait.
 *
 * An old array is freed when every thread has been seen between two steps since it was replaced
 * (quiescent-state based reclamation): no thread keeps a pointer into the set from step to step.
 */

#ifndef REFAULT_SHARED_H
#define REFAULT_SHARED_H

#include <sched.h>

#include "_fingerprints.h"

struct refault_array {
	uint64_t *words;
	uint64_t size;
	struct refault_array *next; /* once retired */
	uint64_t epoch;
};

struct refault_part {
	struct refault_array *array;
	uint64_t used;
	int32_t lock;
} __attribute__((aligned(64)));

struct refault_shared {
	struct refault_part parts[REFAULT_SEGMENTS];
	uint64_t epoch; /* arrays replaced so far */
	uint64_t bytes;
	struct refault_array *retired;
	struct refault_array *leaving; /* retired and taken off that list */
};

static inline struct refault_array *refault_array_of(uint64_t *words, uint64_t size)
{
	struct refault_array *a = malloc(sizeof(*a));

	if (a) {
		a->words = words;
		a->size = size;
		a->next = NULL;
		a->epoch = 0;
	}
	return a;
}

static inline void refault_array_free(struct refault_array *a)
{
	free(a->words);
	free(a);
}

/* Move a part to a bigger array, unless somebody has just done so. 0, or -1: no memory. */
static inline int refault_part_grow(struct refault_shared *set, struct refault_part *p,
				    struct refault_array *old)
{
	struct refault_array *a;
	uint64_t *words;
	uint64_t i, j, word, size = old->size + old->size / 2;

	while (__atomic_exchange_n(&p->lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	if (p->array != old) {
		__atomic_store_n(&p->lock, 0, __ATOMIC_RELEASE);
		return 0;
	}
	words = refault_words(size);
	a = words ? refault_array_of(words, size) : NULL;
	if (!a) {
		free(words);
		__atomic_store_n(&p->lock, 0, __ATOMIC_RELEASE);
		return -1;
	}
	for (i = 0; i < old->size; i++) {
		word = 0;
		if (__atomic_compare_exchange_n(&old->words[i], &word, REFAULT_MOVED, 0,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			continue;
		j = refault_place(size, word);
		while (words[j])
			if (++j == size)
				j = 0;
		words[j] = word;
	}
	__atomic_fetch_add(&set->bytes, (size - old->size) * sizeof(*words), __ATOMIC_RELAXED);
	__atomic_store_n(&p->array, a, __ATOMIC_SEQ_CST);
	old->epoch = __atomic_add_fetch(&set->epoch, 1, __ATOMIC_SEQ_CST);
	old->next = __atomic_load_n(&set->retired, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&set->retired, &old->next, old, 1, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	__atomic_store_n(&p->lock, 0, __ATOMIC_RELEASE);
	return 0;
}

static inline void refault_await_move(struct refault_part *p, const struct refault_array *old)
{
	while (__atomic_load_n(&p->array, __ATOMIC_ACQUIRE) == old)
		sched_yield();
}

/* Add fp. 1: it is new, 0: it was there, -1: no memory. */
static inline int refault_shared_add(struct refault_shared *set, uint64_t fp)
{
	struct refault_part *p;
	struct refault_array *a;
	uint64_t i, word;

	fp = refault_word(fp);
	p = &set->parts[fp >> 58];
again:
	a = __atomic_load_n(&p->array, __ATOMIC_ACQUIRE);
	i = refault_place(a->size, fp);
	for (;;) {
		word = __atomic_load_n(&a->words[i], __ATOMIC_RELAXED);
		if (!word) {
			if (4 * __atomic_load_n(&p->used, __ATOMIC_RELAXED) >= 3 * a->size) {
				if (refault_part_grow(set, p, a))
					return -1;
				goto again;
			}
			if (__atomic_compare_exchange_n(&a->words[i], &word, fp, 0, __ATOMIC_ACQ_REL,
							__ATOMIC_RELAXED)) {
				__atomic_fetch_add(&p->used, 1, __ATOMIC_RELAXED);
				return 1;
			}
		}
		if (word == fp)
			return 0;
		if (word == REFAULT_MOVED) {
			refault_await_move(p, a);
			goto again;
		}
		if (++i == a->size)
			i = 0;
	}
}

/* Whether fp is there; where that takes waiting, no. */
static inline int refault_shared_has(struct refault_shared *set, uint64_t fp)
{
	struct refault_part *p;
	struct refault_array *a;
	uint64_t i, word;

	fp = refault_word(fp);
	p = &set->parts[fp >> 58];
	a = __atomic_load_n(&p->array, __ATOMIC_ACQUIRE);
	i = refault_place(a->size, fp);
	for (;;) {
		word = __atomic_load_n(&a->words[i], __ATOMIC_RELAXED);
		if (word == fp)
			return 1;
		if (!word || word == REFAULT_MOVED)
			return 0;
		if (++i == a->size)
			i = 0;
	}
}

static inline void refault_shared_fetch(struct refault_shared *set, uint64_t fp)
{
	struct refault_array *a = __atomic_load_n(&set->parts[fp >> 58].array, __ATOMIC_ACQUIRE);

	refault_prefetch(&a->words[refault_place(a->size, fp)]);
}

/* Free the arrays that were replaced before the threads were last seen between two steps. */
static inline void refault_reclaim(struct refault_shared *set, uint64_t seen)
{
	struct refault_array **at = &set->leaving;
	struct refault_array *a = __atomic_exchange_n(&set->retired, NULL, __ATOMIC_ACQUIRE), *next;

	for (; a; a = next) {
		next = a->next;
		a->next = set->leaving;
		set->leaving = a;
	}
	while ((a = *at) != NULL) {
		if (a->epoch <= seen) {
			*at = a->next;
			refault_array_free(a);
		} else {
			at = &a->next;
		}
	}
}

/* Take the arrays of a set over, with room for what so many threads may add at once. 0 or -1. */
static inline int refault_share(struct refault_shared *shared, struct refault_set *set,
				uint64_t threads)
{
	struct refault_array *a;
	int i;

	for (i = 0; i < REFAULT_SEGMENTS; i++)
		while (set->segments[i].size / 8 < threads)
			if (refault_grow(set, &set->segments[i]))
				return -1;
	shared->bytes = set->bytes;
	for (i = 0; i < REFAULT_SEGMENTS; i++) {
		a = refault_array_of(set->segments[i].words, set->segments[i].size);
		if (!a)
			return -1;
		shared->parts[i].array = a;
		shared->parts[i].used = set->segments[i].used;
	}
	return 0;
}

/* Give them back, when the threads are gone; also after a failure of refault_share(). */
static inline void refault_unshare(struct refault_shared *shared, struct refault_set *set)
{
	struct refault_array *a;
	int i;

	refault_reclaim(shared, ~(uint64_t)0);
	for (i = 0; i < REFAULT_SEGMENTS; i++) {
		a = shared->parts[i].array;
		if (!a)
			break;
		set->segments[i].words = a->words;
		set->segments[i].size = a->size;
		set->segments[i].used = shared->parts[i].used;
		free(a);
	}
	if (shared->bytes)
		set->bytes = shared->bytes;
	memset(shared, 0, sizeof(*shared));
}

#endif
