# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a container, or a user without rights, gets of the files, whatever it calls; and that nothing
of the kernel's own is in them: no pointers, no bytes of former owners of the memory.
"""

import ctypes
import json
import os
import pwd
import re
import socket
import struct
import subprocess
import sys
import time

from lib import check, events, module, net, pace, traffic

FILES = ["stats", "connections", "fds", "snapshot", "alerts", "config", "events", "monitors"]
HERE = os.path.dirname(os.path.abspath(__file__))
# Every call on every file, in a program of its own: what each gave. Arguments: files that were opened
# outside and handed in, name=number.
CALLS = """
import errno, fcntl, json, mmap, os, select, socket, struct, sys

def outcome(call):
    try:
        return call() or "done"
    except OSError as error:
        return errno.errorcode[error.errno]

def calls(fd):
    def wait():
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(0)
    return {
        "write": outcome(lambda: os.write(fd, b"clear") and "wrote"),
        "config": outcome(lambda: os.write(fd, b"timeout_fd 77") and "wrote"),
        "filter": outcome(lambda: os.write(fd, b"kind=packet") and "wrote"),
        "pwrite": outcome(lambda: os.pwrite(fd, b"clear", 0) and "wrote"),
        "mmap": outcome(lambda: mmap_one(fd)),
        "ioctl": outcome(lambda: fcntl.ioctl(fd, 0x5401, bytes(64))),
        "poll": outcome(wait),
        "truncate": outcome(lambda: os.ftruncate(fd, 0)),
    }

def mmap_one(fd):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    if libc.mmap(None, 4096, 1, 1, fd, ctypes.c_long(0)) != ctypes.c_void_p(-1).value:
        return "mapped"
    raise OSError(ctypes.get_errno(), "mmap")

os.system("ip link set lo up 2>/dev/null")
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
outcome(lambda: one.sendto(b"x", ("127.0.0.1", 9)))
found = {"own": os.stat("/proc/self/ns/net").st_ino}
for name in FILES:
    path = "/proc/mutex/" + name
    said = found[name] = {}
    for word, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY), ("rw", os.O_RDWR), ("t", os.O_WRONLY | os.O_TRUNC)):
        try:
            fd = os.open(path, flags | os.O_NONBLOCK)
        except OSError as error:
            said[word] = errno.errorcode[error.errno]
            continue
        said[word] = calls(fd)
        os.close(fd)
    said["stat"] = oct(os.stat(path).st_mode & 0o7777)
    said["change"] = [outcome(lambda: os.chmod(path, 0o666)), outcome(lambda: os.chown(path, os.getuid(), os.getgid())),
                      outcome(lambda: os.unlink(path)), outcome(lambda: os.rename(path, path + "2"))]
