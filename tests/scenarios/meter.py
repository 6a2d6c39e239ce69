# SPDX-License-Identifier: MIT OR Apache-2.0
"""mutexctl meter, the reporter that meters connections, on real UDP traffic.

The judges are the sockets, which know what they have sent, nft, which counts each flow where MUTEX does,
and the static key, which /proc/mutex/stats shows as packet_monitors.
"""

import collections
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

from lib import check, events, module, net, pace, traffic

FOLDER = "/tmp/meter"
GUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
HEADERS = {4: 28, 6: 48}
ROUNDS = pace.sized(100, 40)
UDP_SEGMENT = 103


def configure(**settings):
    with open(f"{module.PROC}/config", "w") as file:
        file.write("".join(f"{key} {value}\n" for key, value in settings.items()))


def switched():
    return module.stats()["packet_monitors"]


class Meter:
    """A running mutexctl meter and what it has written."""

    def __init__(self, name, *words):
        self.path = f"{FOLDER}/{name}"
        self.process = subprocess.Popen(
            ["mutexctl", "meter", "-o", self.path, *words], stderr=subprocess.PIPE, text=True)
        # It writes when its monitor is open: what passes from then on is metered.
        if not traffic.wait_for(lambda: os.path.exists(self.path) and self.text()):
            raise RuntimeError(f"mutexctl meter does not begin: {self.end(signal.SIGKILL)}")

    def text(self):
        with open(self.path) as file:
            return file.read()

    def lines(self, record="meter", *logged):
        """The whole lines of that kind that it has logged."""
        found = [json.loads(line) for line in self.text().splitlines(True) if line.endswith("\n")]
        return [line for line in found if line["record"] == record and (not logged or line["logged"] in logged)]

    def last(self, *logged):
        """What the last such line says of each connection: (sent, received), each (bytes, buffers)."""
        return {(line["netns"], line["id"]): ((line["sent_bytes"], line["sent_buffers"]),
                                              (line["received_bytes"], line["received_buffers"]))
                for line in self.lines("meter", *logged)}

    def comes_to(self, expected, *logged):
        """Waits until the last such lines say what is expected, and compares."""
        traffic.wait_for(lambda: self.last(*logged) == expected)
        said = self.last(*logged)
        names = sorted(set(said) | set(expected))
        check.all_equal(f"{' and '.join(logged)}: the meters say what the sockets did",
                        ((name, said.get(name), expected.get(name)) for name in names))

    def end(self, number=signal.SIGINT):
        """What it says on standard error; its exit status stays in the process."""
        self.process.send_signal(number)
        return self.said()

    def said(self):
        try:
            return self.process.communicate(timeout=20 * pace.LONGER)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"still there: {self.process.communicate()[1]}"


class Flow:
    """Two sockets that talk to each other, and what each has sent: (bytes, buffers)."""

    def __init__(self, near, far, local, remote, ports=(0, 0)):
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        self.ends = []
        for namespace, address, number in ((near, local, ports[0]), (far, remote, ports[1])):
            with namespace.inside():
                end = socket.socket(family, socket.SOCK_DGRAM)
            end.bind((address, number))
            self.ends.append(end)
        for one, other in (self.ends, self.ends[::-1]):
            one.connect(other.getsockname())
        self.namespaces = near, far
        self.headers = HEADERS[6 if ":" in local else 4]
        self.sent = [[0, 0], [0, 0]]
        shown = [f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
                 for host, number in (end.getsockname()[:2] for end in self.ends)]
        # The connection of each end: its namespace and its normalised id.
        self.ids = [(namespace.inode, f"{one}->{other}/udp")
                    for namespace, one, other in zip(self.namespaces, shown, shown[::-1])]

    def send(self, end, size):
        self.ends[end].send(bytes(size))
        self.count(end, size + self.headers)

    def count(self, end, size):
        self.sent[end][0] += size
        self.sent[end][1] += 1

    def talk(self, rounds, seed):
        for i in range(rounds):
            self.send(0, (i * 37 + seed) % 1200)
            if i % 3 == 0:
                self.send(1, (i * 11 + seed) % 900)

    def expected(self):
        near, far = (tuple(sent) for sent in self.sent)
        return dict(zip(self.ids, ((near, far), (far, near))))

    def close(self):
        for end in self.ends:
            end.close()


def expected(flows):
    return {name: sums for flow in flows for name, sums in flow.expected().items()}


def idle(world):
    check.part("nobody is registered")
    flow = Flow(*world, "10.0.0.1", "10.0.0.2")
    flow.talk(10, 1)
    check.equal("packets are not watched", (switched(), module.stats()["monitors"]), (0, 0))
    return flow


