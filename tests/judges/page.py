# SPDX-License-Identifier: MIT OR Apache-2.0
"""The live page of mutexd in a browser: numbers that move, on a desk and on a phone, in the dark, by keyboard.

mutexd reads what the scenario `tools` left of real traffic, and totals that grow evenly, so that rates are known.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from browser import PATIENCE, Browser
from lib import check
from looks import CONTRAST, SMALLEST, TOO_WIDE

PICTURES = pathlib.Path(sys.argv[1]) / "out/judges"
HOST = pathlib.Path("/tmp/page")
# Every 100 ms of the kernel's time.
STEP_NS = 100_000_000
KEY = "a3VYRjBYZlhRdHRRTGRxWnFzVXVDaU5kZnZoTm1xVQ0="
# What the page may never take for anything else than text.
HOSTILE = "<img src=x onerror=alert(1)>"


class Kernel(threading.Thread):
    """A folder that looks like /proc/mutex, in which time passes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.bytes_per_second = 1_250_000
        self._over = threading.Event()
        self._folder = HOST / "proc"
        self._folder.mkdir(parents=True)
        text = subprocess.run(["mutexctl", "stats", "--from", "/judged/now.bin", "--format", "raw"],
                              capture_output=True, text=True, check=True).stdout
        self.stats = dict(line.split(" ") for line in text.splitlines())
        self.image("now.bin")
        self._step()

    def image(self, name):
        self._replace("snapshot", pathlib.Path(f"/judged/{name}").read_bytes())

    def _replace(self, name, content):
        (HOST / f"{name}.next").write_bytes(content)
        (HOST / f"{name}.next").rename(self._folder / name)

    def _step(self):
        for name, more in (("uptime_ns", STEP_NS), ("received_bytes", self.bytes_per_second // 10),
                           ("sent_bytes", self.bytes_per_second // 50), ("received_packets", 100)):
            self.stats[name] = str(int(self.stats[name]) + more)
        self._replace("stats", "".join(f"{key} {value}\n" for key, value in self.stats.items()).encode())

    def run(self):
        while not self._over.wait(0.05):
            self._step()

    def end(self):
        self._over.set()
        self.join()


def mutexd(*words):
    return subprocess.run(["mutexd", "--config", HOST / "mutexd.toml", *words], capture_output=True, text=True)


def start(port=0):
    """Starts it, and says where it listens."""
    (HOST / "mutexd.toml").write_text(
        f'proc = "{HOST}/proc"\nstate_folder = "{HOST}/state"\nlog = {{ file = "{HOST}/log" }}\n'
        f'[network]\ninterval = "250ms"\n[http]\nlistening_address = "127.0.0.1:{port}"\nrequest_timeout = "1m"\n'
        f'socket = "{HOST}/http.sock"\n'
        f'[page]\ninterval = "1s"\n[diagnostics]\nsocket = "{HOST}/socket"\n')
    done = mutexd("start")
    check.that("mutexd starts", done.returncode == 0, done.stderr)
    return re.findall(r"listens on 127\.0\.0\.1:(\d+)", (HOST / "log").read_text())[-1]


def let_in(browser, base, by_file=False):
    """Opens the link that mutexctl gives, by which a browser is let in; or a file that leads to it, as mutexctl has it opened."""
    done = subprocess.run(["mutexctl", "page", "--no-browser", "--socket", HOST / "http.sock"], capture_output=True, text=True)
    check.that("mutexctl gives a link", done.stdout.startswith(f"{base}login?code="), done.stdout + done.stderr)
    link = done.stdout.strip()
    if by_file:
        file = HOST / "link.html"
        file.write_text(f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={link}">')
        link = f"file://{file}"
    # It leads on at once: there is nothing to be drawn.
    browser("Page.navigate", url=link)
    check.that("which leads to the page", browser.wait("location.pathname === '/' && document.getElementById('state') !== null"))


def of_image(what):
    done = subprocess.run(["mutexctl", what, "--from", "/judged/now.bin", "--format", "json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[what]


def rate_of(one):
    """Rates that differ by a single byte are one to the page."""
    return (one["quality"]["rate_in"] + one["quality"]["rate_out"]) // 2


def end(one, side):
    address, port = one[f"{side}_address"], one[f"{side}_port"]
    return address if not port else f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def duration(ns):
    """As the page has it."""
    units = ["ns", "µs", "ms", "s"]
    while ns >= 1000 and len(units) > 1:
        ns, units = ns / 1000, units[1:]
    return f"{ns:.{2 if ns < 10 else 1 if ns < 100 else 0}f} {units[0]}"


def tell(**record):
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(PATIENCE)
        one.connect(str(HOST / "socket"))
        one.sendall(json.dumps({"record": record}).encode() + b"\n")
        return json.loads(one.makefile().readline())["ok"]


def peers():
    """What /api/v1/peers says of two peers, one of which does not answer."""
    now = 1_795_265_834 * 10**9
    def peer(name, key, connected, rtts):
        answered = [one for one in rtts if one is not None]
        newest = [{"time_ns": now + at * 10**9, "rtt_ns": rtt} for at, rtt in enumerate(rtts)]
        return {"interface": "wg0", "public_key": key, "name": name, "address": "10.9.0.2" if answered else "",
                "endpoint": "192.0.2.7:51820", "connected": connected, "received_bytes": 123_456_789, "sent_bytes": 98_765,
                "handshake_ns": now, "session_started_ns": now, "sessions": 3, "session_restarts": 1,
                "pings": {"tried": len(rtts), "lost": len(rtts) - len(answered), "min_ns": min(answered, default=None),
                          "avg_ns": sum(answered) // len(answered) if answered else None, "max_ns": max(answered, default=None),
                          "p95_ns": max(answered, default=None), "p99_ns": max(answered, default=None),
                          "loss": 1 - len(answered) / len(rtts), "newest": newest}}
    rtts = [4_000_000 + 700_000 * (at * 7 % 11) for at in range(60)]
    rtts[20] = rtts[21] = None
    return [peer("office", KEY, True, rtts), peer("", KEY.replace("a3", "b4"), False, [None] * 10)]


def text_of(browser, place):
    return browser.ask(f"document.getElementById({json.dumps(place)}).innerText")


def tile(name):
    """The value of a tile, asked for on the page."""
    return f"[...document.querySelectorAll('.tile')].find(one => one.innerText.startsWith({json.dumps(name)}))?.querySelector('strong').innerText"


def shown(browser, kernel, base):
    check.part("what is shown")
    browser.open(base, 1280, 900)
    check.that("it is live", browser.wait("document.getElementById('state').innerText === 'live'"), text_of(browser, "state"))
    # Between two samples that are of one step nothing has passed.
    check.that("rates are the kernel's", browser.wait(f"{tile('Received')} === '1.25 MB/s'"), browser.ask(tile("Received")))
    check.that("also of packets", browser.wait(f"{tile('Packets')} === '1.00 k/s'"), browser.ask(tile("Packets")))
    check.equal("connections", browser.ask(tile("Connections")), kernel.stats["connections_active"])
    total = browser.ask("[...document.querySelectorAll('.tile')][0].querySelector('small').innerText")
    check.that("totals beside rates", re.fullmatch(r"[\d.]+ [kMG]B in all", total), total)
    check.that("processes come", browser.wait("document.querySelectorAll('#process-rows td').length > 1"))
    owners = {f"{one['command']} ({one['pid']})" for one in of_image("fds") if one["command"]}
    listed = text_of(browser, "process-rows")
    check.that("each with its name", owners and all(owner in listed for owner in owners), listed)
    connections = browser.ask("[...document.querySelectorAll('#connection-rows tr')].map(row => [...row.cells].map(cell => cell.innerText))")
    expected = of_image("connections")
    check.equal("each connection that fits", len(connections), min(20, len(expected)))
    rate = max(map(rate_of, expected))
    first = [[f"{one['protocol']} {one['state']}", end(one, "local"), end(one, "remote")] for one in expected if rate_of(one) == rate]
    check.that("the fastest first", rate > 0 and len(first) < len(expected) and connections[0][1:4] in first, connections[0])
    buckets = browser.ask("document.querySelectorAll('#latency-rows meter').length")
    ends = browser.ask("[...document.querySelectorAll('#latency-rows tr')].map(row => row.cells[0].innerText)")
    octaves = [duration(2000 << octave) for octave in range(26)]
    at = octaves.index(ends[0]) if ends[0] in octaves else 0
    check.equal("latency by octaves, also those without a sample", ends, octaves[at:at + len(ends)])
    check.that("latency has its distribution", buckets > 3 and " 99 % at most " in text_of(browser, "latency-words"), text_of(browser, "latency-words"))
    check.that("curves are drawn", browser.wait("""
        (drawn => drawn.length === 3 && Math.min(...drawn) > 2)(
            [...document.querySelectorAll('#bytes-plot polyline')].map(one => one.points.length))"""))
    check.that("peers come", browser.wait("document.getElementById('peer-rows').innerText.includes('office')"))
    check.equal("a curve of a peer's pings has a gap where they were lost",
                browser.ask("document.querySelector('#peer-rows svg').querySelectorAll('polyline').length"), 2)
    check.equal("of who never answered there is none",
                browser.ask("document.querySelectorAll('#peer-rows tr')[1].querySelectorAll('polyline').length"), 0)
    check.that("diagnostics come", browser.wait(
        f"document.getElementById('diagnostics-list').innerText.includes({json.dumps(HOSTILE)})"), text_of(browser, "diagnostics-list"))
    check.equal("text is only ever text", browser.ask("document.images.length + document.querySelectorAll('td i, li img').length"), 0)
    listed = text_of(browser, "diagnostics-list")
    check.that("with component and time", "daemon" in listed and "error" in listed and re.search(r"\d:\d\d", listed), listed)
    health = text_of(browser, "health-list")
    check.that("and so does health", all(part in health for part in ("network", "history", "monitor", "peers", "diagnostics")), health)

    ends = browser.ask("""[...document.querySelectorAll('#bytes-plot polyline')].map(one =>
        [one.points[0].x, one.points[one.points.length - 1].x])""")
    check.equal("over the time from the first sample to the last, without a gap", ends, [[0, 1000]] * 3)

    check.part("what happens")
    check.equal("there is no alert yet", text_of(browser, "alert-list"), "none")
    kernel.image("alerts.bin")
    check.that("an alert comes by itself", browser.wait("document.getElementById('alert-list').innerText.includes('warning')"))
    kernel.bytes_per_second = 40_000_000
    check.that("another rate, too", browser.wait(f"{tile('Received')} === '40.0 MB/s'"), browser.ask(tile("Received")))
    check.that("by server-sent events", browser.messages("points") > 2 and browser.messages("glance") > 1)
    elsewhere = [one for one in browser.requests if not one.startswith(base)]
    check.equal("nothing is asked of anybody else", elsewhere, [])
    check.equal("the console is silent", browser.complaints, [])


def looks(browser, base):
    for screen, width, height, mobile, scheme in (
            ("desk", 1280, 900, False, "light"), ("dark", 1280, 900, False, "dark"),
            ("phone", 390, 844, True, "light"), ("phone-dark", 390, 844, True, "dark")):
        check.part(screen)
        browser.open(base, width, height, mobile, scheme)
        check.that("it fills", browser.wait(
            "document.querySelectorAll('#connection-rows td').length > 1 && document.getElementById('peer-rows').innerText.includes('office')"
            " && document.getElementById('diagnostics-list').innerText.length > 9 && document.querySelectorAll('#bytes-plot polyline').length > 0"))
        wide = [one for one in browser.ask(TOO_WIDE) if not one.startswith("A.skip")]
        check.equal("nothing is wider than the screen", wide, [])
        check.that("the page is as wide as the screen",
                   browser.ask("document.documentElement.scrollWidth") <= width and browser.ask("innerWidth") == width,
                   f"{browser.ask('document.documentElement.scrollWidth')} of {width}")
        check.that("letters can be read", browser.ask(SMALLEST) >= 12, browser.ask(SMALLEST))
        check.that("contrast", browser.ask(CONTRAST) >= 4.5, browser.ask(CONTRAST))
        low = browser.ask("[...document.querySelectorAll('button, nav a')].filter(one => one.getBoundingClientRect().height < 24).length")
        check.equal("whatever is touched is high enough", low, 0)
        paper = browser.ask("getComputedStyle(document.body).backgroundColor")
        check.equal("as light as the screen", paper, "rgb(20, 23, 26)" if scheme == "dark" else "rgb(255, 255, 255)")
        browser.picture(PICTURES / f"page-{screen}.png")


def by_keyboard(browser, kernel, base):
    check.part("keyboard")
    browser.open(base, 1280, 900)
    # What is scrolled to is there at once.
    browser("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.wait("document.getElementById('state').innerText === 'live'")
    stops = []
    for _ in range(40):
        browser.press("Tab")
        stop = browser.ask("""(() => {
            const one = document.activeElement, box = one.getBoundingClientRect();
            return one === document.body ? null : {
                name: one.id || one.getAttribute('aria-label') || one.innerText, marked: getComputedStyle(one).outlineStyle !== 'none',
                seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0}
        })()""")
        if stop is None or stops and stop["name"] == stops[0]["name"]:
            break
        stops.append(stop)
    names = [stop["name"] for stop in stops]
    check.equal("the way begins with", names[:4], ["To the content", "pause", "scheme", "Rates"])
    check.that("and passes every list that can be scrolled",
               {"Processes", "Connections", "Peers"} <= set(names[4:]) and names.count("Processes") == 2, names)
    check.equal("where one is can always be seen", [stop["name"] for stop in stops if not stop["marked"] or not stop["seen"]], [])

    browser.open(base, 1280, 900)
    browser.wait("document.getElementById('state').innerText === 'live'")
    browser.press("Tab")
    browser.press("Enter", "\r")
    check.equal("past the beginning", browser.ask("document.activeElement.id"), "main")
    browser.ask("document.getElementById('pause').focus()")
    browser.press(" ", " ")
    check.equal("a space pauses", (browser.ask("document.getElementById('pause').getAttribute('aria-pressed')"),
                                   text_of(browser, "state")), ("true", "paused"))
    before = browser.ask(tile("Received"))
    kernel.bytes_per_second = 7_000_000
    sent = browser.messages("points")
    end = time.monotonic() + PATIENCE
    while browser.messages("points") < sent + 4 and time.monotonic() < end:
        browser.ask("1")
        time.sleep(0.05)
    check.that("what comes meanwhile", browser.messages("points") >= sent + 4)
    check.equal("is not shown", browser.ask(tile("Received")), before)
    browser.press(" ", " ")
    check.equal("nor missing afterwards", browser.ask("document.querySelectorAll('#bytes-plot polyline').length"), 3)
    check.that("until another one", browser.wait(f"{tile('Received')} === '7.00 MB/s'"), browser.ask(tile("Received")))
    browser.ask("document.getElementById('scheme').focus()")
    browser.press("Enter", "\r")
    check.equal("the other button makes it dark", browser.ask("getComputedStyle(document.body).backgroundColor"), "rgb(20, 23, 26)")
    browser.press("Enter", "\r")
    check.equal("and light again", browser.ask("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")


def gone_and_back(browser, port, base):
    check.part("mutexd ends and comes back")
    mutexd("stop")
    check.that("the page says so", browser.wait("document.getElementById('state').innerText.startsWith('mutexd does not answer')"))
    check.equal("in another color", browser.ask("document.getElementById('state').className"), "bad")
    start(port)
    check.that("it asks for a link when mutexd has forgotten it", browser.wait(
        "document.getElementById('state').innerText === 'mutexd wants to know who looks: run mutexctl page'"), text_of(browser, "state"))
    let_in(browser, base, by_file=True)
    check.that("and goes on with it", browser.wait("document.getElementById('state').innerText === 'live'"), text_of(browser, "state"))
    shutil.rmtree(HOST / "proc")
    check.that("without the module it says so", browser.wait("document.getElementById('state').innerText.startsWith('MUTEX is not loaded')"),
               text_of(browser, "state"))
    browser.picture(PICTURES / "page-without-module.png", whole=False)


def main():
    shutil.rmtree(HOST, ignore_errors=True)
    kernel = Kernel()
    kernel.start()
    port = start()
    told = [tell(kind="error", peer="alice", message=f"handshake: {HOSTILE}"), tell(kind="backup:done", message="42 files")]
    check.equal("events are handed over", told, [True, True])
    base = f"http://127.0.0.1:{port}/"
    browser = Browser()
    browser.instead(f"{base}api/v1/peers", json.dumps({"schema_version": 1, "peers": peers()}).encode())
    try:
        check.part("who may look")
        browser.open(base, 1280, 900)
        check.that("not everybody", "run mutexctl page" in browser.ask("document.body.innerText"))
        let_in(browser, base)
        cookies = browser("Network.getCookies", urls=[base])["cookies"]
        check.equal("by one cookie that scripts do not see", [(one["httpOnly"], one["sameSite"]) for one in cookies], [(True, "Strict")])
        check.equal("indeed", browser.ask("document.cookie"), "")
        shown(browser, kernel, base)
        looks(browser, base)
        by_keyboard(browser, kernel, base)
        kernel.end()
        gone_and_back(browser, port, base)
    finally:
        mutexd("stop")
    browser.close()
    check.finish()


main()