found["handed"] = {name: calls(int(fd)) for name, _, fd in (word.partition("=") for word in sys.argv[1:])}
print(json.dumps(found))
"""


def look(words, handed=()):
    """Runs CALLS there, with those files of ours."""
    done = subprocess.run(
        [*words, sys.executable, "-c", f"FILES = {FILES}\n{CALLS}", *(f"{name}={fd}" for name, fd in handed)],
        capture_output=True, text=True, pass_fds=[fd for _, fd in handed])
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def inside(words, program):
    """What a program prints there."""
    done = subprocess.run([*words, sys.executable, "-c", program, HERE], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip()


def state():
    """What nobody without rights may change."""
    return (module.read("config"), module.read("alerts"), [row["filter"] for row in events.monitors()],
            oct(os.stat(module.PROC).st_mode), sorted(os.listdir(module.PROC)))


def containers(first):
    alice = pwd.getpwnam("alice")
    drop = ["setpriv", f"--reuid={alice.pw_uid}", f"--regid={alice.pw_gid}", "--clear-groups"]
    own = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc"]
    with open(f"{module.PROC}/config", "w") as file:
        file.write("alert_global_table_fill 1\nalert_connection_latency 1\n")
    first.sh("ping", "-c", "2", "-i", "0.2", "127.0.0.1")
    check.that("there is an alert to clear", traffic.wait_for(lambda: module.stats()["alerts_raised"]))
    with open(f"{module.PROC}/config", "w") as file:
        file.write("alert_global_table_fill 0\nalert_connection_latency 0\n")
    handed = [(name, os.open(f"{module.PROC}/{name}", os.O_RDONLY)) for name in FILES]
    before = state()

    for title, words in (("alice", drop), ("alice in a container", [*drop, *own])):
        check.part(title)
        said = look(words, handed)
        for name in FILES:
            stats = name == "stats"
            check.equal(f"{title}: {name} is refused", {word: said[name][word] for word in ("w", "rw", "t")},
                        dict.fromkeys(("w", "rw", "t"), "EACCES"))
            if not stats:
                check.equal(f"{title}: {name} is not read", said[name]["r"], "EACCES")
            check.that(f"{title}: {name} stays as it is", not {"done"} & set(said[name]["change"]), said[name]["change"])
        for name, calls in [("stats", said["stats"]["r"]), *said["handed"].items()]:
            wrote = {call for call, what in calls.items() if what == "wrote"}
            check.equal(f"{title}: {name}, open to be read: nothing is written", wrote, set())
            check.that(f"{title}: {name}: no ioctl, no truncate",
                       calls["ioctl"] in ("ENOTTY", "EINVAL") and calls["truncate"] in ("EINVAL", "EBADF"), calls)
            if name != "snapshot":
                check.that(f"{title}: {name} is not mapped", calls["mmap"] != "mapped", calls["mmap"])
    check.equal("nothing has changed", state(), before)

    check.part("root, in a container of his own")
    with open(os.open(f"{module.PROC}/events", os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as watched:
        both = [("events", watched.fileno())]
        both += [(name, os.open(f"{module.PROC}/{name}", os.O_RDWR)) for name in ("alerts", "config")]
        before = state()
        said = look(own, handed + both)
        for name in FILES:
            for word in ("r", "w", "rw", "t"):
                calls = said[name][word]
                if isinstance(calls, str):
                    check.equal(f"root inside: {name}, {word}", calls, "EACCES")
                    continue
                wrote = {call: what for call, what in calls.items() if what in ("wrote", "mapped")}
                check.equal(f"root inside: {name}, {word}: nothing is written or mapped", wrote, {})
        for name, calls in said["handed"].items():
            wrote = {call: what for call, what in calls.items() if what == "wrote"}
            check.equal(f"root inside: {name} from outside: nothing is written", wrote, {})
        after = state()
        for what, was, now in zip(("config", "alerts", "monitors", "the folder's mode", "the files"), before, after):
            check.equal(f"root inside: {what} has not changed", now, was)
        for _, fd in both[1:]:
            os.close(fd)
    for _, fd in handed:
        os.close(fd)
    seen = inside(own, SEES)
    check.that("root inside sees his own connections, alerts, events and monitors only", seen == "own", seen)


SEES = """
import os, socket, sys, time
sys.path.insert(0, sys.argv[1])
from lib import events, module
os.system("ip link set lo up")
own = os.stat("/proc/self/ns/net").st_ino
watch = os.open("/proc/mutex/events", os.O_RDONLY | os.O_NONBLOCK)
monitor = events.Monitor.__new__(events.Monitor)
monitor.fd, monitor.events, monitor.header, monitor.sequence, monitor.lost = watch, [], None, 0, 0
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(1000, 1020):
    one.sendto(b"x", ("127.0.0.1", port))
