# SPDX-License-Identifier: MIT OR Apache-2.0
"""Real programs that make traffic, and what they themselves say of it.

Each gives back claims: a claim is (who says it, namespace, key or match, direction, counter,
value), where a match is a dictionary of attributes that connections have; the claim is on the sum
of the connections that match.
"""

import collections
import json
import os
import re
import socket
import threading
import time

from lib import ss
from lib.pace import LONGER, sized

Claim = collections.namedtuple("Claim", "who namespace match direction counter value")
TCP, UDP = 6, 17
ICMP = {4: 1, 6: 58}


def family(address):
    return 6 if ":" in address else 4


def wait_for(condition, patience=15, every=0.05):
    """Waits until `condition()` holds; whether it came to."""
    deadline = time.monotonic() + patience * LONGER
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def listens(namespace, port, kind="t"):
    return bool(namespace.sh("ss", f"-{kind}lnH", f"sport = {port}").strip())


class Servers:
    """iperf3, nginx and dnsmasq in a namespace, until the end of the with block."""

    FOLDER = "/tmp/scenario"
    DOWNLOAD = sized(3_000_000, 500_000)

    def __init__(self, namespace):
        self.namespace = namespace
        os.makedirs(f"{self.FOLDER}/www", exist_ok=True)
        with open(f"{self.FOLDER}/www/file", "wb") as file:
            file.write(os.urandom(self.DOWNLOAD))
        with open(f"{self.FOLDER}/nginx.conf", "w") as file:
            file.write(f"""worker_processes 1; pid {self.FOLDER}/nginx.pid; error_log stderr;
                events {{ worker_connections 256; }}
                http {{ access_log off; sendfile on;
                        server {{ listen 80; listen [::]:80; root {self.FOLDER}/www; }} }}""")

    def __enter__(self):
        start = self.namespace.start
        self.processes = [
            start("iperf3", "-s"),
            start("nginx", "-c", f"{self.FOLDER}/nginx.conf", "-g", "daemon off;", "-e", "stderr"),
            start("dnsmasq", "-k", "--no-resolv", "--no-hosts", "--user=root",
                  "--address=/mutex.test/192.0.2.1", "--pid-file="),
        ]
        for port, kind in ((5201, "t"), (80, "t"), (53, "u")):
            if not wait_for(lambda: listens(self.namespace, port, kind)):
                raise RuntimeError(f"no server listens on port {port}")
        return self

    def __exit__(self, *unused):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def iperf_tcp(client, server, address, size=sized("5M", "1M"), *more):
    """A bulk transfer; both ends' payload but for retransmissions, which ss tells."""
    report = json.loads(client.sh("iperf3", "-J", "-c", address, "-n", size, *more))
    claims = []
    for begun, ended in zip(report["start"]["connected"], report["end"]["streams"]):
        near = begun["local_host"], begun["local_port"]
        far = begun["remote_host"], begun["remote_port"]
        # 37 bytes say which test a stream belongs to.
        sent = ended["sender"]["bytes"] + 37
        if ended["sender"]["bytes"] != ended["receiver"]["bytes"]:
            raise RuntimeError(f"iperf3 cut its transfer short: {ended}")
        claims += [Claim("iperf3", client, (TCP, *near, *far), "sent", "payload", sent),
                   Claim("iperf3", server, (TCP, *far, *near), "received", "payload", sent)]
    return claims


def iperf_udp(client, server, address, blocks=sized(1000, 200), length=1400, *more):
    """A flood of datagrams; packets, bytes and payload sent."""
    report = json.loads(client.sh("iperf3", "-J", "-u", "-c", address, "-b", "0", "-k", blocks,
                                  "-l", length, *more))
    begun, = report["start"]["connected"]
    ended, = report["end"]["streams"]
    near = begun["local_host"], begun["local_port"]
    far = begun["remote_host"], begun["remote_port"]
    headers = 28 if family(address) == 4 else 48
    # A datagram of 4 bytes each way begins it.
    packets, payload = ended["udp"]["packets"] + 1, ended["udp"]["bytes"] + 4
    key, mirror = (UDP, *near, *far), (UDP, *far, *near)
    claims = []
    for counter, value in (("packets", packets), ("payload", payload),
                           ("bytes", payload + headers * packets)):
        claims.append(Claim("iperf3", client, key, "sent", counter, value))
    for namespace, one, direction in ((server, mirror, "sent"), (client, key, "received")):
        for counter, value in (("packets", 1), ("payload", 4), ("bytes", 4 + headers)):
            claims.append(Claim("iperf3", namespace, one, direction, counter, value))
    return claims


