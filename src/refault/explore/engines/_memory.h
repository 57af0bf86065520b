/* What this process takes of the memory of the machine. */

#ifndef REFAULT_MEMORY_H
#define REFAULT_MEMORY_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/*
 * Bytes resident now; where there is no /proc, at the peak. A few microseconds. The file is opened
 * anew each time, for after a fork an open one would still tell of the parent.
 */
static inline uint64_t refault_resident(void)
{
	unsigned long long size, pages;
	char text[128];
	struct rusage usage;
	ssize_t n = -1;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n > 0) {
		text[n] = 0;
		if (sscanf(text, "%llu %llu", &size, &pages) == 2)
			return pages * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
	return usage.ru_maxrss;
#else
	return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

/* Give back what was freed: free() may keep it for later. */
static inline void refault_give_back(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

#endif
