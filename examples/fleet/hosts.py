# SPDX-License-Identifier: MIT OR Apache-2.0
"""A fleet: hosts that are namespaces with a mutexd each, one Prometheus, one NATS.

Each host is a peer of each other one over WireGuard, and has peers besides that are not there.
"""

import base64
import http.client
import json
import os
import random
import shutil
import time
import urllib.parse

from lib import module, net
from lib.daemon import PATIENCE, TOKEN, Daemon

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = "/tmp/fleet"
# What examples/fleet/certificates has made.
TLS = "/work/fleet-tls"
HOSTS = 3
WATCH = "10.0.0.10"
PROMETHEUS = f"{WATCH}:9090"
MESSAGES = f"{WATCH}:8222"


class Fleet:
    """`absent` peers of each host are not there; `copies` times is each host scraped, as if there were as many more;
    `change` is what another configuration has of mutexd.toml.
    """

    def __init__(self, absent=4, copies=1, change=lambda text: text):
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.makedirs(FOLDER)
        with open(f"{FOLDER}/token", "w") as file:
            file.write(TOKEN)
        os.chmod(f"{FOLDER}/token", 0o600)
        self.passwords = {f"host{number + 1}": f"password-{number + 1}" for number in range(HOSTS)}
        for node, password in self.passwords.items():
            with open(os.open(f"{FOLDER}/{node}.password", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(password)
        self.copies, self.change = copies, change
        self.watch = net.Namespace("watch")
        self.watch.sh("ip", "link", "add", "br0", "type", "bridge")
        net.address(self.watch, "br0", f"{WATCH}/24")
        net.up(self.watch, "br0")
        self.hosts = [net.Namespace(f"host{number + 1}") for number in range(HOSTS)]
        self.keys = [self.connect(number, host) for number, host in enumerate(self.hosts)]
        numbers = random.Random(1)
        for number, host in enumerate(self.hosts):
            text = ""
            for other, key in enumerate(self.keys):
                if other != number:
                    text += (f"[Peer]\nPublicKey={key}\nAllowedIPs=10.8.0.{other + 1}/32\n"
                             f"Endpoint=10.0.0.{other + 1}:51820\n")
            for _ in range(absent):
                text += f"[Peer]\nPublicKey={base64.b64encode(numbers.randbytes(32)).decode()}\n"
            host.sh("wg", "addconf", "wg0", "/dev/stdin", input=text)
            net.up(host, "wg0")
        self.running, self.nodes = [], []
        module.load()

    def connect(self, number, host):
        """Puts a host on the bridge; its WireGuard key."""
        net.veth(self.watch, f"v{number}", host, "eth0")
        self.watch.sh("ip", "link", "set", f"v{number}", "master", "br0")
        net.up(self.watch, f"v{number}")
        net.address(host, "eth0", f"10.0.0.{number + 1}/24")
        net.up(host, "eth0")
        # As systemd has it.
        host.sysctl("ipv4/ping_group_range", "0 2147483647")
        private = host.sh("wg", "genkey").strip()
        host.sh("ip", "link", "add", "wg0", "type", "wireguard")
        host.sh("wg", "set", "wg0", "listen-port", 51820, "private-key", "/dev/stdin", input=private)
        net.address(host, "wg0", f"10.8.0.{number + 1}/24")
        return host.sh("wg", "pubkey", input=private).strip()

    def start(self):
        self.serve()
        for number, host in enumerate(self.hosts):
            node, address = f"host{number + 1}", f"10.0.0.{number + 1}"
            os.makedirs(f"{FOLDER}/{node}")
            with open(f"{HERE}/mutexd.toml") as file:
                text = file.read()
            for name, value in (("FOLDER", FOLDER), ("NODE", node), ("ADDRESS", address), ("TLS", TLS)):
                text = text.replace(name, value)
            with open(f"{FOLDER}/{node}.toml", "w") as file:
                file.write(self.change(text))
            self.nodes.append(Daemon(host, node, None, FOLDER, f"{address}:8787", state=f"{FOLDER}/{node}",
                                     authority=f"{TLS}/ca.pem"))
        with open(f"{HERE}/prometheus.yml") as file:
            text = file.read().replace("FOLDER", FOLDER).replace("TLS", TLS)
        if self.copies > 1:
            # Targets that differ in a label only.
            start, targets, end = text.partition('      - targets: ["10.0.0.1:8787", "10.0.0.2:8787", "10.0.0.3:8787"]\n')
            text = start + "".join(f"{targets}        labels: {{ copy: '{number}' }}\n"
                                   for number in range(self.copies)) + end
        with open(f"{FOLDER}/prometheus.yml", "w") as file:
            file.write(text)
        shutil.copy(f"{HERE}/rules.yml", FOLDER)
        self.log = open(f"{FOLDER}/prometheus.log", "w")
        self.prometheus = self.watch.start(
            "prometheus", f"--config.file={FOLDER}/prometheus.yml", f"--web.listen-address={PROMETHEUS}",
            f"--storage.tsdb.path={FOLDER}/tsdb", "--enable-feature=extra-scrape-metrics", stdout=self.log,
            stderr=self.log)
        self.running.append(self.prometheus)

    def serve(self):
        """The message server."""
        passwords = {f"{node.upper()}_PASSWORD": password for node, password in self.passwords.items()}
        self.messages = self.watch.start("nats-server", "-c", f"{HERE}/nats-server.conf", "-m", "8222",
                                         env={**os.environ, **passwords})
        self.running.append(self.messages)

    def stop_serving(self):
        self.messages.terminate()
        self.messages.wait()

    def fetch(self, address, path):
        """JSON of something that listens at the watch."""
        deadline = time.monotonic() + PATIENCE
        host, port = address.split(":")
        while True:
            connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
            try:
                with self.watch.inside():
                    connection.connect()
                connection.request("GET", path)
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status != 503:
                    return json.loads(text)
            except (OSError, http.client.HTTPException) as error:
                text = repr(error)
            finally:
                connection.close()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{address} does not answer: {text}")
            time.sleep(0.3)

    def query(self, expression):
        """What Prometheus answers: a list of labels and value."""
        answer = self.fetch(PROMETHEUS, f"/api/v1/query?query={urllib.parse.quote(expression)}")
        if answer["status"] != "success":
            raise RuntimeError(f"{expression}: {answer}")
        return [({key: value for key, value in one["metric"].items() if key != "job"}, float(one["value"][1]))
                for one in answer["data"]["result"]]

    def value(self, expression):
        """Of a query with one answer; None if there is none."""
        found = self.query(expression)
        return found[0][1] if len(found) == 1 else None

    def traffic(self, number, other, kilobytes):
        """Sends so much from a host to another one, through the tunnel."""
        sink = self.hosts[other].start("socat", "-u", f"TCP-LISTEN:7000,bind=10.8.0.{other + 1},reuseaddr", "OPEN:/dev/null")
        done = self.hosts[number].run(
            "sh", "-c", f"head -c {kilobytes}000 /dev/zero | socat -u - TCP:10.8.0.{other + 1}:7000,retry=6000,interval=0.1")
        sink.wait()
        if done.returncode:
            raise RuntimeError(done.stderr)

    def end(self):
        """The exit statuses of the nodes."""
        return [node.end() for node in self.nodes if node.process.poll() is None]

    def kill(self):
        for process in self.running + [node.process for node in self.nodes]:
            process.kill()
