"""A program as C: what it takes to show others what a kernel does, with nothing of ours.

The C program tells its actors one step after the other, each when the one before has ended or has
not for a while, and prints what came of it. The monitor is a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refault.litmus.program import MONITOR, Memory, Place, Program, Step

from ..operations import Advice
from ..userfaultfd import Feature, Mode

_PROT = {"rw": "PROT_READ | PROT_WRITE", "r": "PROT_READ", "": "PROT_NONE"}

_HEAD = """\
// SPDX-License-Identifier: MIT
/*
 * Steps are done one after the other, by a monitor outside and by threads of the process. A step
 * that has not ended after 0.2 s is left alone; "missed" is one of a thread that is still busy.
 *
 * gcc -O2 -pthread -o reproduce reproduce.c && ./reproduce
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

enum { PAGE = 4096, ACTORS = @ACTORS@, STEPS = @STEPS@ };
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

"""

_TAIL = """\
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
	struct uffdio_api api = {.api = UFFD_API, .features = @FEATURES@};
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
@MAPPINGS@
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
		printf("%-60s %s\\n", steps[n].name, busy ? "missed" : said);
	}
	fflush(stdout);
	_exit(0);
}
"""


def _at(program: Program, place: Place) -> str:
    """The address of a page, as C."""
    page = 1
    for memory in program.memories:
        if memory.name == place.memory:
            return f"area + {page + place.page} * PAGE"
        page += memory.pages + 1
    raise KeyError(place.memory)


def _map(program: Program, memory: Memory) -> list[str]:
    """What maps memory."""
    if memory.kind == "room":
        return []
    shared = "MAP_SHARED" if memory.shared else "MAP_PRIVATE"
    fd = "-1"
    lines = []
    if memory.kind == "shmem":
        fd = f"file_{memory.of or memory.name}"
        if not memory.of:
            lines.append(f'\tint {fd} = memfd_create("{memory.name}", 0);')
            lines.append(f"\tif (ftruncate({fd}, {memory.pages} * PAGE))\n\t\treturn 1;")
    else:
        shared += " | MAP_ANONYMOUS"
    where = _at(program, Place(memory.name))
    lines.append(
        f"\tmmap({where}, {memory.pages} * PAGE, {_PROT[memory.prot]},\n"
        f"\t     {shared} | MAP_FIXED, {fd}, 0);"
    )
    return lines + _contents(memory, where, fd)


def _contents(memory: Memory, where: str, fd: str) -> list[str]:
    """What puts pages there at first, and registers them."""
    lines, pages = [], range(memory.pages)
    if memory.contents == "cached":
        lines += [f'\tif (pwrite({fd}, "", 1, {n} * PAGE) < 0)\n\t\treturn 1;' for n in pages]
    elif memory.contents == "page":
        lines += [f"\t*(volatile char *)({where} + {n} * PAGE) = 0;" for n in pages]
    elif memory.contents == "zero page":
        lines += [f"\t(void)*(volatile char *)({where} + {n} * PAGE);" for n in pages]
    size = f"{memory.pages} * PAGE"
    if memory.modes:
        lines.append(_block(_register(where, size, {"modes": " ".join(memory.modes)})))
    if memory.protected:
        lines.append(_block(_protect("UFFDIO_WRITEPROTECT_MODE_WP")(where, size, {})))
    return lines


def _block(body: str) -> str:
    """What a step does, in the middle of something else."""
    return "\t{\n\t" + body.replace("return ", "").replace("\t", "\t\t", 1) + "\n\t}"


def _modes(words: str) -> str:
    return " | ".join(f"UFFDIO_REGISTER_MODE_{Mode[word.upper()].name}" for word in words.split())


Arguments = Mapping[str, Any]
Say = Callable[[str, str, Arguments], str]


def _fill(name: str, number: int, *words: str) -> Say:
    """An ioctl that fills: its arguments as 64-bit words, for headers may be older than that."""

    def say(at: str, size: str, args: Arguments) -> str:
        mode = int(not args.get("wake", True)) | 2 * bool(args.get("wp") or args.get("holes"))
        known = {"at": f"(long)({at})", "size": size, "src": f"(long)({args.get('src', '')})"}
        values = [known.get(word, word) for word in words]
        count = len(values) + 2
        return (
            f"unsigned long long arg[{count}] = {{{', '.join(values)}, {mode}}}; /* {name} */\n"
            f"\tint ret = ioctl(uffd, _IOWR(0xaa, {number}, unsigned long long[{count}]), arg);\n"
            f"\treturn filled(ret, arg[{count - 1}]);"
        )

    return say


def _range(request: str) -> Say:
    def say(at: str, size: str, _: Arguments) -> str:
        return (
            f"struct uffdio_range arg = {{(long)({at}), {size}}};\n"
            f"\treturn number(ioctl(uffd, {request}, &arg));"
        )

    return say


