/* A page under userfaultfd: -DN=… faulters, one monitor, -DWAKE_ON_EEXIST=1 for a monitor that
 * wakes after a copy that found the page already there. Waiting is an assumption; the monitor ends
 * where there is nothing left to read. A faulter that sleeps for ever is a blocked execution.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { NONE, RO, RW };

#ifdef NIDHUGG
void __VERIFIER_assume(int);
#endif

#define TAKEN(waiters) ((waiters) << N)
#define PENDING(queue) ((queue) & (TAKEN(1) - 1))

pthread_mutex_t ptl;
atomic_int pte;
atomic_int queue;		/* waiters not yet read by the monitor; above them those read */
atomic_int sleeping[N];

static void wp_page_copy(void)
{
	pthread_mutex_lock(&ptl);
	if (atomic_load(&pte) == RO) {
		atomic_store(&pte, NONE);
		atomic_store(&pte, RW);
	}
	pthread_mutex_unlock(&ptl);
}

static void handle_userfault(int i)
{
	atomic_store(&sleeping[i], 1);
	atomic_fetch_or(&queue, 1 << i);
	if (atomic_load(&pte) == NONE)			/* must_wait, schedule */
		__VERIFIER_assume(!atomic_load(&sleeping[i]));
	atomic_store(&sleeping[i], 0);
	atomic_fetch_and(&queue, ~(1 << i | TAKEN(1 << i)));
}

static void *faulter(void *arg)
{
	int seen;

	while ((seen = atomic_load(&pte)) != RW) {
		if (seen == RO)
			wp_page_copy();
		else
			handle_userfault((int)(intptr_t)arg);
	}
	return NULL;
}

static void read_message(void)
{
	int old, lowest;

	do {
		old = atomic_load(&queue);
		lowest = PENDING(old) & -PENDING(old);
		__VERIFIER_assume(lowest);
	} while (!atomic_compare_exchange_strong(&queue, &old, (old & ~lowest) | TAKEN(lowest)));
}

static int copy(void)
{
	int copied = 0;

	pthread_mutex_lock(&ptl);
	if (atomic_load(&pte) == NONE) {
		atomic_store(&pte, RO);
		copied = 1;
	}
	pthread_mutex_unlock(&ptl);
	return copied;
}

static void wake_userfault(void)
{
	int woken;

	if (!atomic_load(&queue))
		return;
	woken = atomic_exchange(&queue, 0);
	for (int i = 0; i < N; i++)
		if ((PENDING(woken) | woken >> N) >> i & 1)
			atomic_store(&sleeping[i], 0);
}

static void *monitor(void *unused)
{
	for (;;) {
		read_message();
		if (copy() || WAKE_ON_EEXIST)
			wake_userfault();
	}
	return NULL;
}

int main(void)
{
	pthread_t id;

	pthread_mutex_init(&ptl, NULL);
	for (intptr_t i = 0; i < N; i++)
		pthread_create(&id, NULL, faulter, (void *)i);
	pthread_create(&id, NULL, monitor, NULL);
	return 0;
}
