# SPDX-License-Identifier: MIT OR Apache-2.0
"""The records of the connections in a mapping, read by a C program that has nothing but mutex.h."""

import ctypes
import errno
import os
import socket
import subprocess
import threading

from lib import check, module, net, traffic

PROGRAM = "/work/mapped"


def mapped(*arguments, prefix=()):
    return subprocess.run([*prefix, PROGRAM, *map(str, arguments)], capture_output=True, text=True)


def has_vm_writev():
    """Whether the kernel has that call; a small one is built without. Here it is asked to copy nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.process_vm_writev(os.getpid(), None, 0, None, 0, 0) == 0 or ctypes.get_errno() != errno.ENOSYS


def of_program(lines):
    """What the program printed of each connection."""
    return {words[0]: tuple(words[1:]) for words in (tuple(map(int, line.split())) for line in lines)}


def of_image(image):
    return {c.id: (c.family, c.protocol, c.local_port, c.remote_port, *c.sent, *c.received)
            for c in image.connections}


first = net.Namespace(loopback=True)
# So many that the kernel gives the table large pages where it has any.
module.load(max_connections=140_000, timeout_closed=3600, timeout_one_way=3600, timeout_two_way=3600,
            timeout_icmp=3600)

check.part("at rest: the same connections and counters as in the image")
for address in ("127.0.0.1", "::1"):
    traffic.short_connections(first, first, address, number=10)
    traffic.ping(first, first, address)
image = module.image_at_rest()
shown = mapped()
check.equal("the program ends well", (shown.returncode, shown.stderr), (0, ""))
check.that("there are connections", len(image.connections) > 40, len(image.connections))
check.equal("they are equal, one by one", of_program(shown.stdout.splitlines()), of_image(image))

check.part("more text than a read gathers: every connection has one line, however it is read")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
    sink.bind(("127.0.0.1", 0))
    # Source ports are random, so some twenty are drawn twice: 1100 leave more than 1000 connections.
    for _ in range(1100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(bytes(100), sink.getsockname())
listed = sorted(c.id for c in module.image_at_rest().connections)
check.that("there are many connections", len(listed) > 2000, len(listed))
for size in (1 << 20, 1000):
    text = module.read("connections", size).decode()
    check.that("that is more than a quarter of a megabyte", len(text) > 1 << 18, len(text))
    ids = sorted(int(line.split(" ")[0]) for line in text.splitlines()[2:])
    check.equal(f"ids, {size} bytes at a time", ids, listed)

check.part("under load: every reading of a flow is of one moment")
stop = threading.Event()


def send(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        while not stop.is_set():
            one.sendto(bytes(100), ("127.0.0.1", port))


sinks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for sink in sinks:
    sink.bind(("127.0.0.1", 0))
threads = [threading.Thread(target=send, args=(sink.getsockname()[1],)) for sink in sinks]
for thread in threads:
    thread.start()
watched = mapped(4)
stop.set()
for thread in threads:
    thread.join()
looked, wrong = map(int, watched.stdout.split())
check.equal(f"flows that were inconsistent, of {looked} readings", wrong, 0)
check.that("it read many", looked > 100, looked)
moved = sum(c.sent.packets for c in module.image_at_rest().connections if c.protocol == 17)
check.that("packets passed meanwhile", moved > 100, moved)

check.part("what a mapping refuses")
refused = dict(line.split() for line in mapped("refused").stdout.splitlines())
AROUND = {"mem": "EIO", "vm-writev": "EFAULT" if has_vm_writev() else "ENOSYS", "read-into": "EFAULT",
          "ptrace": "EIO", "store": "SEGV"}
check.equal("it can't be written, nor begin or end elsewhere", refused, {
    "write": "EACCES", "private-write": "EPERM", "offset": "EINVAL", "beyond": "EINVAL",
    "make-writable": "EACCES", "make-executable": "EACCES", "grow": "EFAULT", "thrown-out": "BUS",
    "both-write": "EPERM", "both-make-writable": "EACCES",
    **{f"{kind}-{way}": said for kind in ("shared", "private", "both") for way, said in AROUND.items()}})
other = net.Namespace("other")
inside = mapped(prefix=("ip", "netns", "exec", other.name))
check.equal("in another network namespace", (inside.returncode, inside.stderr),
            (1, "mapped: mmap: Operation not permitted\n"))
other.delete()
nobody = mapped(prefix=("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"))
check.equal("without privilege", (nobody.returncode, nobody.stderr),
            (1, "mapped: open: Permission denied\n"))

module.audit()
check.part("the module goes while it is mapped")
keeper = subprocess.Popen([PROGRAM, "kept"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
before = []
while (line := keeper.stdout.readline()) not in ("-\n", ""):
    before.append(line)
module.unload()
keeper.stdin.write("\n")
keeper.stdin.close()
after = keeper.stdout.readlines()
check.that("it had read connections", len(before) > 40, len(before))
check.equal("what was mapped stays readable", after, before)
check.equal("the program ends well", keeper.wait(), 0)
check.finish()
