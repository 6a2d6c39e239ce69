# SPDX-License-Identifier: MIT OR Apache-2.0
"""One image in every format: each is read by a program of somebody else, and all say the same."""

import collections
import csv
import json
import pathlib
import subprocess
import sys

import duckdb
import prometheus_client.openmetrics.parser
import prometheus_client.parser

from lib import check
from lib.image import COUNTERS, DIRECTIONS, Image

PROJECT = pathlib.Path(sys.argv[1])
SCHEMAS = PROJECT / "userspace/mutex-stats/schema"
IMAGE = "/judged/now.bin"
TOTALS = ("before", "closed", "untracked", "after")
OF_CONNECTION = [f"{way}_{counter}" for way in ("sent", "received") for counter in COUNTERS]


def run(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode:
        check.that(" ".join(map(str, words[:4])), False, f"{done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def convert(form, name):
    run("mutexctl", "convert", IMAGE, "--to", form, "-o", name)
    return name


def totals(sets):
    """{(set, direction, counter): number} of sets of totals by their names; untracked of all reasons together."""
    found = collections.Counter()
    for which, of in sets:
        for direction in DIRECTIONS:
            for counter in COUNTERS:
                found[which.split()[0], direction, counter] += int(of[direction][counter])
    return found


def connections(rows):
    """Their number, and the sums of what they have sent and received."""
    rows = list(rows)
    return {"rows": len(rows), **{name: sum(int(row[name]) for row in rows) for name in OF_CONNECTION}}


def of_binary():
    image = Image(pathlib.Path(IMAGE).read_bytes())
    words = [("before", image.before), ("closed", image.closed), ("after", image.after),
             *((f"untracked {reason}", of) for reason, of in image.untracked.items())]
    sets = [(which, {name: one._asdict() for name, one in of.items()}) for which, of in words]
    rows = [{f"{way}_{counter}": getattr(getattr(one, way), counter) for way in ("sent", "received") for counter in COUNTERS}
            for one in image.connections]
    return totals(sets), connections(rows)


def of_object(image):
    sets = [("before", image["totals_before"]), ("closed", image["closed"]), ("after", image["totals_after"]),
            *((f"untracked {one['reason']}", one) for one in image["untracked"])]
    rows = [{f"{way}_{counter}": one[way][counter] for way in ("sent", "received") for counter in COUNTERS}
            for one in image["connections"]]
    return totals(sets), connections(rows)


def of_lines(path):
    # jq reads them, and makes of them what JSON is.
    program = ("{totals_before: first(.[] | select(.record == \"totals_before\")),"
               " totals_after: first(.[] | select(.record == \"totals_after\")),"
               " closed: first(.[] | select(.record == \"closed\")),"
               " untracked: [.[] | select(.record == \"untracked\")],"
               " connections: [.[] | select(.record == \"connection\")]}")
    return of_object(json.loads(run("jq", "--slurp", program, path)))


def of_rows(tables, rows):
    sets = collections.defaultdict(dict)
    for row in tables:
        sets[row["which"]][row["direction"]] = row
    return totals(sets.items()), connections(rows)


def of_csv(folder):
    def read(name):
        with open(f"{folder}/{name}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, strict=True))
    return of_rows(read("totals"), read("connections"))


def of_parquet(folder):
    def read(name):
        found = duckdb.sql(f"SELECT * FROM '{folder}/{name}.parquet'")
        return [dict(zip(found.columns, row)) for row in found.fetchall()]
    return of_rows(read("totals"), read("connections"))


def formats():
    check.part("totals in every format")
    mine, listed = of_binary()
    check.that("there is traffic in it", listed["rows"] > 4 and mine["after", "sent", "bytes"] > 100_000, listed)
    judged = {
        "JSON by json": of_object(json.loads(pathlib.Path(convert("json", "now.json")).read_text())),
        "JSON Lines by jq": of_lines(convert("jsonl", "now.jsonl")),
        "CSV by csv": of_csv(convert("csv", "csv")),
        "Parquet by DuckDB": of_parquet(convert("parquet", "parquet")),
    }
    for name, (found, rows) in judged.items():
        check.all_equal(f"{name}: totals", ((key, found[key], mine[key]) for key in mine))
        check.equal(f"{name}: connections", rows, listed)
    convert("binary", "again.bin")
    check.that("binary, bit for bit", pathlib.Path("again.bin").read_bytes() == pathlib.Path(IMAGE).read_bytes())


def parquet():
    check.part("Parquet")
    # The books in SQL: each number of the host is the sum of its parts, between before and after.
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNTERS)
    parts = " UNION ALL ".join(
        f"SELECT '{way}' AS direction, {', '.join(f'{way}_{name} AS {name}' for name in COUNTERS)}"
        f" FROM 'parquet/connections.parquet' WHERE NOT list_contains(string_split(coalesce(flags, ''), ','), 'forwarded')"
        for way in ("sent", "received"))
    books = duckdb.sql(
        f"SELECT direction, {sums} FROM ({parts} UNION ALL SELECT direction, {', '.join(COUNTERS)}"
        " FROM 'parquet/totals.parquet' WHERE which = 'closed' OR which LIKE 'untracked %') GROUP BY direction")
    books = {row[0]: row[1:] for row in books.fetchall()}
    ends = {(row[0], row[1]): row[2:] for row in duckdb.sql(
        f"SELECT which, direction, {', '.join(COUNTERS)} FROM 'parquet/totals.parquet'").fetchall()}
    for way in ("sent", "received"):
        low, high = ends["before", way], ends["after", way]
        check.that(f"{way}: the books balance in SQL", all(a <= b <= c for a, b, c in zip(low, books[way], high)),
                   f"{low} {books[way]} {high}")
    types = {row[0]: row[1] for row in duckdb.sql("DESCRIBE SELECT * FROM 'parquet/connections.parquet'").fetchall()}
    check.equal("types of columns", [types[name] for name in ("id", "sent_bytes", "local_address", "uid", "flags")],
                ["UBIGINT", "UBIGINT", "VARCHAR", "UBIGINT", "VARCHAR"])
    with open("csv/connections.csv", newline="", encoding="utf-8") as file:
        check.equal("columns are CSV's", list(types), next(csv.reader(file)))
    pairs = dict(duckdb.sql("SELECT decode(key), decode(value) FROM parquet_kv_metadata('parquet/fds.parquet')").fetchall())
    image = json.loads(pathlib.Path("now.json").read_text())["image"]
    check.equal("which image it is of", (pairs["schema_version"], pairs["time_ns"], pairs["boot_id"]),
                ("1", str(image["time_ns"]), image["boot_id"]))
    run("mutexctl", "connections", "--from", IMAGE, "--format", "parquet", "--filter", "protocol=tcp",
        "--sort", "sent_bytes", "--fields", "id,sent_bytes,command", "-o", "some.parquet")
    some = duckdb.sql("SELECT * FROM 'some.parquet'").fetchall()
    rows = json.loads(run("mutexctl", "connections", "--from", IMAGE, "--format", "json", "--filter", "protocol=tcp",
                          "--sort", "sent_bytes", "--fields", "id,sent_bytes,command"))["connections"]
    check.equal("some columns of some connections, in their order", some,
                [(row["id"], row["sent_bytes"], row["command"]) for row in rows])
    check.that("there are some", len(some) > 1, some)


def schemas():
    check.part("JSON by check-jsonschema")
    fits = lambda schema, *files: run("check-jsonschema", "--schemafile", schema, *files)
    pathlib.Path("lists").mkdir(exist_ok=True)
    for words in ("connections", "fds", "alerts"):
        path = pathlib.Path(f"lists/{words}.json")
        path.write_text(run("mutexctl", words, "--from", "/judged/alerts.bin", "--format", "json"))
    check.that("the image and lists", "ok" in fits(SCHEMAS / "image.schema.json", "now.json", *pathlib.Path("lists").iterdir()))
    run("mutexctl", "convert", "/judged/alerts.bin", "--to", "jsonl", "-o", "alerts.jsonl")
    for name in ("now", "alerts"):
        pathlib.Path(f"{name}.list").write_text(run("jq", "--slurp", ".", f"{name}.jsonl"))
    # A list of lines, and what their schema refers to, in one file that needs no other.
    image, line = (json.loads((SCHEMAS / f"{name}.schema.json").read_text()) for name in ("image", "line"))
    pathlib.Path("lines.schema.json").write_text(json.dumps({
        "$schema": line["$schema"], "type": "array", "items": {"$ref": line["$id"]},
        "$defs": {"image": image, "line": line}}))
    check.that("each line", "ok" in fits("lines.schema.json", "now.list", "alerts.list"))
    wrong = json.loads(pathlib.Path("now.json").read_text())
    wrong["connections"][0]["sent"]["bytes"] = "many"
    pathlib.Path("wrong.json").write_text(json.dumps(wrong))
    done = subprocess.run(["check-jsonschema", "--schemafile", str(SCHEMAS / "image.schema.json"), "wrong.json"],
                          capture_output=True, text=True)
    check.that("what does not fit is refused", done.returncode == 1 and "'many' is not of type 'integer'" in done.stdout)


def metrics():
    check.part("metrics")
    mine, _ = of_binary()
    families = {"packets": "packets", "buffers": "buffers", "traffic_bytes": "bytes", "payload_bytes": "payload"}
    wanted = {(f"mutex_{family}_total", direction): mine["after", direction, counter]
              for family, counter in families.items() for direction in DIRECTIONS}
    text = {}
    for form, parser in (("prometheus", prometheus_client.parser), ("openmetrics", prometheus_client.openmetrics.parser)):
        text[form] = pathlib.Path(convert(form, f"now.{form}")).read_text()
        found = {(sample.name, sample.labels.get("direction")): sample.value
                 for family in parser.text_string_to_metric_families(text[form]) for sample in family.samples}
        check.all_equal(f"{form} by Prometheus' library", ((key, int(found[key]), wanted[key]) for key in wanted))
    judged = subprocess.run(["promtool", "check", "metrics"], input=text["prometheus"], capture_output=True, text=True)
    check.equal("promtool has nothing to say", (judged.returncode, judged.stdout + judged.stderr), (0, ""))
    # Prometheus' own parser of OpenMetrics is behind this command, which wants times.
    timed = [line if line.startswith("#") else f"{line} 1700000000" for line in text["openmetrics"].splitlines()]
    pathlib.Path("timed").write_text("\n".join(timed) + "\n")
    run("promtool", "tsdb", "create-blocks-from", "openmetrics", "timed", "blocks")
    # A database has one, and what reads it wants it.
    pathlib.Path("blocks/wal").mkdir()
    dumped = run("promtool", "tsdb", "dump", "--sandbox-dir-root=/tmp", "blocks").splitlines()
    names = {line.split('__name__="')[1].split('"')[0] for line in dumped}
    written = {line.split("{")[0].split(" ")[0] for line in timed if not line.startswith("#")}
    check.equal("Prometheus has taken all of OpenMetrics", (len(dumped), names),
                (sum(not line.startswith("#") for line in timed), written))


formats()
parquet()
schemas()
metrics()
check.finish()
