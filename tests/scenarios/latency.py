# SPDX-License-Identifier: MIT OR Apache-2.0
"""Latency over wires of known delay: against ss, ping, and the programs' own clocks.

A program's time begins before MUTEX's and ends after it; the wires' delay is less than either.
"""

import re
import socket
import struct
import threading
import time

from lib import check, module, ss, traffic, wire

MS = 1_000_000
# A step's value is within 1 / 17 of every sample in it.
STEP = 1 / 17
EXCHANGES = 30


def exchange(near, far, times, size=100):
    """A question and its answer; how long the asking side saw it take, in nanoseconds."""
    began = time.monotonic_ns()
    near.send(bytes(size))
    far.recv(size)
    far.send(bytes(size))
    near.recv(size)
    times.append(time.monotonic_ns() - began)


def between(title, low, value, high):
    check.that(title, low <= value <= high, f"{low / MS:.3f} <= {value / MS:.3f} <= {high / MS:.3f} ms")


def rank(times, percent):
    """The time that `percent` of them do not exceed. As no sample is longer than its time, no sample
    of that rank is longer than the time of that rank."""
    return sorted(times)[-(-len(times) * percent // 100) - 1]


def bounds(title, quality, delay, times):
    """A sample is at least the wires' delay, and at most what the program saw of it."""
    # A microsecond, because samples are whole ones or sixteenths, rounded down at both ends.
    between(f"{title}: the smallest", delay - 1000, quality.latency_min_ns, min(times))
    between(f"{title}: the largest", delay - 1000, quality.latency_max_ns, max(times))
    between(f"{title}: the last", delay - 1000, quality.latency_last_ns, max(times))
    for percent in (50, 95, 99):
        between(f"{title}: {percent} % of them within", delay * (1 - STEP),
                getattr(quality, f"latency_p{percent}_ns"), rank(times, percent) * (1 + STEP))


def connected(host, far_host, address):
    listener = traffic.tcp_listener(far_host, address)
    began = time.monotonic_ns()
    near = traffic.tcp_connect(host, *listener.getsockname())
    took = time.monotonic_ns() - began
    far, _ = listener.accept()
    listener.close()
    for one in (near, far):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far, took


def speak(host, one):
    """A keep-alive: what a socket sends lets MUTEX see what it learned from the last that came in."""
    key = traffic.ends(one)
    before = wire.find(module.image(), host, key).sent.packets
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 100)):
        one.setsockopt(socket.IPPROTO_TCP, option, value)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    spoke = traffic.wait_for(lambda: wire.find(module.image(), host, key).sent.packets > before)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    check.that(f"{host.name} has sent a keep-alive", spoke)


def against_ss(title, image, host, key, samples):
    shown = next(one for one in ss.sockets(host, "ESTAB") if one.key == key)
    quality = wire.find(image, host, key).quality
    check.equal(f"{title}: its average is the rtt of ss, to the microsecond",
                quality.latency_average_ns, round(float(shown.rtt.split("/")[0]) * MS))
    check.equal(f"{title}: the smallest is the minrtt of ss", quality.latency_min_ns,
                round(float(shown.minrtt) * MS))
    check.equal(f"{title}: a sample for the handshake and for each message",
                quality.latency_samples, samples + quality.retransmitted_packets)
    return quality


def tcp(a, b, how=""):
    check.part(f"TCP{how}, 40 ms there and back, then 120 ms")
    near, far, took = connected(a, b, "10.0.1.2")
    key = traffic.ends(near)
    times = [took]
    for _ in range(EXCHANGES):
        exchange(near, far, times)
    speak(a, near)
    speak(b, far)
    image = module.image_at_rest()
    quality = against_ss("who connected", image, a, key, EXCHANGES + 1)
    bounds("who connected", quality, 40 * MS, times)
    theirs = against_ss("who was connected to", image, b, traffic.mirrored(key), EXCHANGES + 1)
    check.that("who was connected to: no sample is below the delay", theirs.latency_min_ns >= 40 * MS - 1000)

    for host, link in ((a, "right"), (b, "left")):
        wire.netem(host, link, "delay", "60ms")
    late = []
    for _ in range(10):
        exchange(near, far, late)
    speak(a, near)
    speak(b, far)
    image = module.image_at_rest()
    quality = against_ss("with both delays, who connected", image, a, key, EXCHANGES + 11)
    against_ss("with both delays, who was connected to", image, b, traffic.mirrored(key), EXCHANGES + 11)
    between("half of the samples are of the short one", 40 * MS * (1 - STEP), quality.latency_p50_ns,
            rank(times + late, 50) * (1 + STEP))
    between("one in twenty is of the long one", 120 * MS * (1 - STEP), quality.latency_p95_ns,
            rank(times + late, 95) * (1 + STEP))
    between("the largest is of the long one", 120 * MS - 1000, quality.latency_max_ns, max(late))
    for host, link in ((a, "right"), (b, "left")):
        wire.netem(host, link, "delay", "20ms")
    return near, far


