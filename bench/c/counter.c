/* counter: -DN=… threads, each t = x; x = t + 1. */
#include <pthread.h>
#include <stdatomic.h>

atomic_int x;

static void *thread(void *unused)
{
	int t = atomic_load(&x);

	atomic_store(&x, t + 1);
	return NULL;
}

int main(void)
{
	pthread_t id;

	for (int i = 0; i < N; i++)
		pthread_create(&id, NULL, thread, NULL);
	return 0;
}