def download(client, server, address):
    """nginx by curl; payload each way."""
    host = f"[{address}]" if ":" in address else address
    said = json.loads(client.sh("curl", "-s", "-o", "/dev/null", "-w", "%{json}", f"http://{host}/file"))
    near, far = (said["local_ip"], said["local_port"]), (said["remote_ip"], said["remote_port"])
    answer = said["size_header"] + said["size_download"]
    key, mirror = (TCP, *near, *far), (TCP, *far, *near)
    return [Claim("curl", client, key, "sent", "payload", said["size_request"]),
            Claim("curl", client, key, "received", "payload", answer),
            Claim("curl", server, mirror, "sent", "payload", answer),
            Claim("curl", server, mirror, "received", "payload", said["size_request"])]


def resolve(client, server, address, queries=12):
    """DNS queries by dig; payload and packets each way, of all of them together."""
    names = [f"host{i}.{'x' * i}.mutex.test" for i in range(1, queries + 1)]
    said = client.sh("dig", "+qr", "+tries=1", f"@{address}", *names)
    asked = [int(size) for size in re.findall(r"QUERY SIZE: (\d+)", said)]
    answered = [int(size) for size in re.findall(r"MSG SIZE  rcvd: (\d+)", said)]
    if not len(asked) == len(answered) == queries:
        raise RuntimeError(f"dig: {len(asked)} queries, {len(answered)} answers")
    near = {"protocol": UDP, "remote": address, "remote_port": 53}
    far = {"protocol": UDP, "local": address, "local_port": 53}
    claims = []
    for counter, up, down in (("payload", sum(asked), sum(answered)), ("packets", queries, queries)):
        claims += [Claim("dig", client, near, "sent", counter, up),
                   Claim("dig", client, near, "received", counter, down),
                   Claim("dig", server, far, "received", counter, up),
                   Claim("dig", server, far, "sent", counter, down)]
    return claims


def ping(client, server, address, number=10, size=56):
    """Echoes; packets, bytes and payload each way, of all pings of that address together."""
    # ping waits for the last answer as long as its interval, so that is long, and all go at once.
    said = client.sh("ping", "-n", "-c", number, "-l", number, "-i", 60, "-s", size, address)
    transmitted, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", said).groups())
    version = family(address)
    headers = 20 if version == 4 else 40
    near = {"protocol": ICMP[version], "remote": address, "remote_port": 0, "local_port": None}
    far = {"protocol": ICMP[version], "local": address, "local_port": 0, "remote_port": None}
    claims = []
    for counter, each in (("packets", 1), ("payload", size), ("bytes", size + 8 + headers)):
        for namespace, match, direction, count in (
            (client, near, "sent", transmitted), (client, near, "received", received),
            (server, far, "received", transmitted), (server, far, "sent", received),
        ):
            claims.append(Claim("ping", namespace, match, direction, counter, count * each))
    return claims


