# SPDX-License-Identifier: MIT OR Apache-2.0
"""mutexd on real traffic, scraped by a real Prometheus; killed, reloaded, on a full disk, with and without the module.

The judges are /proc/mutex, promtool, Prometheus' own answers, and systemd's opinion of the unit.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from lib import check, module, net, pace

FOLDER = "/tmp/daemon"
CONTRIB = "/work/contrib"
ADDRESS = "127.0.0.1:8787"
PROMETHEUS = "127.0.0.1:9090"
CONFIG = f"{FOLDER}/mutexd.toml"
OPEN_METRICS = "application/openmetrics-text;version=1.0.0"
DIRECTIONS = ("sent", "received", "forwarded_sent", "forwarded_received")


def run(*words, **more):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, **more)


def mutexd(*words):
    return run("mutexd", "--config", CONFIG, *words)


def get(path, address=ADDRESS, **headers):
    """Status and body."""
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait(what, condition, seconds=60):
    deadline = time.monotonic() + seconds * pace.LONGER
    while True:
        try:
            found = condition()
        except (OSError, ValueError, KeyError, IndexError):
            found = None
        if found or time.monotonic() > deadline:
            return check.that(what, found)
        time.sleep(0.1)


def configure(more="", state=f"{FOLDER}/state"):
    # A slow machine answers late, which is no failure.
    if "[http]" not in more:
        more = f'[http]\nrequest_timeout = "1m"\n{more}'
    with open(CONFIG, "w") as file:
        file.write(f'state_folder = "{state}"\nlog = {{ file = "{state}/log", level = "info" }}\n{more}')


def log(state=f"{FOLDER}/state"):
    with open(f"{state}/log") as file:
        return file.read()


def pid():
    return int(open(f"{FOLDER}/state/mutexd.pid").read())


def stats():
    with open(f"{module.PROC}/stats") as file:
        return {key: int(value) for key, value in map(str.split, file)}


def samples(text, name):
    """Labels and value of each sample of that name."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.M)
    return [(dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value)) for labels, value in found]


def by_direction(text, name):
    sums = dict.fromkeys(DIRECTIONS, 0)
    for labels, value in samples(text, name):
        sums[labels["direction"]] += int(value)
    return sums


def traffic():
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24")
    net.address(b, "vb", "10.0.0.2/24")
    net.up(a, "va")
    net.up(b, "vb")
    net.settle(a, b)
    with b.inside():
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("10.0.0.2", 9000))
    with a.inside():
        sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
    for number, source in enumerate(sources):
        source.connect(("10.0.0.2", 9000))
        for _ in range(10 * (number + 1)):
            source.send(bytes(1000))
    return sink, sources


def totals():
    check.part("metrics")
    before = stats()
    status, text = get("/metrics")
    after = stats()
    check.equal("a scrape is answered", status, 200)
    check.all_equal("traffic is what the kernel says", (
        (direction, before[f"{direction}_bytes"] <= value <= after[f"{direction}_bytes"], True)
        for direction, value in by_direction(text, "mutex_traffic_bytes_total").items()))
    check.that("something has passed", by_direction(text, "mutex_traffic_bytes_total")["sent"] > 150_000)
    done = run("promtool", "check", "metrics", input=text)
    check.that("promtool has nothing to say", done.returncode == 0 and not done.stderr and not done.stdout,
               done.stdout + done.stderr)
    _, open_text = get("/metrics", Accept=OPEN_METRICS)
    check.that("OpenMetrics has its end", open_text.endswith("\n# EOF\n") and "# EOF" not in text)
    for family in ("mutex_top_connection_bytes", "mutex_top_fd_bytes"):
        check.equal(f"{family} add up to the host", by_direction(text, family),
                    by_direction(text, "mutex_traffic_bytes_total"))
        check.equal(f"{family}: so many", len({labels["id"] for labels, _ in samples(text, family)}), 4)


def start_prometheus():
    with open(f"{FOLDER}/prometheus.yml", "w") as file:
        file.write(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{CONTRIB}/alerts.yml]\n"
                   f"scrape_configs: [{{job_name: mutexd, static_configs: [{{targets: ['{ADDRESS}']}}]}}]\n")
    output = open(f"{FOLDER}/prometheus.log", "w")
    return subprocess.Popen(["prometheus", f"--config.file={FOLDER}/prometheus.yml", f"--web.listen-address={PROMETHEUS}",
                             f"--storage.tsdb.path={FOLDER}/tsdb"], stdout=output, stderr=output)


def query(expression):
    status, text = get(f"/api/v1/query?query={urllib.parse.quote(expression)}", PROMETHEUS)
    answer = json.loads(text)
    if status != 200:
        return answer["error"]
    return [float(one["value"][1]) for one in answer["data"]["result"]]


