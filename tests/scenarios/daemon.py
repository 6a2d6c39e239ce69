# SPDX-License-Identifier: MIT OR Apache-2.0
"""mutexd on real traffic, scraped by a real Prometheus; killed, reloaded, on a full disk, with and without the module.

The judges are /proc/mutex, promtool, Prometheus' own answers, SQLite of Python's, and systemd's opinion of the unit.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
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
HISTORY = f"{FOLDER}/state/history.db"
SOCKET = f"{FOLDER}/diagnostics.sock"
HTTP_SOCKET = f"{FOLDER}/http.sock"
TOKEN = "only-tests-know-this-token"
ALICE = ("setpriv", "--reuid", "alice", "--regid", "alice", "--clear-groups")
TIERS = (0, 60 * 10**9, 3600 * 10**9)
DIRECTIONS = ("sent", "received", "forwarded_sent", "forwarded_received")


def run(*words, **more):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, **more)


def mutexd(*words):
    return run("mutexd", "--config", CONFIG, *words)


class Local(http.client.HTTPConnection):
    """A connection to the daemon's local socket, where root may ask everything."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        self.sock.connect(HTTP_SOCKET)


def get(path, **headers):
    """Status and body of what the daemon answers over its local socket."""
    connection = Local("localhost")
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def get_by_address(path, address=ADDRESS, **headers):
    """Status and body of what is answered at an address."""
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


def configure(more="", state=f"{FOLDER}/state", http=""):
    """`more` are sections, `http` members of that section."""
    with open(CONFIG, "w") as file:
        # A slow machine answers late, which is no failure.
        file.write(f'state_folder = "{state}"\nlog = {{ file = "{state}/log", level = "info" }}\n'
                   f'[http]\nrequest_timeout = "1m"\nsocket = "{HTTP_SOCKET}"\n{http}{more}')


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


def send(sources):
    for source in sources:
        for _ in range(10):
            source.send(bytes(1000))


def metric(name, **labels):
    """The first sample of that name with these labels."""
    return [value for has, value in samples(get("/metrics")[1], name) if labels.items() <= has.items()][0]


def diag(*words):
    return run("mutexctl", "diag", *words, "--socket", SOCKET)


def recorded():
    return metric("mutex_history_snapshots_recorded_total")


def settled(what):
    """Waits for two more snapshots: the second was begun when this was asked for already."""
    before = recorded()
    wait(what, lambda: recorded() >= before + 2)


def datagrams():
    """What the kernel says of this scenario's own connections: nobody else uses the port."""
    found = [row for row in module.table("connections") if "9000" in (row["local_port"], row["remote_port"])]
    return [sum(int(row[name]) for row in found)
            for name in ("sent_packets", "sent_bytes", "received_packets", "received_bytes")]


def arrived(number):
    wait(f"{number} datagrams have been sent and have arrived", lambda: datagrams()[::2] == [number] * 2)
    return datagrams()


def rows(sql):
    """What SQLite finds; all of it is of one moment."""
    database = sqlite3.connect(f"file:{HISTORY}?mode=ro", uri=True, timeout=300)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def tiers(what, expected):
    """Every tier has that much in groups of that port."""
    found = {tier: sums for tier, *sums in rows(
        "SELECT step_ns, sum(sent_packets), sum(sent_bytes), sum(received_packets), sum(received_bytes) "
        "FROM groups WHERE key = 'port' AND name = '9000' GROUP BY step_ns")}
    check.all_equal(what, ((f"tier of {tier // 10**9} s", found.get(tier), expected) for tier in TIERS))


def kept(sources, first, began):
    """`first` is before the history began, `began` after."""
    check.part("history")
    sent = arrived(150)
    settled("it is kept")
    tiers("every tier has what the kernel counts", sent)
    shown = run("mutexctl", "history", "--db", HISTORY, "--since", "0", "--by", "port", "--step", "1min", "--format", "json")
    mine = [one["sent_bytes"] for one in json.loads(shown.stdout)["groups"] if one["port"] == "9000"]
    check.equal("mutexctl history shows it", sum(mine), sent[1])

    os.kill(pid(), signal.SIGKILL)
    wait("it is killed", lambda: mutexd("status").returncode == 1)
    tiers("nothing that was kept is lost", sent)
    send(sources)
    unknown = [after - before for before, after in zip(sent, arrived(200))]
    done = mutexd("start")
    check.that("it starts again", done.returncode == 0, done.stderr)
    wait("the history goes on", lambda: recorded() >= 1)
    send(sources)
    sent = arrived(250)
    before = stats()
    settled("what has passed since is kept")
    sums = "step_ns, sum(sent_bytes), sum(received_bytes)"
    found = {(of, tier): both for of, tier, *both in rows(
        f"SELECT 'host', {sums} FROM host GROUP BY step_ns UNION ALL SELECT key, {sums} FROM groups GROUP BY key, step_ns")}
    after = stats()
    check.equal("tiers of the host and of three keys", len(found), len(TIERS) * 4)
    check.all_equal("all have the same sums", ((name, both, found["host", 0]) for name, both in found.items()))
    check.all_equal("they are what the host did, also while nobody looked", (
        (name, before[name] - began[name] <= sum_ <= after[name] - first[name], True)
        for name, sum_ in zip(("sent_bytes", "received_bytes"), found["host", 0])))
    # Whose traffic it was that passed while nobody looked, nobody knows.
    tiers("the port has the rest", [all_ - part for all_, part in zip(sent, unknown)])


