/*
 * What the threads of one search share: the set of fingerprints, a pool of work units, and questions to
 * the main thread, which alone may run Python code of the model.
 *
 * A *work unit* is a stack of a depth-first search: the way from the initial state, and for each state on it
 * what is left to try there. A thread without work takes a unit or, where there is none, says so in
 * `hungry`; a busy thread that sees that gives away what is left at the shallowest state of its stack,
 * which most likely is the biggest piece of its work (work stealing, by the victim's own hand: its stack
 * needs no lock). The search is complete when no unit is left and no thread has one.
 */

#ifndef REFAULT_CREW_H
#define REFAULT_CREW_H

#include <pthread.h>
#include <time.h>

#include "_shared.h"

struct refault_unit {
	struct refault_unit *next;
	void *frames;
	int64_t count;
};

#define REFAULT_AWAY (~(uint64_t)0)

/* What one thread tells the others; a cache line of its own. */
struct refault_worker {
	uint64_t seen;	  /* epoch of the set at its last step, or AWAY */
	int32_t question; /* waits for the main thread */
	uint64_t states, transitions, depth, bytes; /* as told lately */
} __attribute__((aligned(64)));

struct refault_crew {
	/* Looked at in every step. */
	int32_t stop, hungry;
	struct refault_shared set;
	struct refault_worker *workers;
	int32_t nworker;

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work, asked, answered;
	struct refault_unit *units;
	int32_t idle, ended, questions;
	uint64_t lease; /* states that may be stored beyond what threads have been promised */
};

static inline void refault_crew_free(struct refault_crew *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->asked);
	pthread_cond_destroy(&c->answered);
	free(c->workers);
	free(c);
}

static inline struct refault_crew *refault_crew_new(int workers)
{
	struct refault_crew *c;
	void *p;

	if (posix_memalign(&p, 64, sizeof(*c)))
		return NULL;
	c = memset(p, 0, sizeof(*c));
	if (posix_memalign(&p, 64, workers * sizeof(*c->workers))) {
		free(c);
		return NULL;
	}
	c->workers = memset(p, 0, workers * sizeof(*c->workers));
	c->nworker = workers;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->asked, NULL);
	pthread_cond_init(&c->answered, NULL);
	return c;
}

static inline struct refault_unit *refault_unit_new(int64_t count, size_t size)
{
	struct refault_unit *u = malloc(sizeof(*u));

	if (!u)
		return NULL;
	u->next = NULL;
	u->count = count;
	u->frames = malloc(count * size);
	if (!u->frames) {
		free(u);
		return NULL;
	}
	return u;
}

static inline void refault_unit_free(struct refault_unit *u)
{
	free(u->frames);
	free(u);
}

static inline void refault_away(struct refault_worker *w)
{
	__atomic_store_n(&w->seen, REFAULT_AWAY, __ATOMIC_SEQ_CST);
}

