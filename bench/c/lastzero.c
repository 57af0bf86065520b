/* lastzero: -DN=…. Writer j sets a[j] = a[j-1] + 1, the reader looks for the last zero. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

atomic_int a[N + 1];

static void *reader(void *unused)
{
	int i = N;

	while (atomic_load(&a[i]) != 0)
		i--;
	return NULL;
}

static void *writer(void *arg)
{
	intptr_t j = (intptr_t)arg;

	atomic_store(&a[j], atomic_load(&a[j - 1]) + 1);
	return NULL;
}

int main(void)
{
	pthread_t id;

	pthread_create(&id, NULL, reader, NULL);
	for (intptr_t j = 1; j <= N; j++)
		pthread_create(&id, NULL, writer, (void *)j);
	return 0;
}