def exact(world, old):
    check.part("every flow, exactly")
    a, b = world
    # More than are on their way while an emulated machine looks elsewhere.
    configure(events_buffer=65536)
    for namespace in world:
        net.count(namespace)
    meter = Meter("exact", "protocol=udp", "--interval", "200ms", "--format", "jsonl", "--reporter", GUID,
                  "--metadata", "site=east")
    head, = meter.lines("metering")
    check.equal("it says what it is", (head["schema_version"], head["reporter"]), (1, GUID))
    row, = events.monitors()
    check.equal("packets are watched, by one", (switched(), row["filter"]), (1, "kind=start,end,packet protocol=udp"))
    with Meter("list", "--format", "json", "--interval", "200ms", "port=7").process as other:
        check.equal("and by a second one", switched(), 2)
        other.send_signal(signal.SIGINT)
        other.communicate()
    check.equal("which ends well", (other.returncode, switched()), (0, 1))

    ends = [(a, b, "10.0.0.1", "10.0.0.2"), (a, b, "fd00::1", "fd00::2"), (b, a, "10.0.0.2", "10.0.0.1"),
            (b, a, "fd00::2", "fd00::1"), (a, a, "127.0.0.1", "127.0.0.1"), (b, b, "::1", "::1")]
    flows = [Flow(*one) for one in ends]
    # The same ends in two namespaces are two connections.
    flows += [Flow(one, one, "127.0.0.1", "127.0.0.1", (4000, 4001)) for one in world]
    threads = [threading.Thread(target=flow.talk, args=(ROUNDS, seed)) for seed, flow in enumerate(flows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Of what is older, what passes from now on.
    began = [list(sent) for sent in old.sent]
    old.talk(5, 3)
    so_far = {name: tuple(tuple(now - before for now, before in zip(*one)) for one in zip(sums, order))
              for (name, sums), order in zip(old.expected().items(), (began, began[::-1]))}
    meter.comes_to({**expected(flows), **so_far}, "running")

    counted = {namespace: net.Counted(namespace) for namespace in world}
    pairs = []
    for flow in flows:
        if flow.namespaces[0] is flow.namespaces[1]:
            continue
        for end, namespace, name in zip(flow.ends, flow.namespaces, flow.ids):
            key = traffic.ends(end)
            metered = meter.last("running")[name]
            nft = [counted[namespace].flows[way][one]
                   for way, one in (("sent", key), ("received", traffic.mirrored(key)))]
            pairs.append((name, metered, tuple((size, buffers) for buffers, size in nft)))
    check.all_equal("nft has counted the same", pairs)

    # A super-packet is one buffer that stands for ten packets.
    flows[0].ends[0].sendmsg([bytes(9500)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 1000))])
    whole = 9500 + 10 * HEADERS[4]
    traffic.wait_for(lambda: meter.last("running")[flows[0].ids[0]][0][0] >= flows[0].sent[0][0] + whole)
    flows[0].count(0, whole)
    sent, _ = meter.last("running")[flows[0].ids[0]]
    check.equal("a super-packet has the bytes of all its packets", sent, tuple(flows[0].sent[0]))
    return meter, flows, so_far


def ended(meter, flows, old, so_far):
    check.part("the end of connections")
    starts = collections.Counter((line["netns"], line["id"]) for line in meter.lines("meter", "started"))
    for flow in flows:
        flow.close()
    configure(timeout_one_way=1, timeout_two_way=1)
    # The kernel's own figures; who received the super-packet has got it whole or in pieces.
    final = expected(flows)
    gso = flows[0].ids[1]
    sent = final.pop(gso)[0]
    everything = lambda: {name: sums for name, sums in meter.last("ended").items() if name in final}
    traffic.wait_for(lambda: everything() == final and gso in meter.last("ended"), 20)
    check.all_equal("final figures", ((name, everything().get(name), sums) for name, sums in final.items()))
    (said, (size, _)) = meter.last("ended").get(gso, ((0, 0), (0, 0)))
    check.equal("who received the super-packet", (said, size), (sent, flows[0].sent[0][0]))
    lines = [line for line in meter.lines("meter", "ended") if (line["netns"], line["id"]) in final]
    check.equal("each once, with its metadata, and the kernel's own",
                collections.Counter((line["metadata"]["site"], line["is_total"], line["lost_events"]) for line in lines),
                {("east", True, 0): len(final)})
    check.that("each had begun once", all(starts[name] == 1 for name in final))
    traffic.wait_for(lambda: set(so_far) <= set(meter.last("ended")))
    check.equal("of what is older, what has passed since", {name: meter.last("ended").get(name) for name in so_far}, so_far)
    old.close()
    configure(timeout_one_way=600, timeout_two_way=600)