def _protect(flags: str) -> Say:
    def say(at: str, size: str, args: Arguments) -> str:
        mode = flags if args.get("wake", True) else "UFFDIO_WRITEPROTECT_MODE_DONTWAKE"
        return (
            f"struct uffdio_writeprotect arg = {{{{(long)({at}), {size}}}, {mode}}};\n"
            "\treturn number(ioctl(uffd, UFFDIO_WRITEPROTECT, &arg));"
        )

    return say


def _register(at: str, size: str, args: Arguments) -> str:
    return (
        f"struct uffdio_register arg = {{{{(long)({at}), {size}}}, {_modes(args['modes'])}, 0}};\n"
        "\treturn number(ioctl(uffd, UFFDIO_REGISTER, &arg));"
    )


def _advice(advice: Advice) -> Say:
    return lambda at, size, _: f"return number(madvise({at}, {size}, {int(advice)}));"


def _mremap(at: str, size: str, args: Arguments) -> str:
    flags = "MREMAP_MAYMOVE | MREMAP_FIXED" + (" | MREMAP_DONTUNMAP" if args.get("keep") else "")
    return (
        f"return number(mremap({at}, {size}, {size},\n"
        f"\t\t\t     {flags}, {args['to']}) == MAP_FAILED ? -1 : 0);"
    )


_STEPS: dict[str, Say] = {
    "read": lambda at, size, args: "return message();",
    "load": lambda at, size, args: f"return number(*(volatile char *)({at}));",
    "store": lambda at, size, args: (
        f"*(volatile char *)({at}) = {args['value']};\n\treturn number(0);"
    ),
    "copy": _fill("UFFDIO_COPY", 3, "at", "(long)source", "size"),
    "copy_from": _fill("UFFDIO_COPY", 3, "at", "src", "size"),
    "zeropage": _fill("UFFDIO_ZEROPAGE", 4, "at", "size"),
    "move": _fill("UFFDIO_MOVE", 5, "at", "src", "size"),
    "resume": _fill("UFFDIO_CONTINUE", 7, "at", "size"),
    "poison": _fill("UFFDIO_POISON", 8, "at", "size"),
    "wake": _range("UFFDIO_WAKE"),
    "unregister": _range("UFFDIO_UNREGISTER"),
    "register": _register,
    "protect": _protect("UFFDIO_WRITEPROTECT_MODE_WP"),
    "unprotect": _protect("0"),
    "mprotect": lambda at, size, args: (
        f"return number(mprotect({at}, {size}, {_PROT[args['prot']]}));"
    ),
    "munmap": lambda at, size, args: f"return number(munmap({at}, {size}));",
    "mmap": lambda at, size, args: (
        f"return number(mmap({at}, {size}, {_PROT[args['prot']]},\n"
        "\t\t\tMAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);"
    ),
    "mremap": _mremap,
    "dontneed": _advice(Advice.DONTNEED),
    "madv_free": _advice(Advice.FREE),
    "guard": _advice(Advice.GUARD_INSTALL),
    "unguard": _advice(Advice.GUARD_REMOVE),
    "populate": lambda at, size, args: _advice(
        Advice.POPULATE_WRITE if args["write"] else Advice.POPULATE_READ
    )(at, size, args),
    "put_user": lambda at, size, args: (
        f"return number(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, {at}, 8));"
    ),
}


def reproducer(program: Program) -> str:
    """A program in C that does the same; steps that it has no words for say so."""
    actors = [MONITOR, *(thread.name for thread in program.threads)]
    steps = [step for step in program.steps if step.do in _STEPS or step.do == "kill"]
    functions = "".join(_function(program, step, n, actors) for n, step in enumerate(steps))
    rows = "".join(
        f'\t{{{actors.index(step.thread)}, "{step}", step{n}}},\n' for n, step in enumerate(steps)
    )
    table = (
        "static const struct {\n\tint actor;\n\tconst char *name;\n\tchar *(*run)(void);\n"
        f"}} steps[STEPS] = {{\n{rows}}};\n\n"
    )
    maps = "\n".join(line for memory in program.memories for line in _map(program, memory))
    features = f"{sum(Feature[name] for name in program.features):#x}"
    features += f" /* {' '.join(program.features)} */" if program.features else ""
    tail = _TAIL.replace("@FEATURES@", features).replace("@MAPPINGS@", maps)
    head = _HEAD.replace("@ACTORS@", str(len(actors))).replace("@STEPS@", str(len(steps)))
    return head + functions + table + tail


def _function(program: Program, step: Step, number: int, actors: list[str]) -> str:
    args = dict(step.args)
    for key, value in args.items():
        if isinstance(value, Place):
            args[key] = _at(program, value)
    if step.do == "kill":
        who = actors.index(args["who"])
        body = (
            "return number(syscall(SYS_tgkill, shared->pid, "
            f"shared->tid[{who}], {args['signal']}));"
        )
    else:
        body = _STEPS[step.do](args.get("at", ""), f"{args.get('pages', 1)} * PAGE", args)
    return f"static char *step{number}(void)\n{{\n\t{body}\n}}\n\n"
