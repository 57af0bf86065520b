/* lockn: -DN=… threads lock and unlock one mutex. */
#include <pthread.h>

pthread_mutex_t mutex;

static void *thread(void *unused)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

int main(void)
{
	pthread_t id;

	pthread_mutex_init(&mutex, NULL);
	for (int i = 0; i < N; i++)
		pthread_create(&id, NULL, thread, NULL);
	return 0;
}
