/* readers: -DN=…. A writer of x; each reader reads a cell of its own, then x. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

atomic_int x, own[N];

static void *reader(void *arg)
{
	atomic_load(&own[(intptr_t)arg]);
	atomic_load(&x);
	return NULL;
}

static void *writer(void *unused)
{
	atomic_store(&x, 42);
	return NULL;
}

int main(void)
{
	pthread_t id;

	for (intptr_t i = 0; i < N; i++)
		pthread_create(&id, NULL, reader, (void *)i);
	pthread_create(&id, NULL, writer, NULL);
	return 0;
}
