# SPDX-License-Identifier: MIT OR Apache-2.0
"""The module in this machine: loading, its files, the audit."""

import os
import re
import subprocess
import time

from lib import check
from lib.image import Bad, COUNTERS, FLAGS, Image, UID_UNKNOWN
from lib.pace import LONGER

FILE = "/work/mutex.ko"
MISCOUNTING = "/work/mutex-miscount.ko"
WRONG_ANSWER = "/work/mutex-wrong-answer.ko"
PROC = "/proc/mutex"


def is_loaded():
    return any(line.startswith("mutex ") for line in open("/proc/modules"))


def insmod(*words, file=FILE):
    """Runs insmod as it is and gives back what it did."""
    return subprocess.run(["insmod", file, *words], capture_output=True, text=True)


def load(file=FILE, **parameters):
    """Loads the module with those parameters."""
    depends = subprocess.run(["modinfo", "-F", "depends", file], capture_output=True, text=True)
    for name in filter(None, depends.stdout.strip().split(",")):
        subprocess.run(["modprobe", name], check=True)
    done = insmod(*(f"{name}={value}" for name, value in parameters.items()), file=file)
    if done.returncode:
        raise SystemExit(f"FAIL insmod: {done.stderr}{kernel_log(20)}")


def lift_quotas():
    """Lets each network namespace fill the whole table."""
    with open(f"{PROC}/config", "w") as file:
        file.write("quota_netns 100\nquota_first_netns 0\n")


def unload():
    """Takes the module out again."""
    done = subprocess.run(["rmmod", "mutex"], capture_output=True, text=True)
    check.that("the module unloads", done.returncode == 0 and not is_loaded()
               and not os.path.exists(PROC), done.stderr.strip())


def kernel_log(lines=None):
    """What the kernel said, or the end of it."""
    text = subprocess.run(["dmesg"], capture_output=True, text=True).stdout
    return text if lines is None else "\n".join(text.splitlines()[-lines:])


class LogWatch:
    """Collects what the kernel says meanwhile."""

    def __enter__(self):
        self.lines = []
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._file, 0, os.SEEK_END)
        return self

    def __exit__(self, *unused):
        while True:
            try:
                record = os.read(self._file, 8192).decode(errors="replace")
            except BlockingIOError:
                break
            self.lines.append(record.partition(";")[2].splitlines()[0])
        os.close(self._file)


def mappings():
    """What the kernel's list of memory mappings says of the module and of large tables."""
    text = open("/proc/vmallocinfo").read()
    return {
        "of the module": len(re.findall(r"mutex_memory_allocate|\[mutex\]", text)),
        # Tables are larger than what else comes and goes.
        "megabytes": sorted(int(size) for size in re.findall(r"^\S+\s+(\d+) \S*vmalloc", text, re.M)
                            if int(size) > 1 << 20),
    }


