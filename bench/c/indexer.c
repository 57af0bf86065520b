/* indexer: -DN=… threads insert four messages each into a hash table, by linear probing. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define SIZE 128

atomic_int table[SIZE];

static void *thread(void *arg)
{
	int t = (int)(intptr_t)arg;

	for (int m = 1; m <= 4; m++) {
		int w = 11 * m + t, h = 7 * w % SIZE, empty = 0;

		while (!atomic_compare_exchange_strong(&table[h], &empty, w)) {
			h = (h + 1) % SIZE;
			empty = 0;
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t id;

	for (intptr_t t = 0; t < N; t++)
		pthread_create(&id, NULL, thread, (void *)t);
	return 0;
}
