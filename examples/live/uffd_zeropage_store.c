// SPDX-License-Identifier: MIT
/*
 * A thread left asleep in handle_userfault() on a page that is there.
 *
 *   faulter                               monitor
 *   touches a missing page
 *                                         UFFDIO_ZEROPAGE (nobody queued yet: nothing to wake)
 *                                         stores to the page: the zero page is copied,
 *                                         and its PTE is none for a moment
 *   enqueues itself, looks at the PTE
 *   just then: none, so it sleeps
 *
 * The model has this as the scenario zeropage-then-store. The window is short, so the two threads
 * meet again and again with random delays; MODE says what the monitor does:
 *
 *   zero    UFFDIO_ZEROPAGE, then a store       the race
 *   look    UFFDIO_ZEROPAGE, then a load        no copy: must never hang
 *   copy    UFFDIO_COPY, then a store           the page is exclusive, no copy: must never hang
 *
 * gcc -O2 -pthread -o uffd_zeropage_store uffd_zeropage_store.c
 * ./uffd_zeropage_store zero 30        (needs two CPUs and the right to use userfaultfd)
 *
 * Prints the first sleepers with their kernel stack, wakes each with UFFDIO_WAKE, and ends after
 * five of them or after the given seconds. Exit status: 1 if any thread hung, else 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGES = 512, PAGE = 4096, ENOUGH = 5 };

static char *area;
static int uffd;
static _Atomic long started, finished;
static pid_t faulter_tid;
static volatile char sink;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void delay(unsigned *seed, unsigned most)
{
	*seed = *seed * 1664525u + 1013904223u;
	for (volatile unsigned i = (*seed >> 8) % most; i; i--)
		;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *faulter(void *unused)
{
	unsigned seed = 1;

	(void)unused;
	pin(0);
	faulter_tid = syscall(SYS_gettid);
	for (long round = 1;; round++) {
		while (atomic_load(&started) < round)
			;
		delay(&seed, 200);
		sink = area[round % PAGES * PAGE];
		atomic_store(&finished, round);
	}
	return NULL;
}

static void fill(char *page, const char *mode)
{
	static char source[PAGE] __attribute__((aligned(PAGE)));
	int failed;

	if (!strcmp(mode, "copy")) {
		struct uffdio_copy c = { .dst = (unsigned long)page,
					 .src = (unsigned long)source, .len = PAGE };
		failed = ioctl(uffd, UFFDIO_COPY, &c);
	} else {
		struct uffdio_zeropage z = { .range = { (unsigned long)page, PAGE } };
		failed = ioctl(uffd, UFFDIO_ZEROPAGE, &z);
	}
	if (failed && errno != EEXIST) {
		perror("filling a page");
		exit(2);
	}
}

static int unread_messages(void)
{
	struct uffd_msg msg;
	int n = 0;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg))
		n++;
	return n;
}

/* What there is to see of the sleeper, and the end of its sleep. */
static void report(char *page, long round)
{
	struct uffdio_range range = { (unsigned long)page, PAGE };
	char name[64], stack[4096] = "(the kernel stack is for root only)\n";
	unsigned long entry = 0;
	double since;
	int fd;

	fd = open("/proc/self/pagemap", O_RDONLY);
	if (pread(fd, &entry, sizeof(entry), (unsigned long)page / PAGE * sizeof(entry)) < 0)
		perror("pagemap");
	close(fd);
	snprintf(name, sizeof(name), "/proc/self/task/%d/stack", faulter_tid);
	fd = open(name, O_RDONLY);
	if (fd >= 0) {
		ssize_t n = read(fd, stack, sizeof(stack) - 1);

		stack[n > 0 ? n : 0] = 0;
		close(fd);
	}
	printf("round %ld: asleep, page present: %s, unread messages: %d\n%s", round,
	       entry >> 63 ? "yes" : "no", unread_messages(), stack);
	ioctl(uffd, UFFDIO_WAKE, &range);
	for (since = now(); atomic_load(&finished) != round && now() - since < 1;)
		;
	printf("after UFFDIO_WAKE: %s\n", atomic_load(&finished) == round ? "goes on" : "asleep");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	const char *mode = argc > 1 ? argv[1] : "zero";
	double end = now() + (argc > 2 ? atof(argv[2]) : 30), since;
	unsigned seed = 2;
	pthread_t thread;
	long round, hung = 0;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE);
	reg.range.start = (unsigned long)area;
	reg.range.len = PAGES * PAGE;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		perror("userfaultfd");
		return 2;
	}
	pin(1);
	pthread_create(&thread, NULL, faulter, NULL);
	for (round = 1; now() < end && hung < ENOUGH; round++) {
		char *page = area + round % PAGES * PAGE;

		if (round % PAGES == 0)
			madvise(area, PAGES * PAGE, MADV_DONTNEED);
		atomic_store(&started, round);
		delay(&seed, 3000);
		fill(page, mode);
		if (!strcmp(mode, "look"))
			sink = page[8];
		else
			page[8] = 1;
		for (since = now(); atomic_load(&finished) != round;) {
			if (now() - since < 0.2)
				continue;
			report(page, round);
			hung++;
			break;
		}
		unread_messages();
	}
	printf("%s: %ld rounds, %ld hung\n", mode, round - 1, hung);
	fflush(stdout);
	_exit(hung != 0);
}