static inline void refault_here(struct refault_crew *c, struct refault_worker *w)
{
	__atomic_store_n(&w->seen, __atomic_load_n(&c->set.epoch, __ATOMIC_SEQ_CST),
			 __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Between two steps: no pointer into the set is kept. */
static inline void refault_pass(struct refault_crew *c, struct refault_worker *w)
{
	uint64_t epoch = __atomic_load_n(&c->set.epoch, __ATOMIC_ACQUIRE);

	if (epoch != w->seen)
		__atomic_store_n(&w->seen, epoch, __ATOMIC_RELEASE);
}

/* How far it is; now and then. */
static inline void refault_tell(struct refault_worker *w, uint64_t states, uint64_t transitions,
				uint64_t depth, uint64_t bytes)
{
	__atomic_store_n(&w->states, states, __ATOMIC_RELAXED);
	__atomic_store_n(&w->transitions, transitions, __ATOMIC_RELAXED);
	__atomic_store_n(&w->depth, depth, __ATOMIC_RELAXED);
	__atomic_store_n(&w->bytes, bytes, __ATOMIC_RELAXED);
}

static inline void refault_give(struct refault_crew *c, struct refault_unit *u)
{
	pthread_mutex_lock(&c->lock);
	u->next = c->units;
	c->units = u;
	__atomic_fetch_sub(&c->hungry, 1, __ATOMIC_RELAXED);
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
}

static inline void refault_halt(struct refault_crew *c)
{
	pthread_mutex_lock(&c->lock);
	__atomic_store_n(&c->stop, 1, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&c->work);
	pthread_cond_broadcast(&c->answered);
	pthread_cond_signal(&c->asked);
	pthread_mutex_unlock(&c->lock);
}

/* The next unit for a thread that has none; NULL when all is done, or to be stopped. */
static inline struct refault_unit *refault_take(struct refault_crew *c, struct refault_worker *w)
{
	struct refault_unit *u = NULL;

	refault_away(w);
	pthread_mutex_lock(&c->lock);
	c->idle++;
	__atomic_fetch_add(&c->hungry, 1, __ATOMIC_RELAXED);
	if (c->idle == c->nworker && !c->units) {
		__atomic_store_n(&c->stop, 1, __ATOMIC_RELEASE);
		pthread_cond_broadcast(&c->work);
	}
	while (!c->units && !c->stop)
		pthread_cond_wait(&c->work, &c->lock);
	if (!c->stop) {
		u = c->units;
		c->units = u->next;
		c->idle--;
	}
	pthread_mutex_unlock(&c->lock);
	refault_here(c, w);
	return u;
}

/* A thread is at its end. */
static inline void refault_leave(struct refault_crew *c, struct refault_worker *w)
{
	refault_away(w);
	pthread_mutex_lock(&c->lock);
	__atomic_store_n(&c->ended, c->ended + 1, __ATOMIC_RELEASE);
	pthread_cond_signal(&c->asked);
	pthread_mutex_unlock(&c->lock);
}

/* Wait until the main thread has answered: 1, or 0 where the search stops first. */
static inline int refault_question(struct refault_crew *c, struct refault_worker *w)
{
	int answered;

	refault_away(w);
	pthread_mutex_lock(&c->lock);
	w->question = 1;
	c->questions++;
	pthread_cond_signal(&c->asked);
	while (w->question && !c->stop)
		pthread_cond_wait(&c->answered, &c->lock);
	answered = !w->question;
	if (!answered) {
		w->question = 0;
		c->questions--;
	}
	pthread_mutex_unlock(&c->lock);
	refault_here(c, w);
	return answered;
}

static inline void refault_answer(struct refault_crew *c, int worker)
{
	pthread_mutex_lock(&c->lock);
	if (c->workers[worker].question) {
		c->workers[worker].question = 0;
		c->questions--;
		pthread_cond_broadcast(&c->answered);
	}
	pthread_mutex_unlock(&c->lock);
}

/* The main thread: wait for a question, the end of all threads, or so long. The thread that asks, or -1. */
static inline int refault_attend(struct refault_crew *c, double seconds)
{
	struct timespec until;
	int64_t nano = (int64_t)(seconds * 1e9);
	int i, asks = -1;

	clock_gettime(CLOCK_REALTIME, &until);
	nano += until.tv_nsec;
	until.tv_sec += nano / 1000000000;
	until.tv_nsec = nano % 1000000000;
	pthread_mutex_lock(&c->lock);
	if ((!c->questions || c->stop) && c->ended < c->nworker)
		pthread_cond_timedwait(&c->asked, &c->lock, &until);
	if (c->questions && !c->stop)
		for (i = 0; i < c->nworker; i++)
			if (c->workers[i].question)
				asks = i;
	pthread_mutex_unlock(&c->lock);
	return asks;
}

/* So many states may be stored; 0: none, there are as many as there may be. */
static inline uint64_t refault_lease(struct refault_crew *c)
{
	uint64_t n;

	pthread_mutex_lock(&c->lock);
	n = c->lease / (4 * (uint64_t)c->nworker);
	n = n > 4096 ? 4096 : n + (n < c->lease);
	c->lease -= n;
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* The epoch that every thread has seen. */
static inline uint64_t refault_seen(struct refault_crew *c)
{
	uint64_t least = REFAULT_AWAY, seen;
	int i;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (i = 0; i < c->nworker; i++) {
		seen = __atomic_load_n(&c->workers[i].seen, __ATOMIC_SEQ_CST);
		if (seen < least)
			least = seen;
	}
	return least;
}

#endif