def without_sack(a, b):
    """RACK is idle then: each sample is found in what it did to the kernel's smoothed time."""
    def offer(**options):
        for host in (a, b):
            for option, value in options.items():
                host.sysctl(f"ipv4/tcp_{option}", value)

    offer(sack=0)
    held = [*tcp(a, b, " without SACK")]
    offer(sack=0, timestamps=0)
    held += tcp(a, b, " without SACK and timestamps")

    check.part("TCP without SACK, as much as goes, 40 ms")
    near, far, took = connected(a, b, "10.0.1.2")
    key = traffic.ends(near)
    began, seen = time.monotonic_ns(), []
    taken = threading.Thread(target=lambda: traffic.receive(far, 64 << 16))
    taken.start()
    for _ in range(64):
        near.sendall(bytes(1 << 16))
        seen.append(wire.find(module.image(), a, key).quality.latency_samples)
    taken.join()
    lasted = time.monotonic_ns() - began
    speak(a, near)
    image = module.image_at_rest()
    shown = next(one for one in ss.sockets(a, "ESTAB") if one.key == key)
    quality = wire.find(image, a, key).quality
    check.that("ss says that there is no SACK", " sack " not in shown.line, shown.line)
    check.equal("its average is the rtt of ss, to the microsecond", quality.latency_average_ns,
                round(float(shown.rtt.split("/")[0]) * MS))
    check.that("samples go on coming", seen == sorted(seen) and quality.latency_samples > max(10, seen[0]),
               (seen, quality.latency_samples))
    between("the smallest", 40 * MS - 1000, quality.latency_min_ns, max(took, lasted))
    between("the largest", 40 * MS - 1000, quality.latency_max_ns, max(took, lasted))
    between("half of them within", 40 * MS * (1 - STEP), quality.latency_p50_ns, quality.latency_max_ns)
    check.note(f"{quality.latency_samples} samples from {quality.latency_min_ns / MS:.3f} to "
               f"{quality.latency_max_ns / MS:.3f} ms in {lasted / MS:.0f} ms; ss: {shown.rtt} {shown.minrtt}")
    offer(sack=1, timestamps=1)
    return [*held, near, far]


def udp(a, b):
    check.part("UDP, question and answer")
    with b.inside():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("10.0.1.2", 0))
    clients = []
    for _ in range(2):
        with a.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(server.getsockname())
        clients.append(client)
    for number, client in enumerate(clients, 1):
        times, answering = [], []
        for _ in range(10):
            began = time.monotonic_ns()
            client.send(b"question")
            _, source = server.recvfrom(100)
            asked = time.monotonic_ns()
            time.sleep(0.005 * number)
            server.sendto(b"answer", source)
            answered = time.monotonic_ns()
            client.recv(100)
            times.append(time.monotonic_ns() - began)
            answering.append((asked, answered))
        image = module.image_at_rest()
        mine = wire.find(image, a, traffic.ends(client)).quality
        theirs = wire.find(image, b, traffic.mirrored(traffic.ends(client))).quality
        check.equal(f"client {number}: a sample for each answer, on both sides",
                    (mine.latency_samples, theirs.latency_samples), (10, 10))
        bounds(f"client {number}", mine, 40 * MS + number * 5 * MS, times)
        check.that(f"client {number}: what the server took is less by the wires' delay",
                   5 * MS * number - 1000 <= theirs.latency_min_ns
                   and theirs.latency_max_ns <= max(times) - 40 * MS + 1000, theirs[:5])
    server_fd = wire.find(image, b, traffic.mirrored(traffic.ends(clients[0]))).fd
    fd, = (fd for fd in image.fds if fd.id == server_fd)
    parts = [c.quality for c in image.connections if c.fd == server_fd]
    check.equal("the server's fd: samples, smallest, largest of its connections, last of the last",
                (fd.quality.latency_samples, fd.quality.latency_min_ns, fd.quality.latency_max_ns,
                 fd.quality.latency_last_ns),
                (20, min(one.latency_min_ns for one in parts), max(one.latency_max_ns for one in parts),
                 theirs.latency_last_ns))
    return [server, *clients]