def memory():
    """What the kernel holds that it can't give back at once, in KiB."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")
    time.sleep(2)
    found = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", open("/proc/meminfo").read(), re.M)}
    known = ("MemFree", "Buffers", "Cached", "AnonPages", "Slab", "PageTables", "KernelStack")
    return {"pages": found["MemTotal"] - sum(found[name] for name in known),
            **{name: found[name] for name in ("SUnreclaim", "VmallocUsed", "Percpu")}}


def nothing_left(when):
    check.equal(f"{when}: nothing is left", (os.path.exists(PROC), is_loaded()), (False, False))


def read(name="snapshot", size=1 << 20):
    """All of a file of /proc/mutex, as bytes."""
    chunks = []
    with open(f"{PROC}/{name}", "rb", buffering=0) as file:
        while chunk := file.read(size):
            chunks.append(chunk)
    return b"".join(chunks)


def image():
    """An image of the books."""
    return Image(read())


def stats():
    """/proc/mutex/stats as a dictionary."""
    pairs = (line.split(" ") for line in read("stats").decode().splitlines())
    return {key: int(value) for key, value in pairs}


def lacks(what):
    """Whether this kernel cannot tell that: `kernel_lacks_*` of stats."""
    return bool(stats()[f"kernel_lacks_{what}"])


def table(name):
    """/proc/mutex/connections or fds as a list of dictionaries of strings."""
    lines = read(name).decode().splitlines()
    if lines[0] != "format 1":
        raise Bad(f"{name} begins with {lines[0]}")
    columns = lines[1].split(" ")
    rows = [line.split(" ") for line in lines[2:]]
    for row in rows:
        if len(row) != len(columns):
            raise Bad(f"{name} has a line of {len(row)} fields: {' '.join(row)}")
    return [dict(zip(columns, row)) for row in rows]


def image_at_rest(quiet=0.3, patience=60):
    """An image taken after nothing has passed for a while; fails if that never happens."""
    deadline = time.monotonic() + patience * LONGER
    last = None
    while time.monotonic() < deadline:
        now = image()
        # The records may be just on their way from the table to the closed ones.
        if last and now.before == now.after == last.after and not now.contradictions_at_rest():
            return now
        last = now
        time.sleep(quiet)
    check.that("the books come to rest", False, "; ".join(last.contradictions_at_rest()[:4]))
    return last


def audit(when="at rest"):
    """The exact audit, by this library and by mutexctl, and all the files against one another."""
    for _ in range(10):
        rest = image_at_rest()
        texts = stats(), table("connections"), table("fds")
        again = image()
        # Else the sweeper has collected something in between, or a stray packet has passed.
        if shown(again) == shown(rest):
            break
    check.equal(f"audit {when}: lines of the books that are off", rest.audit(), [])
    check.equal(f"audit {when}: sum equals the totals", rest.sum(), rest.after)
    check.equal(f"audit {when}: contradictions in the image", rest.contradictions_at_rest(), [])
    done = subprocess.run(["mutexctl", "audit"], capture_output=True, text=True)
    check.that(f"audit {when}: mutexctl says so too", done.returncode == 0,
               (done.stdout + done.stderr).strip()[-200:] if done.returncode else "")
    texts_agree(rest, *texts)
    return rest


def shown(image):
    """What of an image changes when the sweeper has been at work, a packet has passed, or a rate's
    window has ended."""
    return ([(c.id, c.state, c.quality) for c in image.connections],
            [(fd.id, fd.quality) for fd in image.fds], image.closed, image.after, image.quality,
            image.drops, image.alerts[-1:] and image.alerts[-1].number)


def texts_agree(rest, numbers, connections, fds):
    """stats, connections and fds say what the image says."""
    expected = {}
    for prefix, totals in (("", rest.after), ("closed_", rest.closed)):
        for direction, traffic in totals.items():
            for counter, value in traffic._asdict().items():
                expected[f"{prefix}{direction}_{counter}"] = value
    for reason, totals in rest.untracked.items():
        for counter in COUNTERS:
            expected[f"untracked_{reason}_{counter}"] = sum(
                getattr(traffic, counter) for traffic in totals.values())
    for name, value in rest.status.items():
        if name != "uptime_ns":
            expected[name] = value
    expected.update(rest.quality._asdict(), losses=rest.losses, discards=rest.discards)
    for drop in rest.drops:
        expected.update(drop.keys)
    # A reason that the image has not is not there.
    expected.update((name, None) for name in numbers
                    if name.startswith(("drop_", "loss_", "discard_")) and name not in expected)
    check.all_equal("stats agrees with the image",
                    ((name, numbers.get(name), value) for name, value in expected.items()))

    rows = {int(row["id"]): row for row in connections}
    pairs = [("ids", sorted(rows), sorted(c.id for c in rest.connections))]
    for c in rest.connections:
        pairs += row_agrees(f"connection {c.id}", rows.get(c.id, {}), c, {
            "netns": c.netns, "protocol": c.protocol_name, "local_address": c.local,
            "local_port": c.local_port, "remote_address": c.remote, "remote_port": c.remote_port,
            "scope": c.scope, "state": c.state, "fd": c.fd, "cgroup": c.cgroup, "family": c.family,
            "uid": "-" if c.uid == UID_UNKNOWN else c.uid, "in_interface": c.in_interface,
            "out_interface": c.out_interface,
            "flags": ",".join(name for name in FLAGS.values() if name in c.flags) or "-",
            "drop_reasons": ",".join(f"{reason}:{packets}" for reason, packets in c.drop_reasons) or "-"})
    check.all_equal("connections agrees with the image", pairs)
    rows = {int(row["id"]): row for row in fds}
    pairs = [("ids", sorted(rows), sorted(fd.id for fd in rest.fds))]
    for fd in rest.fds:
        pairs += row_agrees(f"fd {fd.id}", rows.get(fd.id, {}), fd, {
            "inode": fd.inode, "pid": fd.pid, "uid": fd.uid, "cgroup": fd.cgroup, "netns": fd.netns,
            "command": fd.command or "-",
            "active_connections": fd.active, "total_connections": fd.total})
    check.all_equal("fds agrees with the image", pairs)


def row_agrees(name, row, record, expected):
    """Pairs to compare: the words of a row with the fields of a record."""
    for direction in ("sent", "received"):
        for counter, value in getattr(record, direction)._asdict().items():
            expected[f"{direction}_{counter}"] = value
    expected.update(record.quality._asdict(), losses=record.losses, discards=record.discards)
    return [(f"{name} {column}", row.get(column), str(value)) for column, value in expected.items()]


def by_key(rest, netns=None):
    """The image's connections by their key, in a list each (a key can be used again)."""
    found = {}
    for connection in rest.connections:
        if netns is None or connection.netns == netns:
            found.setdefault(connection.key, []).append(connection)
    return found
