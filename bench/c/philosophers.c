/* Dining philosophers: -DN=…, -DROUNDS=…, -DSWAPPED=1 for a last one who begins on the right.
 * Eating is local.
 */
#include <pthread.h>
#include <stdint.h>

pthread_mutex_t fork_[N];

static void *philosopher(void *arg)
{
	intptr_t i = (intptr_t)arg, first = i, second = (i + 1) % N;

	if (SWAPPED && i == N - 1) {
		first = 0;
		second = i;
	}
	for (int meals = 0; meals < ROUNDS; meals++) {
		pthread_mutex_lock(&fork_[first]);
		pthread_mutex_lock(&fork_[second]);
		pthread_mutex_unlock(&fork_[second]);
		pthread_mutex_unlock(&fork_[first]);
	}
	return NULL;
}

int main(void)
{
	pthread_t id;

	for (int i = 0; i < N; i++)
		pthread_mutex_init(&fork_[i], NULL);
	for (intptr_t i = 0; i < N; i++)
		pthread_create(&id, NULL, philosopher, (void *)i);
	return 0;
}