def echo(a):
    check.part("ICMP echo")
    # An echo that is sent before the last one was answered is no sample, and a slow machine answers late.
    interval = 0.2
    for _ in range(20):
        # -U: ping's own clock at both ends, not the kernel's when the answer came in.
        said = a.sh("ping", "-U", "-n", "-c", 10, "-i", interval, "10.0.1.2")
        times = [float(word) * MS for word in re.findall(r"time=([\d.]+)", said)]
        if len(times) == 10 and max(times) < interval * 1000 * MS:
            break
        check.note("the machine stood still; once more")
    low, middle, high = (round(float(word) * MS) for word in
                         re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/", said).groups())
    image = module.image_at_rest()
    c = max((c for c in image.connections if c.netns == a.inode and c.protocol == 1), key=lambda c: c.id)
    check.equal("samples: the echoes that ping sent one at a time", c.quality.latency_samples, 10)
    between("the smallest", 40 * MS - 1000, c.quality.latency_min_ns, low + 1000)
    between("the largest", 40 * MS - 1000, c.quality.latency_max_ns, high + 1000)
    # ping prints three digits of them.
    between("the last", 40 * MS - 1000, c.quality.latency_last_ns, times[-1] * 1.005)
    between("the average", 40 * MS - 1000, c.quality.latency_average_ns, high + 1000)
    check.note(f"ping: {low / MS} / {middle / MS} / {high / MS} ms")


def raw(a, b):
    check.part("TCP of a raw socket, which knows nothing of round trips")
    with a.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    one.bind(("10.0.1.1", 0))
    for number in range(5):
        one.sendto(struct.pack("!HHIIBBHHH", 999, 9, number, 0, 0x50, 2, 1000, 0, 0), ("10.0.1.2", 0))
    image = module.image_at_rest()
    c = wire.find(image, a, (6, "10.0.1.1", 999, "10.0.1.2", 9))
    check.equal("packets sent, and no sample", (c.sent.packets, c.quality[:8]), (5, (0,) * 8))
    one.close()


def through(a, r, c):
    check.part("forwarded TCP, 20 ms on the one side and 60 ms on the other")
    near, far, took = connected(a, c, "10.0.2.2")
    times = [took]
    for _ in range(EXCHANGES):
        exchange(near, far, times)
    speak(a, near)
    image = module.image_at_rest()
    key = traffic.ends(near)
    through = next(one for one in image.connections if one.forwarded and one.key == key)
    shown = next(one for one in ss.sockets(a, "ESTAB") if one.key == key)
    quality = through.quality
    check.that("at least a sample for each exchange", quality.latency_samples >= EXCHANGES, quality[:8])
    # Spans are kept within a thousandth.
    check.that("no sample is below both delays", quality.latency_min_ns >= 80 * MS * 0.999 - 1000, quality[:8])
    # Each of them adds up the latest of either side, which need not be of one exchange.
    between("half of them within", 80 * MS * (1 - STEP), quality.latency_p50_ns,
            rank(times, 90) * (1 + STEP))
    own = wire.find(image, a, key).quality
    check.equal("the socket's own average", own.latency_average_ns, round(float(shown.rtt.split("/")[0]) * MS))
    return near, far


def main():
    one = wire.Row("a", "b")
    a, b = one.hosts
    for host, link in one.wires:
        wire.netem(host, link, "delay", "20ms")
    wire.load(one)
    held = [*tcp(a, b), *without_sack(a, b), *udp(a, b)]
    echo(a)
    raw(a, b)
    two = wire.Row("c", "d", "e")
    for (host, link), delay in zip(two.wires, ("10ms", "10ms", "30ms", "30ms")):
        wire.netem(host, link, "delay", delay)
    held += through(*two.hosts)
    check.part("histograms")
    image = module.image_at_rest()
    check.equal("every sample found room", image.status["latency_unplaced"], 0)
    wire.check_histograms(image)
    check.equal("the host's samples, smallest and largest are its connections'",
                (image.quality.latency_samples, image.quality.latency_min_ns, image.quality.latency_max_ns),
                (sum(c.quality.latency_samples for c in image.connections),
                 min(c.quality.latency_min_ns for c in image.connections if c.quality.latency_samples),
                 max(c.quality.latency_max_ns for c in image.connections)))
    module.audit()
    for socket_ in held:
        socket_.close()
    module.unload()
    check.finish()


main()
