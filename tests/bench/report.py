#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""From the rounds in out/bench/raw to out/bench/results.json and to the table, on the terminal and in table.md."""

import json
import os
import re
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

OUT = Path("out/bench")


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class Table:
    """All rounds, by what they measured."""

    def __init__(self, rows):
        self.rows = rows
        self.cells = defaultdict(list)
        for row in rows:
            self.cells[self.key(row)].append(row)

    @staticmethod
    def key(row):
        return tuple(sorted((k, v) for k, v in row.items() if k not in ("round", "value", "undisturbed")))

    def rounds(self, **words):
        """The values of the rows that have these words; those that the machine did not disturb, if there are any."""
        rows = [row for row in self.rows if all(row.get(key) == value for key, value in words.items())]
        rows = [row for row in rows if row.get("undisturbed", True)] or rows
        return [row["value"] for row in rows]

    def median(self, **words):
        values = self.rounds(**words)
        return median(values) if values else None

    def cell(self, digits=0, **words):
        values = self.rounds(**words)
        if not values:
            return "-"
        return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"

    def summary(self):
        for key, rows in self.cells.items():
            values = [row["value"] for row in rows]
            yield dict(key) | {"rounds": len(values), "median": median(values), "min": min(values), "max": max(values)}


def ratio(above, below):
    return above / below if above is not None and below else None


def difference(one, other):
    return one - other if one is not None and other is not None else None


def targets(table):
    """Each of the issue's targets: its name, how it is formed, what it must be, and what it is."""

    def packet(contender, flows):
        return table.median(benchmark="packets", contender=contender, flows=flows, family=4, protocol="udp",
                            what="median of batches", sockets=None)

    def own(contender, flows, without="empty hook"):
        return difference(packet(contender, flows), packet(without, flows))

    def ebpf(flows, *kinds):
        """The better of the kinds, without what making the flow's number takes."""
        costs = [difference(table.median(benchmark="ebpf", contender=kind, flows=flows),
                            table.median(benchmark="ebpf", contender="empty program", flows=flows)) for kind in kinds]
        return min((cost for cost in costs if cost is not None), default=None)

    def cpus(flows, shared):
        two = table.median(benchmark="cpus", contender="mutex", flows=flows, cpus=2, shared=shared)
        one = table.median(benchmark="cpus", contender="mutex", flows=flows, cpus=1)
        return ratio(two, one)

    def disturbed(what):
        return table.median(benchmark="reading", connections=1_000_000, what="p999", reader=what)

    def export(what, unit):
        return table.median(benchmark="reading", contender="mutex", connections=1_000_000, what=what, unit=unit)

    def entry(what, connections=1_000_000):
        return table.median(benchmark="reading", connections=connections, what=what, unit="ns an entry")

    for flows, limit, name in (1, 0.5, "1"), (256, 0.6, "256"), (1 << 20, 0.8, "1 M"):
        yield (f"MUTEX / eBPF shared hash, {name} connections", "a hook's own cost each: beyond an empty hook, beyond "
               "an empty program", "<=", limit, ratio(own("mutex", flows), ebpf(flows, "hash", "hash-grown")))
    for flows, limit, name in (1, 0.5, "1"), (256, 0.6, "256"), (1 << 20, 0.8, "1 M"):
        yield (f"the same, if eBPF takes the coarse clock, {name} connections", "as above", "<=", limit,
               ratio(own("mutex", flows), ebpf(flows, "hash-coarse")))
    for flows, limit, name in (1, 0.5, "1"), (256, 0.6, "256"), (1 << 20, 0.8, "1 M"):
        yield (f"MUTEX / the same hash in the same kernel, {name} connections", "beyond an empty hook; the time is the tick's",
               "<=", limit, ratio(own("mutex", flows), own("bpf-hash", flows)))
    yield ("MUTEX / conntrack with accounting, 256 connections", "difference to nothing", "<=", 0.2,
           ratio(own("mutex", 256, "nothing"), own("conntrack", 256, "nothing")))
    yield ("a packet when a reporter has gone / before one was there", "256 connections", "<=", 1.05,
           ratio(packet("mutex, metered before", 256), packet("mutex", 256)))
    yield ("two CPUs on different connections / one", "packets a second, 256 connections each", ">=", 1.9, cpus(256, 0))
    yield "two CPUs on one connection / one", "packets a second", ">=", 1.5, cpus(1, 1)
    for reader in "read of connections", "read of snapshot", "map of snapshot":
        yield (f"p99.9 of a packet with a reader of 1 M connections / without ({reader})", "the reader on the other CPU",
               "<=", 1.2, ratio(disturbed(f"reader by {reader}"), disturbed("no reader")))
    for what, limit in ("a binary file", 0.25), ("CSV", 1.0), ("JSON", 1.5):
        yield f"1 M connections to {what}, seconds", "mutexctl export", "<=", limit, export(f"mutexctl to {what}", "s")
        yield (f"1 M connections to {what}, MiB of memory", "its largest resident set", "<=", 64,
               export(f"mutexctl to {what}", "MiB of memory"))
    # Those that write into nothing, as conntrack does here.
    for what in "text by read", "mutexctl to JSON, into nothing":
        yield (f"conntrack -L -o xml / MUTEX's {what}, an entry", "1 M entries", ">=", 10,
               ratio(entry("conntrack -L -o xml"), entry(what)))
    yield ("iperf3 over loopback, loaded / unloaded", "throughput", ">=", 0.98,
           ratio(table.median(benchmark="programs", contender="mutex", what="iperf3 over loopback", unit="Gbit/s"),
                 table.median(benchmark="programs", contender="nothing", what="iperf3 over loopback", unit="Gbit/s")))