monitor.follow(lambda found: len(found) >= 20)
image = module.image()
seen = {
    "events": {event.record.netns for event in monitor.events},
    "image": {c.netns for c in image.connections} | {fd.netns for fd in image.fds},
    "connections": {int(row["netns"]) for row in module.table("connections")},
    "monitors": {row["netns"] for row in events.monitors()},
}
alerts = module.read("alerts").decode().splitlines()[2:]
print("own" if not alerts and all(found == {own} for found in seen.values()) else (own, seen, alerts))
"""


class Capabilities(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint32 * 6)]


def without_capabilities():
    """This process has none any more, and is still root."""
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if ctypes.CDLL(None).capset(head, ctypes.byref(Capabilities())):
        raise OSError("capset")


def given_to_root():
    check.part("a file that somebody opened who may not write, in the hands of who may")
    for name, text in (("config", b"timeout_fd 77\n"), ("alerts", b"clear"), ("events", b"port=1")):
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            try:
                without_capabilities()
                fd = os.open(f"{module.PROC}/{name}", os.O_RDWR)
                socket.send_fds(theirs, [b"x"], [fd])
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        ours.settimeout(5 * pace.LONGER)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        said = "done"
        try:
            os.write(fds[0], text)
        except OSError as error:
            said = os.strerror(error.errno)
        check.equal(f"{name}: root writes to it", said, "Operation not permitted")
        os.close(fds[0])
        ours.close()
        theirs.close()


# Where x86-64's kernel has its memory: all of it, then its own code and modules.
RANGES = ((0xffff888000000000, 0xfffffe0000000000), (0xffffffff80000000, 0xffffffffff000000))


def is_pointer(number):
    return any(low <= number < high for low, high in RANGES)


def words(raw):
    """The numbers in a record of bytes that could be pointers."""
    return {number for (number,) in struct.iter_unpack("<Q", raw[:len(raw) // 8 * 8]) if is_pointer(number)}


def numbers(text):
    """The same in a text, in whatever form."""
    found = {int(word, 16) for word in re.findall(r"(?i)(?<![0-9a-f])(?:0x)?([0-9a-f]{16})(?![0-9a-f])", text)}
    found |= {int(word) % (1 << 64) for word in re.findall(r"-?\d{15,20}", text)}
    return {number for number in found if is_pointer(number)}


def pointers(first):
    check.part("pointers")
    if pace.IS_UML:
        check.note("User Mode Linux has its memory where other numbers are, too: left out")
        return
    symbols = {line.split()[2]: int(line.split()[0], 16) for line in open("/proc/kallsyms")}
    loaded = {line.split()[0]: int(line.split()[5], 16) for line in open("/proc/modules")}
    # Of the kernel's data, a module's code, memory as it is mapped directly, and vmalloc's.
    planted = {symbols["init_task"], loaded["mutex"], 0xffff888123456788, 0xffffc90000123450}
    check.that("what is planted are pointers", len(planted) == 4 and all(map(is_pointer, planted)),
               [hex(one) for one in planted])
    first.sh("ip", "-6", "route", "add", "local", "fd55::/16", "dev", "lo")
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def search():
        monitor = events.Monitor("kind=packet,start,end,alert")
        one.sendto(b"x", ("::1", 9))
        time.sleep(0.2)
        raw = os.read(monitor.fd, 1 << 16)
        # Events are of 8 bytes each, but for their records' ends.
        found = {"events": words(raw), "snapshot": words(module.read("snapshot")),
                 "mapping": words(subprocess.run(["/work/mapped", "raw"], capture_output=True).stdout),
                 "log": numbers("\n".join(line for line in module.kernel_log().splitlines() if "mutex" in line))}
        for name in FILES:
            if name not in ("snapshot", "events"):
                found[name] = numbers(module.read(name).decode())
        monitor.close()
        return found

    found = search()
    check.equal("nothing of the kernel's memory is in any file, the mapping or the log", found, dict.fromkeys(found, set()))
    for pointer in planted:
        address = socket.inet_pton(socket.AF_INET6, "fd55::")[:8] + struct.pack("<Q", pointer)
        one.sendto(b"x", (socket.inet_ntop(socket.AF_INET6, address), 9))
    watcher = events.Monitor("cgroup=" + ",".join(map(str, planted)))
    log = os.open("/dev/kmsg", os.O_WRONLY)
    os.write(log, ("mutex: this is a test: " + " ".join(f"{one:016x}" for one in planted) + "\n").encode())
    os.close(log)
    found = search()
    for name in ("snapshot", "mapping", "monitors", "log"):
        check.equal(f"what is planted is found in {name}", {hex(one) for one in found[name]}, {hex(one) for one in planted})
    watcher.close()
    one.close()


RECORD = struct.Struct("<16s16sHHIBBBBIIIII")


def memory():
    check.part("what a mapping shows besides connections")
    image = module.image_at_rest()
    check.that("records were used, freed, and never used",
               image.status["table_high_water"] > image.status["table_used"] + 50
               and image.status["table_high_water"] < image.status["table_size"], image.status["table_high_water"])
    raw = subprocess.run(["/work/mapped", "raw"], capture_output=True).stdout
    magic, version, size, at, records, length = struct.unpack_from("<QIIQQQ", raw)
    check.equal("the mapping has its length", len(raw), length)
    check.equal("behind the header: zeros", any(raw[40:at]), False)
    check.equal("behind the last record: zeros", any(raw[at + records * size:]), False)
    check.that("there is something behind the last record", len(raw) > at + records * size)
    used = freed = 0
    wrong = []
    for number in range(records):
        record = raw[at + number * size:at + (number + 1) * size]
        (*_, reserved, scope, generation, meta, fd, following) = RECORD.unpack_from(record)
        if generation & 1:
            used += 1
            if reserved:
                wrong.append((number, record.hex()))
            continue
        freed += generation != 0
        # What says that it is free, the links of the free ones, and the sequences of its flows.
        rest = bytearray(record)
        rest[48:52] = rest[60:64] = rest[64:68] = rest[128:132] = bytes(4)
        if any(rest):
            wrong.append((number, record.hex()))
    check.equal("records in use are the image's connections", used, len(image.connections))
    check.that("there are freed ones", freed > 50, freed)
    check.equal("records that tell more than they may", wrong[:3], [])


def main():
    first = net.Namespace(loopback=True)
    first.sh("ip", "link", "set", "lo", "up")
    # The memory that the tables get is full of what others left.
    with open("/dev/shm/filling", "wb") as file:
        for _ in range(32):
            file.write(b"\xa5" * (1 << 20))
    os.unlink("/dev/shm/filling")
    module.load(max_connections=1001, timeout_closed=0, timeout_one_way=1, timeout_icmp=3600, timeout_fd=0)
    # Some that are over soon, and their records free.
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(100):
        one.sendto(b"x", ("127.0.0.1", 20000 + number))
    one.close()
    listener = traffic.tcp_listener(first, "127.0.0.1")
    held = traffic.tcp_connect(first, *listener.getsockname())
    traffic.wait_for(lambda: module.stats()["table_used"] < 10, 30)
    memory()
    pointers(first)
    containers(first)
    given_to_root()
    held.close()
    listener.close()
    module.audit()
    module.unload()
    check.finish()


main()