def monitored():
    check.part("the monitor")
    before = stats()
    found = {}

    def collect():
        found.update(json.loads(get("/api/v1/monitor")[1])["collectors"])

    def value(collector, name, **labels):
        return [one["value"] for one in found[collector]["metrics"][name] if labels.items() <= one["labels"].items()][0]

    def is_collected():
        collect()
        store = value("history", "mutex_store_write_seconds")["count"]
        return (value("network", "mutex_network_traffic_bytes", direction="sent") >= before["sent_bytes"]
                and value("http", "mutex_requests") > 5 and store == value("history", "mutex_store_batches") > 0)

    wait("what has happened is collected", is_collected)
    sent = value("network", "mutex_network_traffic_bytes", direction="sent")
    check.that("the network is as the kernel says", before["sent_bytes"] <= sent <= stats()["sent_bytes"], sent)
    check.equal("no request has failed", value("http", "mutex_requests_errors"), 0)
    resident = value("resource", "mutex_resource_process_memory_bytes", kind="resident")
    check.that("its own memory", 1 << 20 < resident < 1 << 30, resident)
    check.equal("no collector has an error", [part["error"] for part in found.values() if "error" in part], [])


def asked():
    check.part("diagnostics")
    done = diag("health")
    check.that("all is well", done.returncode == 0 and "\nstatus           healthy\n" in done.stdout, done.stdout + done.stderr)
    sentence = json.dumps({"record": {"kind": "backup:done", "message": "42 files"}})
    done = run("socat", "-t", "300", "-", f"UNIX:{SOCKET}", input=sentence + "\n")
    check.that("a shell hands over an event", '"ok":true' in done.stdout, done.stdout + done.stderr)
    query = ("events", "--kind", "backup:done", "--component", "program", "--since", "1d", "--format", "json")
    events = json.loads(diag(*query).stdout)["events"]
    check.equal("it is kept with who it was", [(one["message"], one["source"]["uid"]) for one in events], [("42 files", 0)])
    over_http = run("mutexctl", "diag", *query, "--http", HTTP_SOCKET)
    check.equal("HTTP has the same", json.loads(over_http.stdout)["events"], events)
    with_token = run("mutexctl", "diag", *query, "--http", ADDRESS, "--token-file", f"{FOLDER}/token")
    check.equal("and so it has with the token", json.loads(with_token.stdout)["events"], events)
    done = run(*ALICE, "mutexctl", "diag", "health", "--socket", SOCKET)
    check.that("nobody else may ask", done.returncode == 1 and "Permission denied; ask as root" in done.stderr, done.stdout + done.stderr)


def start_prometheus():
    with open(f"{FOLDER}/prometheus.yml", "w") as file:
        file.write(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{CONTRIB}/alerts.yml]\n"
                   f"scrape_configs: [{{job_name: mutexd, authorization: {{credentials_file: {FOLDER}/token}}, static_configs: [{{targets: ['{ADDRESS}']}}]}}]\n")
    output = open(f"{FOLDER}/prometheus.log", "w")
    return subprocess.Popen(["prometheus", f"--config.file={FOLDER}/prometheus.yml", f"--web.listen-address={PROMETHEUS}",
                             f"--storage.tsdb.path={FOLDER}/tsdb"], stdout=output, stderr=output)


