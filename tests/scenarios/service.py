# SPDX-License-Identifier: MIT OR Apache-2.0
"""mutexd as the service that its unit describes, under a systemd of its own: ready, sandboxed, watched, begun anew.

The judge is systemd: what it says of the service, and what the kernel says of the process that it started.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from lib import check, module, pace

UNIT = "/work/contrib/mutexd.service"
CONFIG = "/etc/mutexd.toml"
STATE = "/var/lib/mutexd"
SOCKET = "/run/mutexd/diagnostics.sock"
HTTP_SOCKET = "/run/mutexd/http.sock"
ALICE = ("setpriv", "--reuid", "alice", "--regid", "alice", "--clear-groups")
LOG = "/tmp/systemd.log"
# What a host's systemd does besides, and would do to this one.
MASKED = ("systemd-sysctl", "systemd-binfmt", "systemd-modules-load", "systemd-udevd", "systemd-udev-trigger",
          "systemd-tmpfiles-setup", "systemd-tmpfiles-setup-dev", "systemd-tmpfiles-setup-dev-early", "systemd-sysusers",
          "systemd-random-seed", "systemd-update-utmp", "kmod-static-nodes")
# CAP_NET_ADMIN and CAP_NET_RAW.
CAPABILITIES = 1 << 12 | 1 << 13
PATIENCE = 240 * pace.LONGER
BEGIN = f"""
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
[ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/system
cp {UNIT} /run/systemd/system/
mkdir /run/systemd/system/mutexd.service.d
printf '[Service]\\nSupplementaryGroups=alice\\n' >/run/systemd/system/mutexd.service.d/group.conf
echo '[Unit]' >/run/systemd/system/scenario.target
for name in {shlex.join(MASKED)}; do ln -s /dev/null /run/systemd/system/$name.service; done
exec env -i container=scenario "PATH=$PATH" /usr/lib/systemd/systemd --system --unit=scenario.target --log-target=kmsg --log-level=err
"""


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while True:
        found = holds()
        if found or time.monotonic() > deadline:
            check.that(what, found)
            return found
        time.sleep(0.2)


def get(path):
    """Status and body; (0, why) if nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:8787{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def text(path):
    with open(path) as file:
        return file.read()


class Systemd:
    """A systemd with processes, mounts and a name of its own; the network is the host's."""

    def __init__(self):
        with open(LOG, "w") as log:
            self.process = subprocess.Popen(
                ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "--cgroup", "--uts", "sh", "-c", BEGIN],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until("systemd has begun", lambda: self.first() and self.run("systemctl", "is-active", "scenario.target").returncode == 0)

    def first(self):
        """Its process."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return found[0] if found else None

    def run(self, *words):
        """Runs a program where it is."""
        return subprocess.run(["nsenter", "-t", self.first(), "-m", "-p", *words], capture_output=True, text=True)

    def control(self, *words):
        done = self.run("systemctl", *words)
        return done.returncode, done.stderr

    def show(self, name):
        return self.run("systemctl", "show", "-P", name, "mutexd").stdout.strip()

    def pid(self):
        """The service's process, as this namespace knows it."""
        inner = self.show("MainPID")
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/status") as file:
                    status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            except OSError:
                continue
            if status["Name"] == "mutexd" and status["NSpid"].split()[1:] == [inner]:
                return int(name), status
        return None

    def end(self):
        self.process.kill()
        self.process.wait()


def another(systemd, old):
    """Whether the service runs, and is another process."""
    now = systemd.pid()
    return now and now[0] != old and systemd.show("ActiveState") == "active" and get("/readyz") == (200, "healthy\n")


def started(systemd):
    check.part("started")
    check.equal("systemctl start waits until it is ready", (*systemd.control("start", "mutexd"), get("/readyz")),
                (0, "", (200, "healthy\n")))
    check.equal("it says where it listens", (systemd.show("StatusText"), systemd.show("Result")),
                (f"listens on 127.0.0.1:8787, {HTTP_SOCKET}", "success"))
    _, status = systemd.pid()
    check.equal("no new privileges, a filter of system calls, two capabilities to have at most",
                (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)), ("1", "2", CAPABILITIES))
    check.equal("its folder", (oct(os.stat(STATE).st_mode & 0o777), os.stat(STATE).st_uid), ("0o750", 0))
    question = f"curl -s --unix-socket {HTTP_SOCKET} http://localhost/api/v1/connections?filter=local_port%3D8787".split()
    with socket.create_connection(("127.0.0.1", 8787)):
        for who, words in (("root", ()), ("whose group may ask", ALICE)):
            answer = systemd.run(*words, *question).stdout
            check.that(f"{who}: it reads the kernel's connections", '"local_port":8787' in answer, answer[:300])
    check.equal("at its address they are not for everybody", get("/api/v1/connections")[0], 403)
    done = systemd.run("mutexctl", "page")
    check.that("mutexctl finds the local socket", done.stdout.startswith("http://127.0.0.1:8787/login?code="), done.stdout + done.stderr)
    record = f"socat -t 300 - UNIX:{SOCKET}"
    event = '{"record": {"kind": "backup:done", "message": "42 files"}}'
    done = systemd.run(*ALICE, "sh", "-c", f"echo '{event}' | {record}")
    check.that("whose group it is hands over an event", '"ok":true' in done.stdout, done.stdout + done.stderr)
    done = systemd.run("mutexctl", "diag", "events", "--component", "daemon")
    check.that("it records, and mutexctl finds its socket", done.returncode == 0 and "mutexd is ready" in done.stdout,
               done.stdout + done.stderr)


def reloaded(systemd):
    check.part("reloaded")
    old, _ = systemd.pid()
    check.equal("systemctl reload", systemd.control("reload", "mutexd"), (0, ""))
    until("the configuration was read again", lambda: '\nmutexd_reloads_total{result="success"} 1\n' in get("/metrics")[1])
    check.equal("by the same process", systemd.pid()[0], old)


def killed(systemd):
    check.part("kill -9")
    old, _ = systemd.pid()
    os.kill(old, signal.SIGKILL)
    until("systemd begins it anew", lambda: another(systemd, old))


def stuck(systemd):
    check.part("a daemon that hangs")
    folder = "/run/systemd/system/mutexd.service.d"
    systemd.run("sh", "-c", f"printf '[Service]\\nWatchdogSec=10s\\n' >{folder}/soon.conf")
    check.equal("looked after more often", (systemd.control("daemon-reload"), systemd.control("restart", "mutexd")),
                ((0, ""), (0, "")))
    old, _ = systemd.pid()
    os.kill(old, signal.SIGSTOP)
    until("systemd ends it and begins it anew", lambda: another(systemd, old))
    said = subprocess.run(["dmesg"], capture_output=True, text=True).stdout
    check.that("for its silence", "mutexd.service: Watchdog timeout" in said, said[-500:])


def stopped(systemd):
    check.part("stopped")
    check.equal("systemctl stop", systemd.control("stop", "mutexd"), (0, ""))
    check.equal("it ends well", (systemd.show("ActiveState"), systemd.show("Result")), ("inactive", "success"))
    check.that("and says so", "mutexd ends: SIGTERM" in text(f"{STATE}/log"), text(f"{STATE}/log")[-500:])
    check.equal("nobody listens any more", get("/readyz")[0], 0)


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    module.load()
    with open(CONFIG, "w") as file:
        file.write(f'log = {{ file = "{STATE}/log" }}\n[diagnostics]\nsocket = "{SOCKET}"\ngroup = "alice"\n'
                   '[http]\nrequest_timeout = "1m"\ngroup = "alice"\n')
    systemd = Systemd()
    try:
        for part in (started, reloaded, killed, stuck, stopped):
            part(systemd)
    except Exception:
        print(text(LOG)[-3000:], file=sys.stderr)
        raise
    finally:
        systemd.end()
        os.unlink(CONFIG)
        shutil.rmtree(STATE, ignore_errors=True)
    check.finish()


main()