def receive(one, length):
    """So many bytes, or what came before the end."""
    parts = []
    while length and (part := one.recv(min(length, 1 << 16))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def tcp_listener(namespace, address, port=0, backlog=512):
    with namespace.inside():
        listener = socket.create_server((address, port), backlog=backlog,
                                        family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    return listener


def tcp_connect(namespace, address, port, timeout=10):
    with namespace.inside():
        return socket.create_connection((address, port), timeout * LONGER)


def ends(one):
    """The key of a connected socket, by what the socket itself says."""
    (near, nport, *_), (far, fport, *_) = one.getsockname(), one.getpeername()
    return (TCP if one.type == socket.SOCK_STREAM else UDP, near, nport, far, fport)


def mirrored(key):
    protocol, near, nport, far, fport = key
    return protocol, far, fport, near, nport


def short_connections(client, server, address, number=50):
    """Connections of a question and an answer each, of different lengths; payload of each."""
    listener = tcp_listener(server, address)
    port = listener.getsockname()[1]

    def serve():
        for i in range(number):
            accepted, _ = listener.accept()
            with accepted:
                asked = int.from_bytes(receive(accepted, 4), "big")
                receive(accepted, asked)
                accepted.sendall(bytes(2 * asked))

    server_thread = threading.Thread(target=serve, daemon=True)
    server_thread.start()
    claims = []
    with client.inside():
        for i in range(number):
            with socket.create_connection((address, port), 10 * LONGER) as one:
                key = ends(one)
                length = 7 * i
                one.sendall(length.to_bytes(4, "big") + bytes(length))
                answer = len(receive(one, 2 * length + 1))
                if answer != 2 * length:
                    raise RuntimeError(f"{answer} bytes instead of {2 * length}")
            claims += [Claim("client", client, key, "sent", "payload", 4 + length),
                       Claim("client", client, key, "received", "payload", answer),
                       Claim("server", server, mirrored(key), "received", "payload", 4 + length),
                       Claim("server", server, mirrored(key), "sent", "payload", answer)]
    server_thread.join(10 * LONGER)
    listener.close()
    return claims


class Held:
    """TCP connections that stay open after a bulk transfer each way."""

    def __init__(self, client, server, address, number=3, size=sized(1_000_000, 200_000)):
        self.client, self.server, self.pairs = client, server, []
        listener = tcp_listener(server, address)
        for i in range(number):
            near = tcp_connect(client, address, listener.getsockname()[1])
            far, _ = listener.accept()
            far.settimeout(10 * LONGER)
            for source, sink, length in ((near, far, size * (i + 1)), (far, near, size // (i + 1))):
                sender = threading.Thread(target=source.sendall, args=(bytes(length),))
                sender.start()
                if len(receive(sink, length)) != length:
                    raise RuntimeError("a transfer broke off")
                sender.join()
            self.pairs.append((near, far))
        listener.close()

    def close(self):
        for near, far in self.pairs:
            near.close()
            far.close()


def compare(check, what, image, claims, gone, dropped=0):
    """MUTEX against the programs; `gone` are the sockets they had, as lib.ss saw them go. If the link
    dropped some packets, of what was sent again anything may have arrived."""
    index, by_netns = {}, {}
    for c in image.connections:
        index.setdefault((c.netns, c.key), []).append(c)
        by_netns.setdefault(c.netns, []).append(c)
    pairs = {}
    wanted = {}
    for claim in claims:
        match = claim.match
        name = tuple(sorted(match.items(), key=str)) if isinstance(match, dict) else match
        wanted.setdefault((claim.who, claim.namespace, name, claim.direction, claim.counter), [match, 0])[1] += claim.value
    for (who, namespace, name, direction, counter), (match, value) in wanted.items():
        netns = namespace.inode
        if isinstance(match, dict):
            # None: any but 0, which the echoing side has.
            found = [c for c in by_netns.get(netns, [])
                     if all(getattr(c, field) == one if one is not None else getattr(c, field) != 0
                            for field, one in match.items())]
        else:
            found = index.get((netns, match), [])
        mine = sum(getattr(getattr(c, direction), counter) for c in found) if found else None
        if not isinstance(match, dict) and counter == "payload" and match[0] == TCP:
            sender = match if direction == "sent" else mirrored(match)
            unique, value = value, ss.sent(value, gone.get(sender, []), mine)
            if dropped and direction == "received" and mine is not None and unique <= mine <= value:
                value = mine
        pairs.setdefault(who, []).append((f"{namespace.name} {name} {direction} {counter}", mine, value))
    for who, compared in pairs.items():
        check.all_equal(f"{what}: equal to what {who} says", compared)
