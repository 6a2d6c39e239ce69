# SPDX-License-Identifier: MIT OR Apache-2.0
"""/proc/mutex/config: what it shows, what it takes, what it refuses and who may write."""

import errno
import os
import pwd
import re
import socket
import subprocess
import sys
import time

from lib import check, module, net, traffic

PATH = f"{module.PROC}/config"
YEAR, DAY, HOUR_NS, TERABYTE = 31_536_000, 86_400, 3_600_000_000_000, 10 ** 12
TIMEOUTS = {"timeout_tcp": 7440, "timeout_tcp_opening": 120, "timeout_tcp_closing": 240, "timeout_one_way": 30,
            "timeout_two_way": 180, "timeout_icmp": 30, "timeout_closed": 5, "timeout_fd": 60}
# The largest value of a threshold.
KINDS = {"latency": HOUR_NS, "error_rate": 10_000, "retransmission_rate": 10_000, "drop_rate": 10_000,
         "bandwidth_in": TERABYTE, "bandwidth_out": TERABYTE}
# Writes in vain, by a program that is told the path and the text.
WRITE = "import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY), sys.argv[2].encode())"
LATE = 3.0


def documented():
    """Every key in its order: default, smallest and largest value (None for a word)."""
    keys = {name: (default, 0 if name in ("timeout_closed", "timeout_fd") else 1, YEAR)
            for name, default in TIMEOUTS.items()}
    rules = {f"{scope}_{kind}": (0, most, "warning")
             for scope in ("connection", "fd", "global") for kind, most in KINDS.items()}
    rules["global_table_fill"] = (9000, 10_000, "critical")
    for rule, (default, most, severity) in rules.items():
        keys[f"alert_{rule}"] = (default, 0, most)
        keys[f"alert_{rule}_severity"] = (severity, None, None)
        keys[f"alert_{rule}_hysteresis"] = (10, 0, 100)
        keys[f"alert_{rule}_interval"] = (10, 0, DAY)
    keys["alert_minimum_packets"] = (20, 1, 1_000_000)
    keys["events_buffer"] = (4096, 64, 65536)
    keys["quota_netns"] = (50, 1, 100)
    keys["quota_first_netns"] = (25, 0, 99)
    keys["alert_limit"] = (100, 0, 1_000_000)
    return keys


def text():
    return module.read("config").decode()


def values():
    return dict(line.split(" ") for line in text().splitlines())


def write(words):
    """What a write of that text says: 0 or the name of the error."""
    data = words if isinstance(words, bytes) else words.encode()
    fd = os.open(PATH, os.O_WRONLY)
    try:
        return 0 if os.write(fd, data) == len(data) else "short"
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(fd)


def shows(keys):
    check.part("what it shows")
    expected = ["format 1", *(f"{key} {default}" for key, (default, _, _) in keys.items())]
    check.equal("every key with its default, in its order", text().splitlines(), expected)


def refuses(keys):
    check.part("what it refuses")
    bad = [("no_such_key 1", "no_such_key"), ("timeout_tcp", "timeout_tcp"), ("timeout_tcp 1 2", "timeout_tcp"),
           ("timeout_tcp many", "timeout_tcp"), ("timeout_tcp -1", "timeout_tcp"), ("timeout_tcp 0x10", "timeout_tcp"),
           ("timeout_tcp 1.5", "timeout_tcp"), ("timeout_tcp +5", "timeout_tcp"),
           ("timeout_tcp 99999999999999999999999", "timeout_tcp"), ("events_buffer 100", "events_buffer"),
           ("alert_fd_latency_severity bad", "alert_fd_latency_severity"),
           ("alert_fd_latency_severity 2", "alert_fd_latency_severity"),
           ("timeout_fd 7\ntimeout_fd 8", "timeout_fd"), ("timeout_fd 7\ntimeout_fd 7", "timeout_fd"),
           (b"timeout_fd 7\ntimeout_tcp \xff\xfe", "timeout_tcp"), ("format 2", "format"),
           ("timeout_icmp 9\nalert_fd_latency 5\nno_such_key 1\ntimeout_fd 7\n", "no_such_key"),
           ("timeout_fd 7\n" * 400, "4096 bytes"), ("#" * 5000, "4096 bytes")]
    for key, (_, least, most) in keys.items():
        if most is None:
            bad.append((f"{key} worst", key))
        else:
            bad.append((f"{key} {most + 1}", key))
            if least:
                bad.append((f"{key} {least - 1}", key))
    before = text()
    check.all_equal("refused, and nothing is changed",
                    ((f"{one[:40]!r}", (write(one), text() == before), ("EINVAL", True)) for one, _ in bad))
    # A burst of lines every few seconds; wait for a new one.
    wrong = []
    for one, word in bad[:19]:
        for _ in range(20):
            with module.LogWatch() as log:
                write(one)
            said = [line for line in log.lines if "mutex: config:" in line]
            if said:
                break
            time.sleep(0.5)
        if len(said) != 1 or not re.search(rf"\b{word}\b", said[0]):
            wrong.append((one[:40], said))
    check.equal("one line names what is wrong, of each of 19", wrong, [])
    time.sleep(5.5)  # Until a new burst is allowed.
    with module.LogWatch() as log:
        for number in range(100):
            write(f"bad_key_{number} 1")
    said = [line for line in log.lines if "mutex: config:" in line]
    check.that("100 bad writes are few lines", 1 <= len(said) <= 20, f"{len(said)} lines")
    check.equal("nothing of all that is set", text(), before)


