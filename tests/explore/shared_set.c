/*
 * Threads add overlapping fingerprints to the shared set while it grows and old arrays are freed. Each
 * fingerprint is new to exactly one of them, and all are there in the end. Run under sanitizers.
 */

#include <stdio.h>

#include "_crew.h"

enum { THREADS = 4, EACH = 60000, RANGE = 80000 };

static struct refault_crew *crew;
static unsigned char won[RANGE];
static uint64_t added[THREADS];

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
			abort(); \
		} \
	} while (0)

/* The last three are the words that mean something else, and a neighbour of one. */
static uint64_t fingerprint(uint64_t k)
{
	if (k == RANGE - 1)
		return 0;
	if (k == RANGE - 2)
		return ~(uint64_t)0;
	return refault_mix(k + 1);
}

static void *run(void *arg)
{
	long me = (long)arg;
	uint64_t x = 77 * me + 5, k, fp;
	int new, i;

	refault_here(crew, &crew->workers[me]);
	for (i = 0; i < EACH; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		k = (x >> 33) % RANGE;
		fp = fingerprint(k);
		refault_pass(crew, &crew->workers[me]);
		refault_shared_fetch(&crew->set, fp);
		if (refault_shared_has(&crew->set, fp)) {
			CHECK(refault_shared_add(&crew->set, fp) == 0);
			continue;
		}
		new = refault_shared_add(&crew->set, fp);
		CHECK(new >= 0);
		if (new) {
			added[me]++;
			CHECK(__atomic_fetch_add(&won[k], 1, __ATOMIC_RELAXED) == 0);
		}
	}
	refault_leave(crew, &crew->workers[me]);
	return NULL;
}

int main(void)
{
	struct refault_set set;
	pthread_t threads[THREADS];
	uint64_t total = 0, used = 0, there = 0, j;
	long i;

	memset(&set, 0, sizeof(set));
	CHECK(!refault_clear(&set));
	crew = refault_crew_new(THREADS);
	CHECK(crew && !refault_share(&crew->set, &set, THREADS));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, run, (void *)i));
	while (refault_load(&crew->ended) < THREADS) {
		refault_attend(crew, 0.001);
		refault_reclaim(&crew->set, refault_seen(crew));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		total += added[i];
	}
	refault_unshare(&crew->set, &set);
	for (i = 0; i < REFAULT_SEGMENTS; i++) {
		used += set.segments[i].used;
		for (j = 0; j < set.segments[i].size; j++) {
			CHECK(set.segments[i].words[j] != REFAULT_MOVED);
			there += set.segments[i].words[j] != 0;
		}
	}
	CHECK(total == used && used == there);
	for (i = 0; i < RANGE; i++)
		if (won[i])
			CHECK(*refault_find(&set, refault_word(fingerprint(i))));
	refault_free(&set);
	refault_crew_free(crew);
	printf("%llu, as it should be\n", (unsigned long long)total);
	return 0;
}
