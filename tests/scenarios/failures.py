# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: stock uml
"""mutexd while things fail: killed at any moment, the clock set, the disk full, databases damaged, the module and the
message server gone. It goes on, says what is wrong, and loses nothing that it had confirmed.

The judges are /proc/mutex, wg and SQLite.
"""

import contextlib
import os
import random
import socket
import sqlite3
import threading
import time

from lib import check, module, net, pace
from lib.daemon import Daemon, fill, rows, until

FOLDER = "/tmp/failures"
DISK = f"{FOLDER}/disk"
HISTORY, PEERS = f"{DISK}/history.db", f"{DISK}/peers.db"
KILLS = 40 if pace.IS_LONG else 4
YEAR = 365 * 86400
# All of the host's traffic, as both the kernel and the history name it.
COUNTERS = [f"{direction}_{counter}" for direction in ("sent", "received", "forwarded_sent", "forwarded_received")
            for counter in ("packets", "buffers", "bytes", "payload")]
numbers = random.Random(7)


class Traffic:
    """Datagrams from the host to another one, until it is to rest."""

    def __init__(self, host, far):
        with far.inside():
            self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sink.bind(("10.0.0.2", 9000))
        with host.inside():
            self.source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.source.connect(("10.0.0.2", 9000))
        self.may_go, self.is_over = threading.Event(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            self.may_go.wait()
            if self.is_over:
                return
            self.source.send(bytes(numbers.randrange(1, 1200)))
            time.sleep(0.005)

    def __enter__(self):
        self.may_go.set()

    def __exit__(self, *_):
        self.may_go.clear()

    def end(self):
        self.is_over = True
        self.may_go.set()
        self.thread.join()


class Books:
    """What the kernel has counted, and what the history has of it."""

    def __init__(self, daemon):
        self.daemon = daemon

    @staticmethod
    def kernel():
        stats = module.stats()
        return [stats[name] for name in COUNTERS]

    @staticmethod
    def history():
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in COUNTERS)
        return list(rows(HISTORY, f"SELECT {sums} FROM host WHERE step_ns = 0")[0])

    @staticmethod
    def recorded():
        return rows(HISTORY, "SELECT coalesce(sum(samples), 0) FROM host WHERE step_ns = 0")[0][0]

    def move(self):
        """Has something happen that is recorded."""
        before = self.recorded()
        until("it records", lambda: self.recorded() > before)

    def rest(self):
        """What the kernel has and the history has not, of a moment at rest."""
        deadline = time.monotonic() + 240 * pace.LONGER
        while True:
            before, seen = self.kernel(), self.recorded()
            while self.recorded() < seen + 2:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"nothing is recorded: {self.daemon.log()[-2000:]}")
                time.sleep(0.3)
            kept, after = self.history(), self.kernel()
            if before == after:
                return [ours - theirs for ours, theirs in zip(after, kept)]
            if time.monotonic() > deadline:
                raise RuntimeError("the host does not come to rest")


def set_clock(seconds):
    """By so many seconds from what it is."""
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds)


def findings(kind):
    return [reason for reason, in rows(HISTORY, "SELECT reason FROM finding WHERE kind = ? ORDER BY id", kind)]