def judged(table):
    for name, how, sign, limit, value in targets(table):
        if value is None:
            verdict = "not measured"
        else:
            verdict = "met" if (value <= limit if sign == "<=" else value >= limit) else "missed"
        yield {"name": name, "how": how, "target": f"{sign} {limit}", "value": value, "verdict": verdict}


def grid(title, columns, rows):
    """A table that reads well as text and as Markdown."""
    cells = [[title, *columns], *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = []
    for number, row in enumerate(cells):
        lines.append("| " + " | ".join(text.ljust(width) if i == 0 else text.rjust(width)
                                       for i, (text, width) in enumerate(zip(row, widths))) + " |")
        if number == 0:
            lines.append("|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":")
                                        for i, width in enumerate(widths)) + "|")
    return "\n".join(lines) + "\n"


def names(table, benchmark):
    return list(dict.fromkeys(row["contender"] for row in table.rows if row["benchmark"] == benchmark))


def sizes(table, benchmark, key="flows"):
    return sorted({row[key] for row in table.rows if row["benchmark"] == benchmark and key in row})


def size(number):
    return f"{number:,}".replace(",", " ")


def sections(table):
    """The tables, each under its title."""
    flows = sizes(table, "packets")
    if flows:
        yield "A packet through the hooks, ns", grid(
            "UDP over IPv4, connections", [size(n) for n in flows],
            [[name] + [table.cell(1, benchmark="packets", contender=name, flows=n, family=4, protocol="udp",
                                  what="median of batches", sockets=None) for n in flows]
             for name in names(table, "packets")])
        yield "The same, all of the CPU's time", grid(
            "UDP over IPv4, connections", [size(n) for n in flows],
            [[name] + [table.cell(1, benchmark="packets", contender=name, flows=n, family=4, protocol="udp",
                                  what="mean", sockets=None) for n in flows]
             for name in names(table, "packets")])
        kinds = [("UDP, IPv6", {"family": 6, "protocol": "udp", "flows": 256, "sockets": None}),
                 ("TCP, IPv4", {"family": 4, "protocol": "tcp", "flows": 256, "sockets": None}),
                 ("TCP, IPv6", {"family": 6, "protocol": "tcp", "flows": 256, "sockets": None}),
                 ("TCP, a sample each, 1", {"family": 4, "protocol": "tcp", "flows": 1, "sockets": 1}),
                 ("TCP, a sample each, 256", {"family": 4, "protocol": "tcp", "flows": 256, "sockets": 1})]
        yield "Other packets, ns", grid(
            "256 connections", [name for name, _ in kinds],
            [[name] + [table.cell(1, benchmark="packets", contender=name, what="median of batches", **words)
                       for _, words in kinds] for name in names(table, "packets")])
        yield "Single packets, ns (with the 22 that taking a time takes)", grid(
            "UDP over IPv4", [f"{size(n)}: {q}" for n in flows if table.rounds(benchmark="packets", what="p50", flows=n)
                              for q in ("p50", "p99", "p99.9")],
            [[name] + [table.cell(0, benchmark="packets", contender=name, what=q, flows=n)
                       for n in flows if table.rounds(benchmark="packets", what="p50", flows=n)
                       for q in ("p50", "p99", "p999")] for name in names(table, "packets")])
    flows = sizes(table, "ebpf")
    if flows:
        yield "eBPF on the machine itself, ns (the empty program included)", grid(
            "connections", [size(n) for n in flows],
            [[name] + [table.cell(0, benchmark="ebpf", contender=name, flows=n) for n in flows]
             for name in names(table, "ebpf")])
    elif Path(OUT / "raw/ebpf.jsonl").exists():
        yield "eBPF", "Skipped: this machine does not let its programs be loaded or run.\n"
    if names(table, "cpus"):
        cases = [(n, cpus, shared) for n in sizes(table, "cpus") for cpus, shared in ((1, 0), (2, 0), (2, 1))]
        yield "Two CPUs, million packets a second", grid(
            "connections a CPU", [f"{n}: " + {(1, 0): "one CPU", (2, 0): "two, own", (2, 1): "two, same"}[c, s]
                                  for n, c, s in cases],
            [[name] + [table.cell(2, benchmark="cpus", contender=name, flows=n, cpus=c, shared=s) for n, c, s in cases]
             for name in names(table, "cpus")])
    if names(table, "churn"):
        yield "Churn", grid("TCP connections opened and reset", ["thousand a second"], [
            [name, table_thousands(table, name)] for name in names(table, "churn")])
    numbers = [n for n in sizes(table, "reading", "connections") if n in (1000, 100_000, 1_000_000)]
    if numbers:
        whats = list(dict.fromkeys(row["what"] for row in table.rows if row.get("unit") == "ns an entry"))
        yield "Reading, ns an entry", grid("entries", [size(n) for n in numbers] + ["4 000"], [
            [what] + [table.cell(0, benchmark="reading", what=what, unit="ns an entry", connections=n)
                      for n in [*numbers, 4000]] for what in whats])
        exports = [what for what in whats if what.startswith("mutexctl")]
        yield "mutexctl, the largest number", grid("export", ["s", "MiB of memory", "MB written"], [
            [what] + [table.cell(digits, benchmark="reading", what=what, unit=unit, connections=numbers[-1])
                      for digits, unit in ((2, "s"), (1, "MiB of memory"), (0, "MB"))] for what in exports])
        readers = list(dict.fromkeys(row["reader"] for row in table.rows if "reader" in row))
        yield "A packet while all connections are read without pause, ns", grid("the other CPU", ["p50", "p99", "p99.9"], [
            [reader] + [table.cell(0, benchmark="reading", reader=reader, what=q) for q in ("p50", "p99", "p999")]
            for reader in readers])
    if names(table, "pktgen"):
        yield "pktgen end to end, forwarded: ns of the CPU a packet", grid(
            "connections", [size(n) for n in sizes(table, "pktgen")],
            [[name] + [table.cell(0, benchmark="pktgen", contender=name, flows=n) for n in sizes(table, "pktgen")]
             for name in names(table, "pktgen")])
    if names(table, "programs"):
        columns = [("iperf3 over loopback", "Gbit/s", 2), ("iperf3 over loopback", "ns of the kernel a GB", 0),
                   ("nginx asked by wrk", "requests/s", 0), ("nginx asked by wrk", "ns of the kernel a request", 0)]
        yield "Whole programs", grid("", [f"{what}, {unit}" for what, unit, _ in columns], [
            [name] + [table.cell(digits, benchmark="programs", contender=name, what=what, unit=unit)
                      for what, unit, digits in columns] for name in names(table, "programs")])


