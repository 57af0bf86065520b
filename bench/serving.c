/*
 * The monitor of live/serve.py in C: the same system calls on the same buffers, and nothing else.
 * serving FD PAGES_PER_COPY CPU
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static struct uffd_msg messages[32];
	struct uffdio_copy copy = { 0 };
	unsigned long size;
	cpu_set_t cpus;
	char *source;
	int fd;

	if (argc != 4 || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return 2;
	fd = atoi(argv[1]);
	size = 4096UL * atoi(argv[2]);
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[3]), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	source = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (source == MAP_FAILED)
		return 2;
	memset(source, 'x', size);
	copy.src = (unsigned long)source;
	copy.len = size;
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 2;
	for (;;) {
		ssize_t got = read(fd, messages, sizeof(messages));

		if (got < 0)
			return 1;
		for (unsigned long i = 0; i < got / sizeof(messages[0]); i++) {
			struct uffdio_range range;

			if (messages[i].event != UFFD_EVENT_PAGEFAULT)
				continue;
			copy.dst = messages[i].arg.pagefault.address & ~(size - 1);
			if (!ioctl(fd, UFFDIO_COPY, &copy))
				continue;
			range.start = copy.dst;
			range.len = size;
			if (ioctl(fd, UFFDIO_WAKE, &range))
				return 1;
		}
	}
}
