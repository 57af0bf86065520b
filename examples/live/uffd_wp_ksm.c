// SPDX-License-Identifier: MIT
/*
 * Does merging by KSM keep userfaultfd's write protection?
 *
 * A page is write-protected with UFFDIO_WRITEPROTECT, merged with another page of the same
 * contents, and written to. A message is due. The model has this as the scenario
 * protection-survives-merging, in which none comes.
 *
 * gcc -O2 -pthread -o uffd_wp_ksm uffd_wp_ksm.c
 * ./uffd_wp_ksm              (root: switches KSM on while it runs, and back)
 *
 * Exit status: 1 if the write went through without a message, 0 if it waited for one, 2 if it
 * could not be tried.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGES = 64, PAGE = 4096, UFFD_WP_BIT = 57 };

static char *area;
static volatile int written;

static long setting(const char *name, const char *value)
{
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	fd = open(path, value ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0 ||
	    (value && pwrite(fd, value, strlen(value), 0) < 0))
		perror(path);
	close(fd);
	return atol(text);
}

static int protected(void)
{
	unsigned long entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, sizeof(entry), (unsigned long)area / PAGE * sizeof(entry)) < 0)
		perror("pagemap");
	close(fd);
	return entry >> UFFD_WP_BIT & 1;
}

static void *writer(void *unused)
{
	(void)unused;
	area[0] = 2;
	written = 1;
	return NULL;
}

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct uffd_msg msg;
	char before[32], sleep_before[32], scan_before[32];
	int uffd, i, message;
	long merged = 0;
	pthread_t thread;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE);
	memset(area, 7, PAGES * PAGE);
	reg.range.start = wp.range.start = (unsigned long)area;
	reg.range.len = wp.range.len = PAGES * PAGE;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg) ||
	    ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) || madvise(area, PAGES * PAGE, MADV_MERGEABLE)) {
		perror("setting up");
		return 2;
	}
	printf("write-protected before merging: %s\n", protected() ? "yes" : "no");
	snprintf(scan_before, sizeof(scan_before), "%ld", setting("pages_to_scan", "1000"));
	snprintf(sleep_before, sizeof(sleep_before), "%ld", setting("sleep_millisecs", "10"));
	snprintf(before, sizeof(before), "%ld", setting("run", "1"));
	for (i = 0; i < 100 && merged < PAGES - 2; i++) {
		usleep(100000);
		merged = setting("pages_sharing", NULL);
	}
	setting("run", before);
	setting("sleep_millisecs", sleep_before);
	setting("pages_to_scan", scan_before);
	printf("pages merged: %ld\n", merged);
	if (merged < PAGES - 2) {
		printf("KSM did not merge them\n");
		return 2;
	}
	printf("write-protected after merging: %s\n", protected() ? "yes" : "no");
	pthread_create(&thread, NULL, writer, NULL);
	usleep(500000);
	message = read(uffd, &msg, sizeof(msg)) == sizeof(msg);
	printf("a write: %s, %s\n", written ? "went through" : "waits",
	       message ? "a message" : "no message");
	fflush(stdout);
	_exit(written && !message);
}