def takes(keys):
    check.part("what it takes")
    default = text()
    pairs = []
    for key, (was, least, most) in keys.items():
        for value in ("info", "error", "critical", "warning") if most is None else (least, most):
            pairs.append((f"{key} {value}", (write(f"{key} {value}\n"), values()[key]), (0, str(value))))
        pairs.append((f"{key} {was}", write(f"{key} {was}"), 0))
    check.all_equal("each key takes its smallest and largest value, each severity", pairs)
    check.equal("and the defaults again", text(), default)
    several = "# several\n\nformat 1\n  timeout_tcp   11 # seconds\nalert_connection_latency 5000000\nevents_buffer 128"
    check.equal("several lines, a comment, blanks", write(several), 0)
    expected = dict(line.split(" ") for line in default.splitlines())
    expected.update(timeout_tcp="11", alert_connection_latency="5000000", events_buffer="128")
    check.equal("change what they name and nothing else", values(), expected)
    changed = text()
    check.equal("the text fed back", (write(changed), text()), (0, changed))
    check.equal("the first text fed back", (write(default), text()), (0, default))
    longest = "\n".join(f"{key} {'critical' if most is None else most}" for key, (_, _, most) in keys.items())
    check.equal("the longest values fit one write", (write(longest), write(text()), write(default)), (0, 0, 0))


def acts():
    check.part("timeouts act at run time")
    a, b = net.Namespace("a"), net.Namespace("b")
    net.veth(a, "va", b, "vb")
    net.address(a, "va", "10.0.0.1/24")
    net.address(b, "vb", "10.0.0.2/24")
    for host, link in ((a, "va"), (b, "vb")):
        host.sysctl("ipv6/conf/all/disable_ipv6", 1)
        net.up(host, link)

    def ended(protocol):
        return [c for c in module.image().connections if c.protocol == protocol and c.netns == a.inode and c.closed]

    with b.inside():
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("10.0.0.2", 7))
    with a.inside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.sendto(b"x", ("10.0.0.2", 7))
    time.sleep(2.5)
    check.equal("with the defaults it stays open", ended(17), [])
    write("timeout_one_way 1\ntimeout_closed 3600")
    check.that("timeout_one_way 1 ends an idle UDP connection", traffic.wait_for(lambda: ended(17), 2 + LATE))
    check.equal("as timed out", [sorted(c.flags) for c in module.image().connections if c.protocol == 17], [["timed-out"]] * 2)
    write("timeout_one_way 30\ntimeout_closed 1")
    gone = lambda: not any(c.protocol == 17 for c in module.image().connections)
    check.that("timeout_closed 1 takes it away", traffic.wait_for(gone, 2 + LATE))
    one.sendto(b"x", ("10.0.0.2", 7))
    sink.sendto(b"y", ("10.0.0.1", one.getsockname()[1]))
    a.sh("ping", "-c", "1", "10.0.0.2")
    write("timeout_closed 3600\ntimeout_icmp 1")
    check.that("timeout_icmp 1 ends a ping", traffic.wait_for(lambda: ended(1), 2 + LATE))
    check.equal("and not UDP", ended(17), [])
    write("timeout_two_way 1")
    check.that("timeout_two_way 1 ends an answered UDP connection", traffic.wait_for(lambda: ended(17), 2 + LATE))
    listener = traffic.tcp_listener(b, "10.0.0.2", 80)
    client = traffic.tcp_connect(a, "10.0.0.2", 80)
    time.sleep(1.5)
    check.equal("TCP stays open", ended(6), [])
    write("timeout_tcp 1")
    check.that("timeout_tcp 1 ends it", traffic.wait_for(lambda: ended(6), 2 + LATE))
    write("timeout_fd 1\ntimeout_closed 0")
    for end in (client, listener, one, sink):
        end.close()
    check.that("timeout_closed 0 and timeout_fd 1 empty the tables",
               traffic.wait_for(lambda: not module.image().connections and not module.image().fds, 4 + LATE))
    for host in (a, b):
        host.delete()


def privileges():
    check.part("who may write")
    before = text()
    program = [sys.executable, "-c", WRITE, PATH, "timeout_tcp 5"]
    weak = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    done = subprocess.run([*weak, *program], capture_output=True, text=True)
    check.that("root without CAP_NET_ADMIN may not", "Operation not permitted" in done.stderr, done.stderr.strip().split("\n")[-1])
    done = subprocess.run([*weak, "cat", PATH], capture_output=True, text=True)
    check.equal("but reads it", done.stdout, before)
    alice = pwd.getpwnam("alice")
    for words in (["cat", PATH], program):
        done = subprocess.run(words, capture_output=True, text=True, user=alice.pw_uid, group=alice.pw_gid,
                              extra_groups=[])
        check.that(f"alice does not open it: {words[0]}", done.returncode and "Permission denied" in done.stderr,
                   done.stderr.strip().split("\n")[-1])
    done = subprocess.run(["unshare", "--net", *program], capture_output=True, text=True)
    check.equal("nothing was changed, but by root in a namespace of its own", (done.returncode, values()["timeout_tcp"]),
                (0, "5"))
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", *program], capture_output=True, text=True)
    check.that("root of a user namespace may not", done.returncode, done.stderr.strip().split("\n")[-1])
    write(before)
    check.equal("all is as before", text(), before)


def main():
    module.load()
    keys = documented()
    shows(keys)
    refuses(keys)
    takes(keys)
    privileges()
    acts()
    module.audit()
    module.unload()
    check.part("parameters set the same keys")
    given = {name: 3 + number for number, name in enumerate(TIMEOUTS)}
    module.load(**given)
    now = values()
    check.all_equal("of the module", ((name, now[name], str(value)) for name, value in given.items()))
    check.equal("all others have their defaults", {key: now[key] for key in keys if key not in given},
                {key: str(keys[key][0]) for key in keys if key not in given})
    module.audit("again")
    module.unload()
    check.finish()


main()
