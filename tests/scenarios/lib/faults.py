# SPDX-License-Identifier: MIT OR Apache-2.0
"""Making allocations fail, one after another, and what then is done."""

import ctypes
import errno
import os
import socket
import time

from lib import check, module, net, pace

INJECTION = "/sys/kernel/debug"
# What can fail on purpose. Copies from and to user space are among it, and give EFAULT.
KINDS = ("failslab", "fail_page_alloc", "fail_usercopy", "fail_skb_realloc")
HONEST = {"ENOMEM", "EFAULT"}
# More than anything allocates.
NEVER = 1 << 30
SMALL = b"max_connections=16 max_fds=16 max_alerts=1 timeout_closed=0"
LARGE = b"max_connections=20000 max_fds=20000 max_alerts=1000"
# Refused as soon as the module's own code runs.
REFUSED = b"max_connections=1"
FILES = ("stats", "connections", "fds", "alerts", "config", "monitors", "snapshot", "events")
DATAGRAMS = 20
FINIT_MODULE, DELETE_MODULE = 313, 176
PAGE = 4096

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def called(result):
    """A system call's result, or what it says as an exception."""
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def set_up(kind, **values):
    for name, value in values.items():
        path = f"{INJECTION}/{kind}/{name.replace('_', '-')}"
        if os.path.exists(path):
            with open(path, "w") as file:
                file.write(str(value))


class Faults:
    """The faults of this thread."""

    def __init__(self):
        for kind in KINDS:
            set_up(kind, ignore_gfp_wait="N", ignore_gfp_highmem="N", min_order=0, verbose=0, probability=0,
                   times=-1, task_filter="N", stacktrace_depth=32)
        self.everywhere()
        self._nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)

    def everywhere(self):
        """Faults are counted wherever something is allocated."""
        self._only(0, (1 << 64) - 1)

    def only_ours(self):
        """Faults are counted only where the module's own code is on the stack."""
        size, start = next((int(line.split()[1]), int(line.split()[5], 16)) for line in open("/proc/modules")
                           if line.startswith("mutex "))
        self._only(start, start + size)

    def _only(self, start, end):
        for kind in KINDS:
            set_up(kind, require_start=hex(start), require_end=hex(end))

    def attempt(self, operation, nth):
        """Runs it with its nth allocation failing; gives what it returned, what it failed with (None or
        the errno's name), and how many places there were before the fault, None if it happened."""
        result = failed = None
        order = b"%d" % nth
        os.pwrite(self._nth, order, 0)
        try:
            result = operation()
        except OSError as error:
            failed = errno.errorcode[error.errno]
        try:
            left = int(os.pread(self._nth, 20, 0))
        except OSError:
            # The fault was the next to come, and came as that was read.
            left = 1
        try:
            os.pwrite(self._nth, b"0", 0)
        except OSError:
            pass  # It came as it was to be called off.
        return result, failed, nth - left if left else None

    def places(self, operation):
        """How many places of an operation can fail, what it returned, and what it failed with."""
        result, failed, places = self.attempt(operation, NEVER)
        return places, result, failed