def stopped(meter, world):
    check.part("the last one goes")
    flow = Flow(*world, "10.0.0.1", "10.0.0.2")
    flow.talk(10, 5)
    meter.comes_to({**meter.last("running"), **flow.expected()}, "running")
    said = meter.end()
    check.equal("it ends without a word", (meter.process.returncode, said), (0, ""))
    check.equal("with the final figures of who is left", meter.last("stopped"), flow.expected())
    check.equal("nothing was lost", meter.lines("lost"), [])
    check.equal("packets are not watched any more", (switched(), module.stats()["monitors"]), (0, 0))
    flow.talk(10, 5)
    flow.close()


def lossy(world):
    check.part("a meter that is too slow")
    configure(events_buffer=64)
    meter = Meter("lossy", "protocol=udp", "--interval", "100ms", "--format", "jsonl")
    kept, gone = Flow(*world, "10.0.0.1", "10.0.0.2"), Flow(*world, "fd00::1", "fd00::2")
    for flow in (kept, gone):
        flow.talk(10, 7)
    meter.comes_to(expected([kept, gone]), "running")
    meter.process.send_signal(signal.SIGSTOP)
    traffic.wait_for(lambda: open(f"/proc/{meter.process.pid}/stat").read().split()[2] == "T")
    kept.talk(ROUNDS, 9)
    # Its end is among what is lost.
    gone.close()
    configure(timeout_one_way=1, timeout_two_way=1)
    numbers = lambda: [c.id for c in module.image().connections
                       if c.protocol == 17 and "fd00::" in c.local and c.remote.startswith("fd00::")]
    check.that("one connection ends meanwhile", traffic.wait_for(lambda: not numbers(), 20))
    configure(timeout_one_way=600, timeout_two_way=600)
    lost = events.monitors()[0]["lost"]
    check.that("events are lost", lost > ROUNDS, lost)
    meter.process.send_signal(signal.SIGCONT)
    # What was queued is taken, and then the next one tells of the losses.
    traffic.wait_for(lambda: events.monitors()[0]["pending"] == 0)
    again = Flow(*world, "10.0.0.1", "10.0.0.2")
    again.talk(1, 1)
    traffic.wait_for(lambda: meter.lines("lost"))
    told = sum(line["events"] for line in meter.lines("lost"))
    check.equal("it says how many", told, events.monitors()[0]["lost"])
    traffic.wait_for(lambda: set(gone.ids) <= set(meter.last("ended")), 20)
    said = [line for line in meter.lines("meter", "ended") if (line["netns"], line["id"]) in gone.ids]
    check.equal("an end that was lost is made up for", collections.Counter(line["is_total"] for line in said), {False: 2})
    check.that("and its meter may lack something", all(line["lost_events"] for line in said))
    kept.close()
    again.close()
    configure(timeout_one_way=1, timeout_two_way=1)
    final = expected([again])
    traffic.wait_for(lambda: set(final) <= set(meter.last("ended")), 20)
    check.equal("who began later lacks nothing", {name: meter.last("ended").get(name) for name in final}, final)
    said = meter.end()
    check.equal("it has said so on standard error, too",
                (meter.process.returncode, sum(map(int, re.findall(r"^mutexctl: (\d+) events were lost", said, re.M)))), (0, told))
    configure(timeout_one_way=600, timeout_two_way=600, events_buffer=65536)


def unloaded(world):
    check.part("the module goes in the middle")
    meters = [Meter("unloaded", "protocol=udp", "--interval", "100ms", "--format", "jsonl"),
              Meter("unloaded.csv", "protocol=udp", "--interval", "1h", "--format", "csv")]
    flow = Flow(*world, "fd00::1", "fd00::2")
    flow.talk(20, 1)
    meters[0].comes_to(flow.expected(), "running")
    # The other one has them, too: it has taken what was queued.
    traffic.wait_for(lambda: not any(row["pending"] for row in events.monitors()))
    module.audit("before it goes")
    check.equal("packets are watched", switched(), 2)
    module.unload()
    for meter in meters:
        said = meter.said()
        check.that("one sentence", meter.process.returncode == 1 and said.count("\n") == 1 and "MUTEX was unloaded" in said, said)
    check.equal("the final figures are there", meters[0].last("stopped"), flow.expected())
    check.equal("in the other one, too", meters[1].text().count("\nstopped,"), 2)
    flow.close()


def main():
    os.makedirs(FOLDER, exist_ok=True)
    a, b = world = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24", "fd00::1/64")
    net.address(b, "vb", "10.0.0.2/24", "fd00::2/64")
    net.up(a, "va")
    net.up(b, "vb")
    net.settle(a, b)
    # Nothing ends but what is told to.
    module.load(timeout_closed=0, timeout_one_way=600, timeout_two_way=600)
    old = idle(world)
    meter, flows, so_far = exact(world, old)
    ended(meter, flows, old, so_far)
    stopped(meter, world)
    lossy(world)
    unloaded(world)
    check.finish()


main()