def query(expression):
    status, text = get_by_address(f"/api/v1/query?query={urllib.parse.quote(expression)}", PROMETHEUS)
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
    rules = json.loads(get_by_address("/api/v1/rules", PROMETHEUS)[1])["data"]["groups"][0]["rules"]
    check.all_equal("it understands the rules", ((rule["name"], rule.get("lastError", ""), "") for rule in rules))
    expressions += [rule["query"] for rule in rules]
    metadata = json.loads(get_by_address("/api/v1/metadata", PROMETHEUS)[1])["data"]
    known = {f"{name}{suffix}" for name in metadata for suffix in ("", "_total", "_bucket")} | {"up"}
    named = {name for one in expressions for name in re.findall(r"\b((?:mutexd?|process)_\w+|up)\b(?=[{\[ ]|$)", one)}
    check.that("dashboard and rules ask for what there is", len(named) > 15 and named <= known, sorted(named - known))


def without_module():
    check.part("the module goes and comes")
    words = ("mutexctl", "diag", "events", "--socket", SOCKET, "--kind", "module_available", "--follow", "--last", "0", "--count", "1")
    following = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # Who asks over the socket is counted.
    wait("somebody follows", lambda: metric("mutex_diagnostics_socket_clients") == 1)
    answered = metric("mutex_diagnostics_socket_requests_total", outcome="answered")
    wait("and has seen what there is", lambda: metric(
        "mutex_diagnostics_socket_requests_total", outcome="answered") >= answered + 2)
    module.unload()
    wait("it is missed", lambda: get("/readyz") == (200, "degraded\nnetwork degraded\nhistory degraded\n"))
    check.equal("which is no reason to be started again", get("/healthz"), (200, "ok\nnetwork degraded\nhistory degraded\n"))
    status, text = get("/api/v1/connections")
    check.that("who asks is told", status == 503 and "MUTEX is not loaded" in text, text)
    check.that("and so is a scrape", "\nmutex_module_loaded 0\n" in get("/metrics")[1])
    module.load()
    wait("it is seen", lambda: get("/readyz") == (200, "healthy\n"))
    told = following.communicate(timeout=300)[0]
    check.that("who follows is told", told.count("\n") == 1 and " info network module_available: MUTEX was loaded anew\n" in told, told)

    def kinds(component):
        lines = diag("events", "--component", component, "--format", "jsonl").stdout.splitlines()
        return [json.loads(line)["kind"] for line in lines]

    seen = kinds("network")
    check.that("it went and came", set(seen[1:-1]) == {"module_unavailable"}
               and {seen[0], seen[-1]} == {"module_available"}, seen)
    wait("the history was paused, goes on, and has found that counters begin anew", lambda: (
        set(kinds("history")) >= {"history_paused", "history_resumed", "loaded_anew"}))
    status, text = get_by_address("/api/v1/connections?filter=protocol%3Dtcp&sort=id&limit=5", Authorization=f"Bearer {TOKEN}")
    connections = json.loads(text)["connections"] if status == 200 else []
    check.that("our own question is a connection", any(c["local_port"] == 8787 for c in connections))


def reloaded():
    check.part("SIGHUP")
    configure(http="max_connections = 0\n")
    os.kill(pid(), signal.SIGHUP)
    wait("what is wrong is in the log", lambda: f"{CONFIG}:6: http.max_connections: 0 is out of range" in log())
    check.equal("and it goes on", get("/healthz"), (200, "ok\n"))
    configure("[page]\nenabled = false\n")
    check.equal("mutexd reload", mutexd("reload").returncode, 0)
    wait("what is right is taken", lambda: get("/")[0] == 404)
    configure()
    check.equal("mutexd reload", mutexd("reload").returncode, 0)
    wait("and once more", lambda: get("/")[0] == 200)


def asked_by(words, path, *more):
    """The status that somebody gets; 0 who cannot even connect."""
    done = run(*words, "curl", "-s", "-m", "300", "-o", "/dev/null", "-w", "%{http_code}", *more, f"http://{ADDRESS}{path}")
    return int(done.stdout or 0)