def damage(path, how):
    """Makes something else of a file that nobody has open."""
    size = os.path.getsize(path)
    if how == "overwritten":
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(b"\x55" * (size - 4096))
    else:
        os.truncate(path, size // 2 // 4096 * 4096 if how == "cut off" else 0)


def is_whole(path):
    return rows(path, "PRAGMA integrity_check") == [("ok",)]


def killed(daemon, books, traffic):
    check.part(f"kill -9, {KILLS} times at any moment")
    books.move()
    before = books.rest()
    with traffic:
        for number in range(KILLS):
            confirmed = books.recorded()
            time.sleep(numbers.random() * 2)
            daemon.kill()
            check.that("the history is whole, with all that was in it", is_whole(HISTORY)
                       and books.recorded() >= confirmed)
            # Every other time it is killed while it starts.
            daemon.start(wait=number % 2)
    daemon.get("/readyz")
    check.equal("nothing of what the kernel counted is missing", books.rest(), before)


def clock_set(daemon, books, traffic):
    check.part("the clock is set")
    before, oldest = books.rest(), rows(HISTORY, "SELECT min(time_ns) FROM host WHERE step_ns = 0")
    for seconds in (YEAR, -YEAR - 3600, 3600):
        with traffic:
            books.move()
            set_clock(seconds)
            books.move()
        check.equal(f"by {seconds} s: nothing is missing", books.rest(), before)
    said = [float(reason.split()[-2]) for reason in findings("clock_set")]
    check.equal("it is said each time", [round(by, -2) for by in said if by > 1000], [YEAR, YEAR + 3600, 3600])
    check.equal("nothing was removed for its age", rows(HISTORY, "SELECT min(time_ns) FROM host WHERE step_ns = 0 "
                                                        "AND time_ns >= ?", oldest[0][0]), oldest)
    check.equal("it is well", daemon.get("/readyz"), "healthy\n")


def reloaded(daemon, books, traffic):
    check.part("the module goes and comes")
    books.rest()
    kept = books.history()
    module.unload()
    until("that is said", lambda: daemon.get("/readyz").startswith("degraded\n"))
    module.load()
    until("it is well again", lambda: daemon.get("/readyz") == "healthy\n")
    with traffic:
        books.move()
    check.equal("what the history has more than the kernel is what it had before", books.rest(),
                [-counter for counter in kept])
    check.equal("it is said", len(findings("loaded_anew")), 1)


def full(daemon, books, traffic):
    check.part("the disk is full")
    before = books.rest()
    # Nothing of its log is left that could be written over.
    with contextlib.closing(sqlite3.connect(HISTORY, timeout=60)) as other:
        until("the log is in the database", lambda: not other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    with traffic:
        fill(DISK)
        until("that is said", lambda: "no room" in daemon.health("history"))
        os.unlink(f"{DISK}/filler")
        until("it goes on when there is room", lambda: "no room" not in daemon.health("history"))
        books.move()
    check.equal("nothing of what the kernel counted is missing", books.rest(), before)


def damaged(daemon, books, traffic):
    check.part("databases are damaged while nobody has them open")
    for how in ("overwritten", "cut off", "emptied"):
        kept, said = daemon.peers(), len(daemon.log())
        check.equal("it ends", daemon.end(), 0)
        for path in (HISTORY, PEERS):
            damage(path, how)
        daemon.start()
        if how != "emptied":
            for path in (HISTORY, PEERS):
                until(f"{how}: {os.path.basename(path)} was put aside", lambda: any(
                    name.startswith(os.path.basename(path)) and (".corrupt-" in name or ".damaged" in name)
                    for name in os.listdir(DISK)))
            until(f"{how}: that is said of both", lambda: daemon.log()[said:].count("is damaged") >= 2)
        before = books.rest()
        with traffic:
            books.move()
        check.equal(f"{how}: a new history is kept", books.rest(), before)
        until(f"{how}: peers are known", lambda: daemon.peers().keys() == kept.keys())
        until(f"{how}: and well", lambda: "are known" in daemon.health())
        for aside in os.listdir(DISK):
            if ".corrupt-" in aside or ".damaged" in aside:
                os.unlink(f"{DISK}/{aside}")
    check.that("the new ones are whole", is_whole(HISTORY) and is_whole(PEERS))


class Tunnel:
    """A host and a far one, a peer of each other; a message server at the far one."""

    def __init__(self):
        self.host, self.far = net.Namespace(), net.Namespace("far")
        net.up(self.host, "lo")
        self.host.sh("ip", "link", "add", "vnear", "type", "veth", "peer", "name", "vfar", "netns", "far")
        keys = {}
        for host, link, number in ((self.host, "vnear", 1), (self.far, "vfar", 2)):
            net.address(host, link, f"10.0.0.{number}/24")
            net.up(host, link)
            host.sysctl("ipv4/ping_group_range", "0 2147483647")
            private = host.sh("wg", "genkey").strip()
            keys[number] = host.sh("wg", "pubkey", input=private).strip()
            host.sh("ip", "link", "add", "wg0", "type", "wireguard")
            host.sh("wg", "set", "wg0", "listen-port", 1000, "private-key", "/dev/stdin", input=private)
            net.address(host, "wg0", f"10.8.0.{number}/24")
        for host, other in ((self.host, 2), (self.far, 1)):
            host.sh("wg", "set", "wg0", "peer", keys[other], "allowed-ips", f"10.8.0.{other}/32",
                    "endpoint", f"10.0.0.{other}:1000")
            net.up(host, "wg0")
        # As seen from the host, and from the far one.
        self.theirs, self.ours = keys[2], keys[1]
        self.server = None

    def serve(self):
        self.server = self.far.start("nats-server", "-a", "10.0.0.2", "-p", "4222")

    def stop_serving(self):
        self.server.terminate()
        self.server.wait()

    def end(self):
        if self.server is not None:
            self.server.kill()
        self.host.sh("ip", "link", "delete", "wg0")


def settings(node, database, pings):
    return f"""
        [peers]
        node = "{node}"
        use_ping_checks = {pings}
        ping_check_interval = "300ms"
        data_collection_interval = "500ms"
        event_capacity = 10000
        database = "{database}"
        [peers.fanout]
        enabled = true
        servers = ["nats://10.0.0.2:4222"]
    """


def results():
    return rows(PEERS, "SELECT count(*) FROM ping")[0][0]


def until_pinged(daemon, key):
    tried = daemon.peer(key)["pings"]["tried"]
    until("pings go on", lambda: daemon.peer(key)["pings"]["tried"] > tried)


def announced(tunnel, near, far):
    check.part(f"kill -9, {KILLS} times, with the message server there and gone")
    tunnel.serve()
    until("both know each other", lambda: "far" in near.nodes() and "near" in far.nodes())
    # The far one's peer, which the near one has not, and one of its own.
    keys = tunnel.ours, tunnel.theirs
    for number in range(KILLS):
        is_there = number % 2 == 0
        if not is_there:
            tunnel.stop_serving()
            until("the server is missed", lambda: "no message server" in near.health())
        for key in keys:
            check.that("what is announced is kept", near.announce(kind="updated", public_key=key, name=f"n{number}"))
        confirmed = near.peer(tunnel.theirs)["pings"]["tried"]
        check.that("with all that was before", near.announce(kind="updated", public_key=keys[0], name=f"m{number}"))
        time.sleep(numbers.random())
        near.kill()
        check.that("the database is whole, and has it", is_whole(PEERS) and results() >= confirmed)
        near.start()
        if not is_there:
            tunnel.serve()
        until("the other node knows it, too", lambda: far.peer(tunnel.ours)["name"] == f"m{number}")
        check.equal("and so does this one", near.peer(tunnel.theirs)["name"], f"n{number}")
    until_pinged(near, tunnel.theirs)


def clock_of_peers(tunnel, near, far):
    check.part("the clock is set, and peers do not mind")
    key = tunnel.theirs
    until("it is connected", lambda: near.peer(key)["connected"])
    for number, seconds in enumerate((YEAR, -YEAR - 3600, 3600)):
        before = results()
        set_clock(seconds)
        until_pinged(near, key)
        check.that("what is announced is kept", near.announce(kind="updated", public_key=tunnel.ours, name=f"t{number}"))
        check.that(f"by {seconds} s: no result was removed", results() >= before)
        until("who speaks last is right at the other node, too",
              lambda: far.peer(tunnel.ours)["name"] == f"t{number}")
        if seconds > YEAR / 2:
            # WireGuard itself takes no handshake that is older than the last one.
            until("the peer is connected", lambda: near.peer(key)["connected"])
    check.equal("its session has gone on", near.peer(key)["session_restarts"], 0)


def main():
    os.makedirs(DISK)
    net.sh("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", DISK)
    tunnel = Tunnel()
    module.load()
    traffic = Traffic(tunnel.host, tunnel.far)
    history = f'[history]\nenabled = true\ninterval = "1s"\ndatabase = "{HISTORY}"\n'
    daemons = []
    try:
        # Without pings the host comes to rest.
        quiet = f'[peers]\nnode = "near"\nuse_ping_checks = false\ndatabase = "{PEERS}"\n'
        daemon = Daemon(tunnel.host, "near", history + quiet, FOLDER)
        daemons.append(daemon)
        books = Books(daemon)
        for fails in (killed, clock_set, reloaded, full, damaged):
            fails(daemon, books, traffic)
        check.equal("it ends well", daemon.end(), 0)
        near = Daemon(tunnel.host, "near", settings("near", PEERS, "true"), FOLDER)
        far = Daemon(tunnel.far, "far", settings("far", f"{FOLDER}/far.db", "false"), FOLDER)
        daemons += [near, far]
        for fails in (announced, clock_of_peers):
            fails(tunnel, near, far)
        check.equal("they end well", [near.end(), far.end()], [0, 0])
    finally:
        for daemon in daemons:
            daemon.process.kill()
        traffic.end()
        tunnel.end()
        net.sh("umount", "-l", DISK)
    check.finish()


main()
