# SPDX-License-Identifier: MIT OR Apache-2.0
"""mutexd in a namespace, asked over HTTP."""

import http.client
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import time
import urllib.parse

from lib import check
from lib.pace import LONGER

# An emulated machine may stand still for as long as its host has other things to do.
PATIENCE = 240 * LONGER
TOKEN = "only-tests-know-this-token"
PORT = 8787


def until(what, holds, patience=PATIENCE):
    """Waits until something holds, and checks that it does; gives what it gave."""
    deadline = time.monotonic() + patience
    while True:
        value = holds()
        if value or time.monotonic() > deadline:
            check.that(what, value, "" if value else "it never does")
            return value
        time.sleep(0.3)


def fill(folder):
    """Takes all room that a folder's disk has, in a file `filler`."""
    with open(f"{folder}/filler", "wb", buffering=0) as filler:
        for size in (1 << 16, 512):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                pass


class Daemon:
    """`settings` are whole sections, or None if its configuration is there; its state folder and its log are below
    `folder`. `before` are words that its command begins with. `authority` is a file with the certificate that has signed
    its own, if it speaks TLS.
    """

    def __init__(self, host, name, settings, folder, address=f"127.0.0.1:{PORT}", before=(), state=None, authority=None):
        self.tls = authority and ssl.create_default_context(cafile=authority)
        self.host, self.name, self.address, self.before = host, name, address, before
        self.folder = state or f"{folder}/{name}.state"
        self.config = f"{folder}/{name}.toml"
        self.process = None
        os.makedirs(self.folder, exist_ok=True)
        if settings is not None:
            self.configure(f"{folder}/{name}.token", settings)
        self.start()

    def configure(self, token, settings):
        with open(token, "w") as file:
            file.write(TOKEN)
        os.chmod(token, 0o600)
        with open(self.config, "w") as file:
            # A slow machine answers late, which is no failure.
            file.write(f'state_folder = "{self.folder}"\nlog = {{ file = "{self.folder}/log" }}\n'
                       f'[http]\nlistening_address = "{self.address}"\ntoken_file = "{token}"\n'
                       # Not in the state folder, whose disk may have no room for it.
                       f'socket = "/tmp/mutexd-{self.name}.sock"\n'
                       f'request_timeout = "1m"\n{settings}\n')

    def start(self, wait=True):
        """Starts it, and waits until it answers unless told otherwise."""
        self.seen, self.events = 0, []
        self.process = self.host.start(*self.before, "mutexd", "--config", self.config, "run")
        if wait:
            self.get("/readyz")

    def log(self):
        with open(f"{self.folder}/log") as file:
            return file.read()

    def request(self, method, path, body=None):
        """Status and body; asks again as long as nobody could answer."""
        deadline = time.monotonic() + PATIENCE
        host, port = self.address.rsplit(":", 1)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        while True:
            if self.tls:
                connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=self.tls)
            else:
                connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
            try:
                with self.host.inside():
                    connection.connect()
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read().decode()
                if status != 503 or "took too long" not in text:
                    return status, text
                why = text
            except (OSError, http.client.HTTPException) as error:
                why = repr(error)
            finally:
                connection.close()
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended with {self.process.returncode}: {self.log()[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not answer {path}: {why}")
            time.sleep(0.1)

    def get(self, path):
        status, text = self.request("GET", path)
        if status != 200:
            raise RuntimeError(f"{self.name} answers {path} with {status}: {text}")
        return text

    def ask(self, path, **query):
        """A question below /api/v1."""
        return json.loads(self.get(f"/api/v1{path}?{urllib.parse.urlencode(query)}"))

    def metrics(self):
        return self.get("/metrics")

    def health(self, part="peers"):
        """What a part says of itself."""
        parts = self.ask("/health")["parts"]
        return next(one["message"] for one in parts if one["part"] == part)

    def peers(self, **which):
        return {peer["public_key"]: peer for peer in self.ask("/peers", **which)["peers"]}

    def peer(self, key):
        return self.peers(public_key=key)[key]

    def nodes(self):
        """Of each other node its peers, and whether they are connected."""
        return {node["node"]: {(peer["interface"], peer["public_key"]): peer["connected"] for peer in node["peers"]}
                for node in self.ask("/peers/nodes")["nodes"]}

    def announce(self, **what):
        """Whether what was announced is on the disk."""
        status, text = self.request("POST", "/api/v1/peers/announcements", json.dumps(what))
        if status not in (200, 202):
            raise RuntimeError(f"{self.name} refuses {what}: {status} {text}")
        return json.loads(text)["kept"]

    def happened(self):
        """All that happened since it started."""
        while True:
            told = self.ask("/peers/events", after=self.seen)
            if told["oldest"] > self.seen + 1:
                raise RuntimeError(f"{self.name} has forgotten events {self.seen + 1} to {told['oldest'] - 1}")
            if not told["events"]:
                return self.events
            self.events += told["events"]
            self.seen = self.events[-1]["number"]

    def kinds(self, key, node=None):
        """What happened to a peer, at a node."""
        return [event["kind"] + event.get("change", "") + str(event.get("connected", "")) for event in self.happened()
                if event.get("public_key") == key and event["node"] == (node or self.name)]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


def rows(database, sql, *values):
    """What a database has; it may be written meanwhile."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=PATIENCE)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def promtool_reads(metrics):
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True)
    check.that("promtool finds nothing", done.returncode == 0 and not done.stdout + done.stderr,
               done.stdout + done.stderr)
