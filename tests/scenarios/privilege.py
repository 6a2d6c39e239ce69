# SPDX-License-Identifier: MIT OR Apache-2.0
"""Who may read and write what: root everything that can be, others read the totals."""

import errno
import os
import pwd
import stat
import subprocess

from lib import check, module

MODES = {"stats": 0o444, "connections": 0o440, "fds": 0o440, "snapshot": 0o440, "alerts": 0o640,
         "config": 0o640, "events": 0o640, "monitors": 0o440}
# Those that know the word 'clear', which is what is written here.
TAKES = {"alerts"}


def attempt(path, flags):
    """What open and a read or write say: 0 or an errno."""
    try:
        fd = os.open(path, flags)
    except OSError as error:
        return errno.errorcode[error.errno]
    try:
        if flags == os.O_RDONLY:
            return "reads" if os.read(fd, 100) else "reads nothing"
        os.write(fd, b"clear\n")
        return "writes"
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(fd)


def as_user(user, work):
    """Runs `work` as that user, without any group of root's, and gives what it returned as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(writing, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


def main():
    module.load()
    alice = pwd.getpwnam("alice")
    check.equal("the files", sorted(os.listdir(module.PROC)), sorted(MODES))
    for name, mode in MODES.items():
        path = f"{module.PROC}/{name}"
        there = os.stat(path)
        check.equal(f"{name}: mode and owner", (oct(stat.S_IMODE(there.st_mode)), there.st_uid, there.st_gid),
                    (oct(mode), 0, 0))
        check.equal(f"{name}: root reads", attempt(path, os.O_RDONLY), "reads")
        check.equal(f"{name}: alice reads", as_user(alice, lambda: attempt(path, os.O_RDONLY)),
                    repr("reads" if mode & 4 else "EACCES"))
        for flags, word in ((os.O_WRONLY, "writes"), (os.O_RDWR, "reads and writes"),
                            (os.O_WRONLY | os.O_TRUNC, "truncates")):
            check.equal(f"{name}: alice {word}", as_user(alice, lambda: attempt(path, flags)), repr("EACCES"))
            made = attempt(path, flags)
            if name in TAKES:
                check.equal(f"{name}: root {word}", made, "writes")
            else:
                check.that(f"{name}: root {word}, in vain", made in ("EACCES", "EIO", "EINVAL"), made)
    there = os.stat(module.PROC)
    check.equal("the folder: mode", oct(stat.S_IMODE(there.st_mode)), oct(0o555))
    for who, made in (("alice", as_user(alice, lambda: attempt(f"{module.PROC}/new", os.O_WRONLY | os.O_CREAT))),
                      ("root", repr(attempt(f"{module.PROC}/new", os.O_WRONLY | os.O_CREAT)))):
        check.that(f"{who} makes no file there", made in ("'EACCES'", "'ENOENT'"), made)

    # Root inside a user namespace is nobody outside.
    inside = subprocess.run(
        ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "unshare", "--user", "--map-root-user",
         "--net", "cat", f"{module.PROC}/connections"], capture_output=True, text=True)
    check.that("root of a user namespace does not read connections",
               inside.returncode and "Permission denied" in inside.stderr, inside.stderr.strip())

    done = subprocess.run(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "mutexctl", "connections"],
                          capture_output=True, text=True)
    check.equal("mutexctl for alice: exit status", done.returncode, 1)
    check.that("mutexctl for alice: one sentence", len(done.stderr.strip().splitlines()) == 1 and not done.stdout,
               done.stderr.strip())
    done = subprocess.run(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "mutexctl", "stats"],
                          capture_output=True, text=True)
    check.equal("mutexctl stats for alice: exit status", done.returncode, 0)
    keys = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith("kernel_lacks_")]
    check.equal("mutexctl stats for alice: the module's own numbers", keys,
                ["number", "uptime_ns", "table_size", "fd_table_size", "connection_bytes", "restricted"])
    raw = subprocess.run(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "cat", f"{module.PROC}/stats"],
                         capture_output=True, text=True).stdout
    check.equal("what the kernel shows alice",
                {line.split(" ")[0] for line in raw.splitlines() if not line.startswith("kernel_lacks_")},
                {"format", "uptime_ns", "table_size", "fd_table_size", "connection_bytes", "restricted"})
    module.audit()
    module.unload()
    check.finish()


main()