def some(numbers, most):
    """At most so many of them, from all over."""
    numbers = list(numbers)
    if not most or len(numbers) <= most:
        return numbers
    return sorted({numbers[i * (len(numbers) - 1) // (most - 1)] for i in range(most)})


class Run:
    """All of it; of each operation at most `most` places, 0 for every place."""

    def __init__(self, most):
        self.most = most
        self.faults = Faults()
        self.ko = os.open(module.FILE, os.O_RDONLY)
        self.first = net.Namespace()
        self.here = os.open("/proc/self/ns/net", os.O_RDONLY)

    def load(self, parameters=SMALL):
        called(libc.syscall(FINIT_MODULE, self.ko, parameters, 0))

    def unload(self):
        called(libc.syscall(DELETE_MODULE, b"mutex", os.O_NONBLOCK))

    def each(self, what, operation, undo=None, honest=HONEST, prepare=None, most=None, first=1, after=None):
        """Lets the operation fail at its places, from the first on."""
        before = prepare() if prepare else None
        run = (lambda: operation(before)) if prepare else operation
        places, result, failed = self.faults.places(run)
        if failed is None and undo:
            undo(result)
        check.equal(f"{what}: it works", failed, None)
        happened, outcomes, odd = 0, {}, []
        numbers = some(range(first, places + 1), self.most if most is None else most)
        for nth in numbers:
            before = prepare() if prepare else None
            result, failed, left = self.faults.attempt(run if not prepare else lambda: operation(before), nth)
            happened += left is None
            outcomes[failed] = outcomes.get(failed, 0) + 1
            if failed is not None and honest and failed not in honest or failed is not None and left is not None:
                odd.append((nth, failed, left))
            if failed is None and undo:
                undo(result)
            if after:
                odd += [(nth, wrong) for wrong in after(failed)]
        said = ", ".join(f"{number} {name or 'worked'}" for name, number in sorted(outcomes.items(), key=str))
        check.that(f"{what}: works or says why", not odd, odd if odd else
                   f"{len(numbers)} of {places} places tried, {happened} failed: {said}")
        return places

    def knows_boot(self):
        """Whether the module has the kernel's boot id."""
        boot_id = bytes.fromhex(open("/proc/sys/kernel/random/boot_id").read().strip().replace("-", ""))
        fd = os.open(f"{module.PROC}/snapshot", os.O_RDONLY)
        start = os.read(fd, 1 << 12)
        os.close(fd)
        return boot_id in start

    def loading(self):
        check.part("loading")
        loader, _, refused = self.faults.places(lambda: self.load(REFUSED))
        check.equal("a parameter that is out of range", refused, "EINVAL")
        before = module.mappings()

        def after(failed):
            wrong = []
            if module.is_loaded() != (failed is None) and failed is not None:
                wrong.append("it is loaded all the same")
            if failed is not None and os.path.exists(module.PROC):
                wrong.append("its files are there")
            return wrong

        def undo(_):
            # What is loaded is whole, whatever failed meanwhile.
            if sorted(os.listdir(module.PROC)) != sorted(FILES) or not self.knows_boot():
                check.that("what is loaded is whole", False, os.listdir(module.PROC))
            self.unload()

        self.each("the kernel's part", self.load, undo, after=after, most=self.most and self.most // 4)
        # What comes before the first line of ours is the same each time, but for a few that depend on
        # what caches happen to hold.
        self.each("our part", self.load, undo, after=after, first=max(1, loader - 5),
                  most=0 if pace.IS_UML else self.most)
        self.each("our part, large tables", lambda: self.load(LARGE), undo, after=after,
                  first=max(1, loader - 5), most=self.most and self.most // 4)
        check.equal("memory mappings are as before", module.mappings(), before)
        check.that("no kprobe was left out", pace.IS_UML or "no kprobes" not in module.kernel_log())
        module.nothing_left("after all that")

    def namespaces(self):
        check.part("namespaces")

        def create():
            called(libc.unshare(os.CLONE_NEWNET))

        def leave(_):
            os.setns(self.here, os.CLONE_NEWNET)

        self.faults.only_ours()
        self.each("a namespace, our part", create, leave, most=0)
        self.faults.everywhere()
        # Others have their own words for having no memory.
        self.each("a namespace, all of it", create, leave, honest=None)

    def files(self):
        check.part("files")
        for name in FILES:
            path = f"{module.PROC}/{name}"
            flags = os.O_RDONLY | os.O_NONBLOCK

            def read(fd):
                while len(os.read(fd, 1 << 16)) and name != "events":
                    pass
                return fd

            self.each(f"opening {name}", lambda: os.open(path, flags), os.close)
            opened = []

            def fresh():
                while opened:
                    os.close(opened.pop())
                opened.append(os.open(path, flags))
                return opened[0]

            self.each(f"reading {name}", read, prepare=fresh)
            os.close(opened.pop())

    def writing(self):
        check.part("writing")
        config = os.open(f"{module.PROC}/config", os.O_RDWR)
        before = module.read("config")
        changed = before.replace(b"timeout_two_way 180\n", b"timeout_two_way 181\n")
        check.that("the configuration has what is changed here", changed != before)

        def whole(failed):
            now = module.read("config")
            return [] if now == (before if failed else changed) else [now]

        self.each("config", lambda _: os.write(config, b"timeout_two_way 181\n"), after=whole,
                  prepare=lambda: os.write(config, b"timeout_two_way 180\n"))
        os.write(config, b"timeout_two_way 180\n")
        os.close(config)
        alerts = os.open(f"{module.PROC}/alerts", os.O_RDWR)
        self.each("alerts", lambda: os.write(alerts, b"clear"))
        os.close(alerts)
        events = os.open(f"{module.PROC}/events", os.O_RDWR | os.O_NONBLOCK)
        for words in (b"kind=packet protocol=udp", b"kind=start,end"):
            def kept(failed):
                monitors = module.read("monitors").decode().splitlines()[2:]
                return [] if len(monitors) == 1 else monitors

            self.each(f"the filter {words.decode()}", lambda: os.write(events, words), after=kept)
        os.close(events)

    def mapping(self):
        check.part("mapping")
        snapshot = os.open(f"{module.PROC}/snapshot", os.O_RDONLY)
        # Enough for several tables of pages to be wanted.
        length = 2 * PAGE
        self.each("snapshot", lambda: called(libc.mmap(None, length, 1, 1, snapshot, 0)),
                  lambda at: called(libc.munmap(at, length)))
        os.close(snapshot)

    def packets(self):
        check.part("packets, connections and their ends")
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        two = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        two.bind(("127.0.0.1", 0))
        to = two.getsockname()
        one.sendto(bytes(100), to)
        self.each("a datagram is sent", lambda: one.sendto(bytes(100), to), honest=HONEST | {"ENOBUFS", "EAGAIN"})

        def talk():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                with socket.create_connection(listener.getsockname()) as near:
                    far = listener.accept()[0]
                    near.sendall(bytes(1000))
                    far.recv(1000)
                    far.close()

        self.faults.only_ours()
        for what, operation in (("a datagram", lambda: one.sendto(bytes(100), to)), ("a TCP connection", talk)):
            # Where our part lets bottom halves run again, those of others that wait run at once, below it on
            # the stack, and allocate. What is ours is there each time.
            tries = [self.faults.places(operation) for _ in range(1 if pace.IS_UML else 8)]
            check.equal(f"{what}: places where our part allocates", min(places for places, _, _ in tries), 0)
            check.equal(f"{what}: it works", [failed for _, _, failed in tries if failed], [])
        self.faults.everywhere()
        one.close()
        two.close()

    def behind_the_scenes(self):
        """What is done in interrupts and by workers: connections that come, end and are swept."""
        check.part("nobody's allocations")
        # What they have of connections goes with them, and not before.
        with open(f"{module.PROC}/config", "w") as config:
            config.write("timeout_one_way 600\n")
        names = [net.Namespace(f"f{i}") for i in range(2)]
        for name in names:
            with name.inside():
                self.traffic()
        # Opened and read once, it needs no more memory.
        stats = os.open(f"{module.PROC}/stats", os.O_RDONLY)
        self.closed(stats)
        self.faults.only_ours()
        budget = 1000
        for kind in KINDS[:2]:
            set_up(kind, times=budget, probability=100)
        try:
            self.traffic()
            swept = self.sweep(stats)
        finally:
            for kind in KINDS[:2]:
                set_up(kind, probability=0)
        self.faults.everywhere()
        check.that("connections came and were settled meanwhile", swept)
        spent = [budget - int(open(f"{INJECTION}/{kind}/times").read()) for kind in KINDS[:2]]
        check.equal("allocations of ours for packets and by the sweeper", spent, [0, 0])
        # Of hooks that go, the kernel wants to make the list shorter, and does without.
        self.faults.only_ours()
        for kind in KINDS[:2]:
            set_up(kind, times=budget, probability=100)
        closed = self.closed(stats)
        for name in names:
            name.delete()
        gone = self.wait(lambda: self.closed(stats) >= closed + len(names) * DATAGRAMS)
        for kind in KINDS[:2]:
            set_up(kind, probability=0, times=-1)
        self.faults.everywhere()
        os.close(stats)
        check.that("namespaces went, and their connections with them", gone)

    @staticmethod
    def traffic():
        for _ in range(DATAGRAMS):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(bytes(50), ("127.0.0.1", 9))

    @staticmethod
    def wait(condition, patience=60):
        deadline = time.monotonic() + patience
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.1)
        return condition()

    @staticmethod
    def closed(stats):
        """How many connections have been settled."""
        os.lseek(stats, 0, os.SEEK_SET)
        text = b""
        while part := os.read(stats, 1 << 16):
            text += part
        return int(dict(line.split(b" ") for line in text.splitlines())[b"connections_closed"])

    def sweep(self, stats):
        closed = self.closed(stats)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with socket.create_connection(listener.getsockname()):
                listener.accept()[0].close()
        return self.wait(lambda: self.closed(stats) > closed)

    def unloading(self):
        check.part("unloading")
        if self.faults.places(lambda: None)[0]:
            check.note("the count begins before the operation")
        self.load()
        self.faults.only_ours()
        places, _, failed = self.faults.places(self.unload)
        check.equal("unloading works", failed, None)
        happened = 0
        for nth in some(range(1, places + 1), self.most):
            self.faults.everywhere()
            self.load()
            self.faults.only_ours()
            _, failed, left = self.faults.attempt(self.unload, nth)
            happened += left is None
            if failed or module.is_loaded():
                check.that(f"unloading works, whatever fails ({nth})", False, failed)
                break
        self.faults.everywhere()
        check.that("unloading works, whatever fails", failed is None, f"{happened} of {places} places failed")
        module.nothing_left("after that")


def main(most):
    run = Run(most)
    run.loading()
    run.load(b"max_connections=64 max_fds=64 max_alerts=10 timeout_closed=0 timeout_one_way=1")
    run.namespaces()
    run.files()
    run.writing()
    run.mapping()
    run.packets()
    run.behind_the_scenes()
    check.part("afterwards")
    module.audit("after all that")
    module.unload()
    run.unloading()
    run.load()
    module.audit("of the next load")
    module.unload()
    check.finish()