def disclosed():
    check.part("who may see what")
    over_socket = ("--unix-socket", HTTP_SOCKET)
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/", 403), ("/api/v1/connections", 403),
                         ("/api/v1/peers", 403), ("/api/v1/diagnostics/events", 403), ("/api/v1/stream", 403)):
        check.equal(f"alice asks for {path}", asked_by(ALICE, path), status)
    for path in ("/metrics", "/api/v1/connections"):
        check.equal(f"alice asks for {path} over the local socket", asked_by(ALICE, path, *over_socket), 0)
        check.equal(f"root asks for {path} over the local socket", asked_by((), path, *over_socket), 200)
    done = run(*ALICE, "mutexctl", "page", "--socket", HTTP_SOCKET)
    check.that("alice gets no link", done.returncode == 1 and "Permission denied; ask as root" in done.stderr, done.stderr)
    done = run("mutexctl", "page", "--socket", HTTP_SOCKET)
    link = done.stdout.strip()
    check.that("root gets one", done.returncode == 0 and link.startswith(f"http://{ADDRESS}/login?code="), done.stdout + done.stderr)
    jar = f"{FOLDER}/cookies"
    status = [asked_by((), link.removeprefix(f"http://{ADDRESS}"), "-c", jar), asked_by((), "/", "-b", jar),
              asked_by((), "/api/v1/connections", "-b", jar)]
    check.equal("and who follows it is let in", status, [200] * 3)
    check.equal("once", asked_by((), link.removeprefix(f"http://{ADDRESS}")), 403)
    os.unlink(jar)
    done = run("mutexctl", "diag", "health", "--http", HTTP_SOCKET)
    check.equal("mutexctl asks over the local socket", done.returncode, 0)
    done = run("find", f"{FOLDER}/state", HTTP_SOCKET, "-perm", "/077")
    check.equal("nothing that it has made is for anybody else", done.stdout + done.stderr, "")

    configure("[prometheus]\ntop_fds = 1\n", http='group = "alice"\n')
    mutexd("reload")
    wait("metrics that name sockets are not for everybody", lambda: asked_by(ALICE, "/metrics") == 403)
    check.equal("whose group it is may ask", [asked_by(ALICE, path, *over_socket) for path in ("/metrics", "/api/v1/connections")],
                [200] * 2)
    nobody = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
    check.equal("and nobody else", asked_by(nobody, "/metrics", *over_socket), 0)
    member = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "alice")
    check.equal("but who is a member", asked_by(member, "/api/v1/connections", *over_socket), 200)


def rotated():
    check.part("the log is rotated")
    state = f"{FOLDER}/state"
    os.rename(f"{state}/log", f"{state}/log.1")
    check.equal("mutexd reload", mutexd("reload").returncode, 0)
    wait("it goes on in a new file", lambda: "the configuration was read again" in log())
    check.equal("for its owner", oct(os.stat(f"{state}/log").st_mode & 0o777), "0o600")


def exec_shown():
    check.part("a process that executes another program")
    # A shell connects, and is something else when it is looked at.
    words = "exec 3<>/dev/tcp/127.0.0.1/8787; printf 'GET /healthz HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n' >&3; read -r _ <&3; exec sleep 1000"
    with subprocess.Popen(["bash", "-c", words]) as process:
        def shown():
            path = f"/api/v1/connections?filter=pid%3D{process.pid}&fields=pid,command"
            return json.loads(get(path)[1])["connections"]
        wait("mutexd shows what it is now", lambda: shown() == [{"pid": process.pid, "command": "sleep"}])
        check.equal("it ends", mutexd("stop").returncode, 0)
        done = run("setpriv", "--bounding-set=-sys_ptrace", "mutexd", "--config", CONFIG, "start")
        check.that("it starts as its unit has it, and cannot see what others have open", done.returncode == 0, done.stderr)
        wait("which makes no difference", lambda: shown() == [{"pid": process.pid, "command": "sleep"}])
        listed = run("mutexctl", "connections", "--filter", f"pid={process.pid}", "--fields", "command", "--format", "csv")
        check.equal("and so does mutexctl", listed.stdout.split(), ["command", "sleep"])
        process.kill()
    check.equal("it ends", mutexd("stop").returncode, 0)
    check.equal("and starts", mutexd("start").returncode, 0)


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
    with open(f"{FOLDER}/token", "w") as file:
        file.write(TOKEN)
    os.chmod(f"{FOLDER}/token", 0o600)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    module.load()
    configure("[network]\ninterval = \"1s\"\n[prometheus]\ntop_connections = 3\ntop_fds = 3\n"
              "[history]\nenabled = true\ninterval = \"1s\"\n[monitor]\ninterval = \"500ms\"\n"
              f"[diagnostics]\nsocket = \"{SOCKET}\"\n", http=f'token_file = "{FOLDER}/token"\n')
    check.part("start")
    first = stats()
    done = mutexd("start")
    check.that("it starts and is ready at once", done.returncode == 0 and get("/readyz") == (200, "healthy\n"),
               done.stdout + done.stderr)
    wait("the history begins", lambda: recorded() >= 1)
    began = stats()
    prometheus = start_prometheus()
    sockets = traffic()
    totals()
    kept(sockets[1], first, began)
    monitored()
    asked()
    scraped()
    prometheus.terminate()
    prometheus.wait()
    del sockets
    without_module()
    reloaded()
    rotated()
    disclosed()
    exec_shown()
    killed()
    check.equal("mutexd stop", mutexd("stop").returncode, 0)
    full_disk()
    unit()
    check.finish()


main()
