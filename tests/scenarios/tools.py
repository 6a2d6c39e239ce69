# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every command of mutexctl on real traffic, its output read by programs that are not MUTEX's.

The judges are json, csv and jq, promtool where there is one, the sockets' own numbers, and
lib.image, which reads the binary image by itself. What it leaves in /out/judged is for judges that need
more than this machine has: tests/judges.
"""

import csv
import glob
import io
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time

from lib import check, module, net, pace, terminal, traffic
from lib.image import COUNTERS, DIRECTIONS, Image

FOLDER = "/tmp/tools"
DATAGRAMS = 30


def run(*words, **more):
    """Runs mutexctl as it is."""
    return subprocess.run(["mutexctl", *map(str, words)], capture_output=True, text=True, cwd=FOLDER, **more)


def out(*words):
    """What mutexctl prints when it succeeds without a word on standard error."""
    done = run(*words)
    if done.returncode or done.stderr:
        check.that(f"mutexctl {' '.join(map(str, words))}", False, f"{done.returncode}: {done.stderr}")
    return done.stdout


def of_json(*words):
    return json.loads(out(*words, "--format", "json"))


def of_csv(*words):
    return list(csv.DictReader(io.StringIO(out(*words, "--format", "csv"), newline="")))


def of_lines(*words):
    return [json.loads(line) for line in out(*words, "--format", "jsonl").splitlines()]


def jq(program, text):
    return subprocess.run(["jq", "-c", program], input=text, capture_output=True, text=True, check=True).stdout.strip()


def fails(what, status, sentence, *words, **more):
    """One sentence on standard error that holds this one, nothing else, and this exit status."""
    done = run(*words, **more)
    check.that(what, (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
               and sentence in done.stderr, f"{done.returncode}: {done.stdout[:100]}{done.stderr}")


def doctor(what, status, *sentences, **more):
    done = run("doctor", **more)
    check.that(what, done.returncode == status and all(one in done.stdout for one in sentences),
               "" if done.returncode == status else f"{done.returncode}: {done.stdout}{done.stderr}")


def flat(totals):
    return {f"{direction}_{counter}": getattr(totals[direction], counter)
            for direction in DIRECTIONS for counter in COUNTERS}


class World:
    def __init__(self):
        self.a, self.b = net.Namespace("a"), net.Namespace("b")
        net.veth(self.a, "va", self.b, "vb")
        net.address(self.a, "va", "10.0.0.1/24", "fd00::1/64")
        net.address(self.b, "vb", "10.0.0.2/24", "fd00::2/64")
        net.up(self.a, "va")
        net.up(self.b, "vb")
        net.settle(self.a, self.b)
        with self.b.inside():
            self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sink.bind(("10.0.0.2", 9000))

    def datagrams(self, number=DATAGRAMS, port=0):
        """A socket of namespace a that has sent so many to the sink."""
        with self.a.inside():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("10.0.0.1", port))
        one.connect(("10.0.0.2", 9000))
        for _ in range(number):
            one.send(bytes(72))
        return one


def without_module():
    check.part("before the module is loaded")
    fails("a list without the module", 1, "MUTEX is not loaded: /proc/mutex does not exist; load it with", "connections")
    doctor("the doctor knows what to do next", 1, "fail  module", "\nNext: ")
    done = run("check")
    check.that("a check is unknown", done.returncode == 3 and done.stdout.startswith("MUTEX UNKNOWN: "), done.stdout)


def export(name):
    """An image in a file, for mutexctl and for lib.image: what is compared cannot move."""
    out("export", "--format", "binary", "-o", name)
    with open(f"{FOLDER}/{name}", "rb") as file:
        return Image(file.read())


def lists(world, held):
    check.part("lists")
    expected = {c.id: c for c in export("lists.bin").connections}
    kept = ("--from", "lists.bin")
    rows = of_csv("connections", *kept)
    check.equal("CSV: connections by their ids", sorted(int(row["id"]) for row in rows), sorted(expected))
    sums = {}
    for name, found in (("CSV", rows), ("JSON Lines", of_lines("connections", *kept))):
        rows = [row if name == "CSV" else {f"{way}_{counter}": row[way][counter]
                for way in ("sent", "received") for counter in COUNTERS} for row in found]
        sums[name] = {f"{way}_{counter}": sum(int(row[f"{way}_{counter}"]) for row in rows)
                      for way in ("sent", "received") for counter in COUNTERS}
    program = "[.connections[] | {" + ",".join(
        f"{way}_{counter}: .{way}.{counter}" for way in ("sent", "received") for counter in COUNTERS
    ) + "}] | reduce .[] as $r ({}; reduce ($r | to_entries[]) as $e (.; .[$e.key] += $e.value))"
    sums["JSON by jq"] = json.loads(jq(program, out("connections", "--format", "json", *kept)))
    mine = {f"{way}_{counter}": sum(getattr(getattr(c, way), counter) for c in expected.values())
            for way in ("sent", "received") for counter in COUNTERS}
    check.all_equal("sums of all connections", ((name, found, mine) for name, found in sums.items()))

    near, far = held.pairs[0]
    port = near.getsockname()[1]
    row, = of_csv("connections", "--filter", f"protocol=tcp local_port={port}",
                  "--fields", "id,pid,command,holders,local_port,state,sent_payload")
    holders = f"{os.getpid()}/{near.fileno()}"
    check.equal("the socket's process and its number there", (row["pid"], row["command"], row["holders"]),
                (str(os.getpid()), "python3", holders))
    top = of_json("connections", "--sort", "sent_bytes", "--top", 2, *kept)["connections"]
    check.equal("the two with the most bytes sent", [c["sent"]["bytes"] for c in top],
                sorted((c.sent.bytes for c in expected.values()), reverse=True)[:2])
    none = of_json("connections", "--filter", "remote=192.0.2.0/24")
    check.equal("nothing where nothing fits", (none["connections"], none["schema_version"]), ([], 1))
    inodes = {os.fstat(one.fileno()).st_ino for pair in held.pairs for one in pair}
    found = {int(row["inode"]) for row in of_csv("fds", "--filter", "protocol=tcp", "--fields", "inode,holders")}
    check.that("the sockets by their inodes", inodes <= found, f"{inodes} of {found}")
    table = out("fds", "--sort", "active_connections", "--top", "1").splitlines()
    check.that("a table for people", table[0].split()[:3] == ["id", "protocol", "inode"] and len(table) == 2)
    with world.a.inside():
        ours = of_json("connections")
    check.equal("inside a namespace, its own only", {c["netns"] for c in ours["connections"]}, {world.a.inode})
    watched = out("connections", "--watch=100ms", "--count", 3, "--fields", "id")
    check.equal("watching", len(watched.split("\n\n")), 3)


def sums(world, before):
    check.part("groups, differences, formats of the whole")
    # Its last whole second has traffic, however long the export takes: rates of it are looked at elsewhere.
    one, over = world.datagrams(), threading.Event()

    def go_on():
        while not over.wait(0.05):
            one.send(bytes(72))

    sender = threading.Thread(target=go_on)
    sender.start()
    time.sleep(2.1)
    read, old = export("now.bin"), Image(open(f"{FOLDER}/{before}", "rb").read())
    over.set()
    sender.join()
    one.close()
    whole = flat(read.sum())
    for by in ("pid,command", "remote", "port,protocol"):
        groups = of_json("aggregate", "--by", by, "--from", "now.bin")["groups"]
        total = groups.pop()
        pairs = [(f"{by}: {key}", (total[key], sum(group[key] for group in groups)), (whole[key], whole[key]))
                 for key in total if key in whole]
        check.all_equal("the groups' sum is the host's", pairs)
    change = [row for row in of_csv("diff", before, "now.bin") if row["of"] == "total"][0]
    check.equal("the difference is what the host moved",
                {key: int(change[key]) for key in ("sent_bytes", "received_bytes", "sent_packets")},
                {key: whole[key] - flat(old.sum())[key] for key in ("sent_bytes", "received_bytes", "sent_packets")})

    for way in (["export", "--from", "now.bin"], ["convert", "now.bin", "--to", "json"]):
        after = json.loads(out(*way))["totals_after"]
        check.equal(f"totals of {' '.join(way)}", {f"{direction}_{counter}": after[direction][counter]
                    for direction in DIRECTIONS for counter in COUNTERS}, flat(read.after))
    lines = of_lines("export", "--from", "now.bin")
    check.equal("JSON Lines end with the totals", (lines[-1]["record"], lines[-1]["sent"]["bytes"]),
                ("totals_after", read.after["sent"].bytes))
    out("convert", "now.bin", "--to", "csv", "-o", "csv")
    with open(f"{FOLDER}/csv/totals.csv", newline="") as file:
        after = {row["direction"]: int(row["bytes"]) for row in csv.DictReader(file) if row["which"] == "after"}
    check.equal("CSV has the totals", after, {name: one.bytes for name, one in read.after.items()})
    check.that("audit of the file", out("audit", "now.bin").splitlines()[-1].startswith("balanced, "))


def metrics():
    check.part("metrics")
    for form in ("prometheus", "openmetrics"):
        before = module.stats()
        text = out("stats", "--format", form)
        after = module.stats()
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        keys = {f'mutex_{family}_total{{direction="{name}"}}': f"{name}_{counter}" for name in DIRECTIONS
                for family, counter in (("packets", "packets"), ("traffic_bytes", "bytes"))}
        wrong = [(name, found[name], before[key], after[key]) for name, key in keys.items()
                 if not before[key] <= int(found[name]) <= after[key]]
        check.equal(f"{form}: the kernel's numbers, those before and those after are its bounds", wrong, [])
        if form == "prometheus" and shutil.which("promtool"):
            judged = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            check.equal("promtool has nothing to say", (judged.returncode, judged.stdout + judged.stderr), (0, ""))


def events_and_alerts(world):
    check.part("events, alerts, settings")
    file = open(f"{FOLDER}/events", "w")
    ports = [3001, 3002]
    listening = subprocess.Popen(["mutexctl", "events", "kind=start,end", f"netns={world.a.inode} local_port=3001-3002",
                                  "--format", "jsonl", "--count", "4"], stdout=file, stderr=subprocess.PIPE)
    traffic.wait_for(lambda: module.stats()["monitors"] == 1)
    value = out("config", "get", "timeout_closed").strip()
    out("config", "set", "timeout_closed=0")
    for port in ports:
        world.datagrams(port=port).close()
    # Not before: between two datagrams the machine may stand still for a second.
    out("config", "set", "timeout_one_way=1")
    said = listening.communicate(timeout=60 * pace.LONGER)[1]
    found = [json.loads(line) for line in open(f"{FOLDER}/events")]
    check.equal("events as they came", (listening.returncode, said, sorted((e["event"], e["local_port"]) for e in found)),
                (0, b"", sorted((kind, port) for kind in ("start", "end") for port in ports)))
    check.equal("an end has the final counters", {e["sent"]["payload"] for e in found if e["event"] == "end"},
                {72 * DATAGRAMS})
    out("config", "set", f"timeout_closed={value}")
    settings = {one["key"]: one for one in of_json("config", "get")["settings"]}
    check.equal("settings", (settings["timeout_closed"]["value"], settings["timeout_one_way"]["value"],
                settings["timeout_one_way"]["default"]), (int(value), 1, 30))
    fails("a setting that cannot be", 1, "out of its range", "config", "set", "timeout_tcp=0")
    fails("a setting that there is not", 2, "there is no setting `nonsense`", "config", "get", "nonsense")

    following = subprocess.Popen(["mutexctl", "alerts", "--follow", "--format", "jsonl", "--count", "1"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    traffic.wait_for(lambda: module.stats()["monitors"] == 1)
    out("config", "set", "alert_connection_bandwidth_out=1000")
    one = world.datagrams()
    # The window is judged with the first packet of another second.
    while following.poll() is None:
        time.sleep(0.2)
        one.send(bytes(72))
    alert = json.loads(following.stdout.read())
    check.equal("an alert as it came", (alert["kind"], alert["scope"], alert["local_port"], alert["threshold"]),
                ("bandwidth_out", "connection", one.getsockname()[1], 1000))
    out("config", "set", "alert_connection_bandwidth_out=0")
    listed = of_json("alerts", "--filter", f"local_port={one.getsockname()[1]}")["alerts"]
    check.that("it is listed", alert["number"] in [each["number"] for each in listed])
    done = run("check", "--audit", "--alerts-within", "1h")
    check.that("a check sees it", done.returncode == 1 and done.stdout.startswith("MUTEX WARNING: "), done.stdout)
    export("alerts.bin")
    out("alerts", "clear")
    check.equal("cleared", of_json("alerts")["alerts"], [])
    one.close()


def checks_and_people():
    check.part("checks, people without rights, wrong words")
    for words, status, begin in ((("--audit",), 0, "MUTEX OK: "), (("-w", "sent_packets>=1"), 1, "MUTEX WARNING: "),
                                 (("-c", "sent_packets>=1"), 2, "MUTEX CRITICAL: "), (("-c", "x>=1"), 3, "MUTEX UNKNOWN: ")):
        done = run("check", *words)
        check.equal(f"check {' '.join(words)}", (done.returncode, done.stdout[:len(begin)], done.stdout.count("\n")),
                    (status, begin, 1))
    alice = {"user": pwd.getpwnam("alice").pw_uid, "group": pwd.getpwnam("alice").pw_gid, "extra_groups": []}
    done = run("stats", "--format", "json", **alice)
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    check.that("anybody may see that it counts, and not what", told.get("uptime_ns", 0) > 0 and "sent_packets" not in told,
               done.stdout)
    fails("but nobody's connections", 1, "no permission to read /proc/mutex/snapshot; run mutexctl as root", "fds", **alice)
    fails("or change what is set", 1, "no permission to write", "config", "set", "timeout_closed=7", **alice)
    doctor("the doctor says so", 0, "warn  reading", "Next: sudo mutexctl", **alice)
    doctor("and to root that all is well", 0, "everything can be read", "settings and filters can be written")
    fails("a filter that is none", 2, '"prot" is no key of a filter', "connections", "--filter", "prot=tcp")
    fails("a file that is none", 1, "cannot read none.bin: No such file or directory", "connections", "--from", "none.bin")
    check.that("manual and completions", out("man").startswith(".") and "mutexctl" in out("completions", "bash"))


def recordings():
    check.part("recordings")
    out("record", "-o", "rec", "--interval", "100ms", "--count", 2)
    out("record", "-o", "rec", "--count", 1)
    images = of_json("replay", "rec")["images"]
    check.equal("a line an image", len(images), 3)
    last = json.loads(out("export", "--from", "rec"))
    check.equal("the last one", (last["image"]["time_ns"], last["totals_after"]["sent"]["bytes"]),
                (images[-1]["time_ns"], images[-1]["sent_bytes"]))
    moment = f"{images[1]['time_ns'] // 10**9}.{images[1]['time_ns'] % 10**9:09}"
    then = of_json("connections", "--from", "rec", "--at", moment)
    check.equal("one by its time", then["image"]["time_ns"], images[1]["time_ns"])
    check.that("they balance", "balanced" in out("audit", "rec"))
    # As a machine that lost its power in the middle of an image.
    *_, newest = sorted(glob.glob(f"{FOLDER}/rec/*.rec"))
    os.truncate(newest, os.path.getsize(newest) // 2)
    done = run("export", "--from", "rec")
    check.equal("cut off, up to the cut", (done.returncode, json.loads(done.stdout)["image"]["time_ns"],
                "cut off or damaged at byte 16" in done.stderr), (0, images[1]["time_ns"], True))


def unloaded():
    check.part("the module goes in the middle")
    top = terminal.Terminal(["mutexctl", "top", "--interval", "50ms"])
    top.shows("total = host")
    programs = {words: subprocess.Popen(["mutexctl", *words.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        cwd=FOLDER)
                for words in ("events", "connections --watch=50ms")}
    with open(f"{FOLDER}/said", "w", encoding="utf-8") as said:
        recorder = subprocess.Popen(["mutexctl", "record", "-o", "gone", "--interval", "50ms"], stderr=said, cwd=FOLDER)
    traffic.wait_for(lambda: module.stats()["monitors"] == 1 and glob.glob(f"{FOLDER}/gone/*.rec"))
    shown = programs["connections --watch=50ms"].stdout.readline()
    module.unload()
    for words, program in programs.items():
        try:
            said = program.communicate(timeout=20 * pace.LONGER)[1]
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL)
            said = f"still there: {program.communicate()[1]}"
        check.that(f"{words}: one sentence", program.returncode == 1 and said.count("\n") == 1
                   and any(words in said for words in ("MUTEX was unloaded", "MUTEX is not loaded", "MUTEX is being unloaded")), said)
    check.that("what was shown before is whole", shown.startswith(" ") or shown.startswith("id"), shown)
    before = len(of_json("replay", "gone")["images"])
    check.that("what was recorded before is whole", before > 0)
    def recorder_said(end):
        with open(f"{FOLDER}/said", encoding="utf-8") as said:
            return said.read().endswith(f"{end}\n")
    check.that("the recorder says so", traffic.wait_for(lambda: recorder_said("; recording goes on when MUTEX is back")))
    check.that("and waits", recorder.poll() is None)
    top.shows("waiting for it")
    check.that("top says so, and waits", "MUTEX is not loaded: /proc/mutex does not exist; waiting for it" in top.text(), top.text())
    top.press("2")
    top.shows("[2 fds]")
    module.load()
    top.shows("total = host")
    top.hides("waiting for it")
    anew = "mutexctl: MUTEX was loaded anew; recording goes on"
    check.that("the recorder has seen it, too", traffic.wait_for(lambda: recorder_said(anew)))
    check.that("it goes on", traffic.wait_for(lambda: len(of_json("replay", "gone")["images"]) > before))
    check.equal("in another file", len(glob.glob(f"{FOLDER}/gone/*.rec")), 2)
    recorder.send_signal(signal.SIGTERM)
    check.equal("until it is told to end", recorder.wait(timeout=60 * pace.LONGER), -signal.SIGTERM)
    top.press("q")
    check.equal("and goes on when it is back", top.end(), 0)
    check.equal("the terminal is whole", top.wrong(), [])


def leave(recorder):
    """Keeps what was written, for judges that this machine has not."""
    recorder.send_signal(signal.SIGTERM)
    said = recorder.communicate(timeout=60 * pace.LONGER)[1]
    check.equal("recording all the while, until it was told to end", (recorder.returncode, said), (-signal.SIGTERM, b""))
    os.makedirs("/out/judged")
    for name in ("now.bin", "alerts.bin"):
        shutil.copy(f"{FOLDER}/{name}", "/out/judged")
    shutil.copytree(f"{FOLDER}/whole", "/out/judged/whole")


def main():
    os.makedirs(FOLDER, exist_ok=True)
    os.chmod(FOLDER, 0o755)
    without_module()
    module.load(timeout_closed=5)
    recorder = subprocess.Popen(["mutexctl", "record", "-o", "whole", "--interval", "500ms"], cwd=FOLDER, stderr=subprocess.PIPE)
    world = World()
    held = traffic.Held(world.a, world.b, "10.0.0.2", number=2, size=100_000)
    out("export", "--format", "binary", "-o", "before.bin")
    world.datagrams().close()
    lists(world, held)
    sums(world, "before.bin")
    metrics()
    events_and_alerts(world)
    checks_and_people()
    recordings()
    leave(recorder)
    module.audit("after all of it")
    unloaded()
    held.close()
    check.finish()


main()
