/* filesystem: -DN=… threads assign a block to an inode; 32 inodes, 26 blocks, a lock each. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define INODES 32
#define BLOCKS 26

pthread_mutex_t locki[INODES], lockb[BLOCKS];
atomic_int inode[INODES], busy[BLOCKS];

static void *thread(void *arg)
{
	int i = (int)(intptr_t)arg % INODES;

	pthread_mutex_lock(&locki[i]);
	if (atomic_load(&inode[i]) == 0) {
		for (int b = 2 * i % BLOCKS;; b = (b + 1) % BLOCKS) {
			pthread_mutex_lock(&lockb[b]);
			if (!atomic_load(&busy[b])) {
				atomic_store(&busy[b], 1);
				atomic_store(&inode[i], b + 1);
				pthread_mutex_unlock(&lockb[b]);
				break;
			}
			pthread_mutex_unlock(&lockb[b]);
		}
	}
	pthread_mutex_unlock(&locki[i]);
	return NULL;
}

int main(void)
{
	pthread_t id;

	for (int i = 0; i < INODES; i++)
		pthread_mutex_init(&locki[i], NULL);
	for (int b = 0; b < BLOCKS; b++)
		pthread_mutex_init(&lockb[b], NULL);
	for (intptr_t t = 0; t < N; t++)
		pthread_create(&id, NULL, thread, (void *)t);
	return 0;
}