def scraped():
    check.part("a real Prometheus")
    if not wait("it scrapes", lambda: query('up{job="mutexd"}') == [1.0], 120):
        print(open(f"{FOLDER}/prometheus.log").read())
        return
    wait("as OpenMetrics", lambda: query('mutexd_scrapes_total{format="openmetrics"}')[0] >= 2)
    check.equal("it finds the totals", len(query("mutex_traffic_bytes_total")), len(DIRECTIONS))
    with open(f"{CONTRIB}/dashboard.json") as file:
        panels = json.load(file)["panels"]
    expressions = [target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*")
                   for panel in panels for target in panel["targets"]]
    check.all_equal("it understands the dashboard", ((one, isinstance(query(one), list), True) for one in expressions))
    rules = json.loads(get("/api/v1/rules", PROMETHEUS)[1])["data"]["groups"][0]["rules"]
    check.all_equal("it understands the rules", ((rule["name"], rule.get("lastError", ""), "") for rule in rules))
    expressions += [rule["query"] for rule in rules]
    metadata = json.loads(get("/api/v1/metadata", PROMETHEUS)[1])["data"]
    known = {f"{name}{suffix}" for name in metadata for suffix in ("", "_total", "_bucket")} | {"up"}
    named = {name for one in expressions for name in re.findall(r"\b((?:mutexd?|process)_\w+|up)\b(?=[{\[ ]|$)", one)}
    check.that("dashboard and rules ask for what there is", len(named) > 15 and named <= known, sorted(named - known))


def without_module():
    check.part("the module goes and comes")
    module.unload()
    wait("it is missed", lambda: get("/readyz") == (200, "degraded\n"))
    status, text = get("/api/v1/connections")
    check.that("who asks is told", status == 503 and "MUTEX is not loaded" in text, text)
    check.that("and so is a scrape", "\nmutex_module_loaded 0\n" in get("/metrics")[1])
    module.load()
    wait("it is seen", lambda: get("/readyz") == (200, "healthy\n"))
    connections = json.loads(get("/api/v1/connections?filter=protocol%3Dtcp&sort=id&limit=5")[1])["connections"]
    check.that("our own question is a connection", any(c["local_port"] == 8787 for c in connections))


def reloaded():
    check.part("SIGHUP")
    configure("[http]\nmax_connections = 0\n")
    os.kill(pid(), signal.SIGHUP)
    wait("what is wrong is in the log", lambda: f"{CONFIG}:4: http.max_connections: 0 is out of range" in log())
    check.equal("and it goes on", get("/healthz"), (200, "ok\n"))
    configure("[page]\nenabled = false\n")
    check.equal("mutexd reload", mutexd("reload").returncode, 0)
    wait("what is right is taken", lambda: get("/")[0] == 404)


def killed():
    check.part("kill -9")
    old = pid()
    os.kill(old, signal.SIGKILL)
    wait("it is gone", lambda: mutexd("status").returncode == 1)
    done = mutexd("start")
    check.that("it starts again", done.returncode == 0 and pid() != old and get("/readyz")[1] == "healthy\n",
               done.stderr)


def full_disk():
    check.part("a full disk")
    disk = f"{FOLDER}/disk"
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        configure(state=disk)
        check.equal("it starts", mutexd("start").returncode, 0)
        with open(f"{disk}/rest", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        number = int(open(f"{disk}/mutexd.pid").read())
        for _ in range(5):
            os.kill(number, signal.SIGHUP)
            time.sleep(0.1)
        wait("it reads its configuration", lambda: samples(get("/metrics")[1], "mutexd_reloads_total")[0][1] >= 1)
        check.equal("it answers", get("/readyz")[0], 200)
        done = mutexd("stop")
        check.that("it ends", done.returncode == 0, done.stderr)
        done = mutexd("start")
        check.that("it starts where no byte can be written", done.returncode == 0 and get("/readyz")[0] == 200, done.stderr)
        check.that("and knows that it runs", "runs already" in mutexd("start").stderr)
    finally:
        subprocess.run(["sh", "-c", "kill $(pidof mutexd)"])
        wait("it ends", lambda: run("pidof", "mutexd").returncode == 1)
        subprocess.run(["umount", disk])


def unit():
    check.part("the unit")
    shutil.copy(f"{CONTRIB}/mutexd.service", FOLDER)
    done = run("systemd-analyze", "verify", "--man=no", f"{FOLDER}/mutexd.service")
    complaints = [line for line in done.stderr.splitlines() if "mutexd" in line]
    check.that("systemd has nothing to say", not complaints, done.stderr)
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=25", f"{FOLDER}/mutexd.service")
    last = (done.stdout.strip().splitlines() or [""])[-1]
    check.that("its exposure is at most 2.5", done.returncode == 0, last + done.stderr)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.mkdir(FOLDER)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    module.load()
    configure("[network]\ninterval = \"1s\"\n[prometheus]\ntop_connections = 3\ntop_fds = 3\n")
    check.part("start")
    done = mutexd("start")
    check.that("it starts and is ready at once", done.returncode == 0 and get("/readyz") == (200, "healthy\n"),
               done.stdout + done.stderr)
    prometheus = start_prometheus()
    kept = traffic()
    totals()
    scraped()
    prometheus.terminate()
    prometheus.wait()
    del kept
    without_module()
    reloaded()
    killed()
    check.equal("mutexd stop", mutexd("stop").returncode, 0)
    full_disk()
    unit()
    check.finish()


main()