def table_thousands(table, name):
    values = [value / 1000 for value in table.rounds(benchmark="churn", contender=name)]
    return f"{median(values):.0f} ({min(values):.0f}..{max(values):.0f})"


def machine():
    cpuinfo = Path("/proc/cpuinfo").read_text()
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)
    return {
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": re.search(r"model name\s*: (.*)", cpuinfo).group(1),
        "processors": os.cpu_count(),
        "virtual": "hypervisor" in cpuinfo,
        "memory_mib": int(memory) // 1024,
        "kernel": os.environ["HOST_KERNEL"],
        "uml_kernel": os.environ["KERNEL"],
        "commit": os.environ["COMMIT"],
        "load_average": Path("/proc/loadavg").read_text().split()[:3],
        "took_seconds": int(os.environ["TOOK"]),
        "quick": bool(os.environ.get("QUICK")),
    }


def main():
    rows = [json.loads(line) for path in sorted((OUT / "raw").glob("*.jsonl")) for line in path.read_text().splitlines()]
    table = Table(rows)
    verdicts = list(judged(table))
    about = machine()
    (OUT / "results.json").write_text(json.dumps(
        {"schema": 1, "machine": about, "targets": verdicts, "medians": list(table.summary()), "rounds": rows}, indent=1))
    text = [f"{about['time']}, {about['processor']}, {about['processors']} processors"
            f"{' (virtual)' if about['virtual'] else ''}, {about['memory_mib']} MiB, Linux {about['kernel']}; User Mode "
            f"Linux {about['uml_kernel']}; MUTEX at {about['commit']}; load at the end {about['load_average'][0]}; "
            f"{about['took_seconds']} s{'; quick' if about['quick'] else ''}.\n"
            "Each number is the median of all rounds, with the least and the most.\n"]
    for title, content in sections(table):
        text.append(f"### {title}\n\n{content}")
    text.append("### Targets\n\n" + grid("target", ["must be", "is", ""], [
        [each["name"], each["target"], "-" if each["value"] is None else f"{each['value']:.3g}", each["verdict"]]
        for each in verdicts]))
    text = "\n".join(text)
    (OUT / "table.md").write_text(text)
    print(text)


main()
