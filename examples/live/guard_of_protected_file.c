// SPDX-License-Identifier: MIT
/*
 * madvise(MADV_GUARD_INSTALL) that never ends, on a page of tmpfs that userfaultfd has protected.
 *
 * The page is taken out to make room, which leaves a marker of its protection. That is no room, and
 * is not taken out: after three rounds the system call is restarted, for ever, with the CPU busy.
 * Signals are taken in between. It ends when somebody unprotects the page, as the last step does.
 *
 * gcc -O2 -pthread -o guard_of_protected_file guard_of_protected_file.c
 * ./guard_of_protected_file
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, ACTORS = 2, STEPS = 4 };
static char *const area = (char *)0x100000000000;
static char source[8 * 4096] __attribute__((aligned(4096), used));
static int uffd;
static struct {
	_Atomic int told[ACTORS], done[ACTORS], tid[ACTORS], pid;
	char said[STEPS][64];
} *shared;
static __thread sigjmp_buf back;
static __thread char text[64];

static void failed(int sig) { siglongjmp(back, sig); }
static void noted(int sig) { (void)sig; }

__attribute__((used)) static char *number(long ret)
{
	if (ret < 0)
		snprintf(text, sizeof(text), "-%s", strerrorname_np(errno));
	else
		snprintf(text, sizeof(text), "%ld", ret);
	return text;
}

/* The result field of an ioctl that fills. */
__attribute__((used)) static char *filled(int ret, long long field)
{
	return number(ret == 0 || (errno == EAGAIN && field > 0) ? field : ret);
}

__attribute__((used)) static char *message(void)
{
	struct uffd_msg msg;
	if (read(uffd, &msg, sizeof(msg)) < 0)
		return errno == EAGAIN ? "none" : number(-1);
	if (msg.event == UFFD_EVENT_PAGEFAULT)
		snprintf(text, sizeof(text), "fault at area + %lld pages, flags %lld",
				((long long)msg.arg.pagefault.address - (long long)area) / PAGE,
				(long long)msg.arg.pagefault.flags);
	else
		snprintf(text, sizeof(text), "event %#x", msg.event);
	return text;
}

static char *step0(void)
{
	return number(*(volatile char *)(area + 1 * PAGE));
}

static char *step1(void)
{
	struct uffdio_writeprotect arg = {{(long)(area + 1 * PAGE), 1 * PAGE}, UFFDIO_WRITEPROTECT_MODE_WP};
	return number(ioctl(uffd, UFFDIO_WRITEPROTECT, &arg));
}

static char *step2(void)
{
	return number(madvise(area + 1 * PAGE, 1 * PAGE, 102));
}

static char *step3(void)
{
	struct uffdio_writeprotect arg = {{(long)(area + 1 * PAGE), 1 * PAGE}, 0};
	return number(ioctl(uffd, UFFDIO_WRITEPROTECT, &arg));
}

static const struct {
	int actor;
	const char *name;
	char *(*run)(void);
} steps[STEPS] = {
	{1, "program: load(p)", step0},
	{0, "monitor: protect(p, pages=1)", step1},
	{1, "program: guard(p, pages=1)", step2},
	{0, "monitor: unprotect(p, pages=1, wake=True)", step3},
};

static void *live(void *argument)
{
	long me = (long)argument;
	volatile int last = 0;
	shared->tid[me] = syscall(SYS_gettid);
	for (;;) {
		if (shared->told[me] == last) {
			usleep(100);
			continue;
		}
		last = shared->told[me];
		int sig = sigsetjmp(back, 1);
		const char *said = sig ? strsignal(sig) : steps[last - 1].run();
		snprintf(shared->said[last - 1], sizeof(shared->said[0]), "%s", said);
		shared->done[me] = last;
	}
	return NULL;
}

int main(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = 0x0};
	pthread_t thread;
	int pages = sizeof(*shared) / PAGE + 1;

	memset(source, 0x5a, sizeof(source));
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
		perror("userfaultfd");
		return 1;
	}
	shared = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared->pid = getpid();
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		live((void *)0);
	}
	signal(SIGBUS, failed);
	signal(SIGSEGV, failed);
	signal(SIGUSR1, noted);
	signal(SIGUSR2, noted);
	int file_p = memfd_create("p", 0);
	if (ftruncate(file_p, 1 * PAGE))
		return 1;
	mmap(area + 1 * PAGE, 1 * PAGE, PROT_READ | PROT_WRITE,
	     MAP_SHARED | MAP_FIXED, file_p, 0);
	if (pwrite(file_p, "", 1, 0 * PAGE) < 0)
		return 1;
	{
	struct uffdio_register arg = {{(long)(area + 1 * PAGE), 1 * PAGE}, UFFDIO_REGISTER_MODE_WP, 0};
		number(ioctl(uffd, UFFDIO_REGISTER, &arg));
	}
	for (long actor = 1; actor < ACTORS; actor++)
		pthread_create(&thread, NULL, live, (void *)actor);
	usleep(10000);
	for (int n = 0; n < STEPS; n++) {
		int actor = steps[n].actor, busy = shared->told[actor] != shared->done[actor];
		if (!busy)
			shared->told[actor] = n + 1;
		for (int wait = 0; !busy && wait < 1000 && shared->done[actor] != n + 1; wait++)
			usleep(200);
		usleep(10000);
		const char *said = shared->done[actor] == n + 1 ? shared->said[n] : "has not ended";
		printf("%-60s %s\n", steps[n].name, busy ? "missed" : said);
	}
	fflush(stdout);
	_exit(0);
}
