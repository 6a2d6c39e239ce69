# SPDX-License-Identifier: MIT OR Apache-2.0
"""Bad parameters are refused with a line that says why, and nothing stays behind."""

import os
import re
import subprocess

from lib import check, module


def bad_parameters():
    before = module.mappings()
    names = subprocess.run(["modinfo", "-F", "parm", module.FILE], capture_output=True, text=True).stdout
    names = [line.split(":")[0] for line in names.splitlines()]
    check.equal("parameters", sorted(names), sorted((
        "max_connections", "max_fds", "max_alerts", "timeout_tcp", "timeout_tcp_opening", "timeout_tcp_closing",
        "timeout_one_way", "timeout_two_way", "timeout_icmp", "timeout_closed", "timeout_fd")))
    for name in names:
        table = name.startswith("max_")
        values = ["-1", "many", "4294967296", ""]
        if name == "max_alerts":
            values += ["0", "1048577"]
        else:
            values += ["15", "16777217"] if table else ["31536001"]
        if not table and name not in ("timeout_closed", "timeout_fd"):
            values.append("0")
        wrong = []
        for value in values:
            with module.LogWatch() as log:
                done = module.insmod(f"{name}={value}")
            said = [line for line in log.lines if re.search(rf"\b{name}\b", line) and "mutex" in line]
            if not done.returncode:
                wrong.append(f"'{value}' loads")
                module.unload()
            elif not said:
                wrong.append(f"'{value}': no line names the parameter: {done.stderr.strip()}")
            elif os.path.exists(module.PROC) or module.is_loaded():
                wrong.append(f"'{value}' leaves something behind")
        check.equal(f"{name}: refused, with a line that names it: {' '.join(repr(v) for v in values)}", wrong, [])
    # An unknown parameter is ignored by the kernel, which says so.
    module.insmod("max_conections=5")
    log = module.kernel_log(5)
    check.that("an unknown parameter is named", "unknown parameter 'max_conections' ignored" in log)
    module.unload()
    done = module.insmod("max_connections=16777216", "max_fds=16777216")
    check.that("tables larger than half of the memory are refused with a number",
               done.returncode and re.search(r"mutex: .*MiB.*choose fewer", module.kernel_log(5)),
               module.kernel_log(1))
    module.nothing_left("after all of it")
    check.equal("memory mappings are as before", module.mappings(), before)

    check.part("good parameters at their limits")
    for words in (["max_connections=16", "max_fds=16"], ["max_alerts=1"], ["timeout_closed=0", "timeout_fd=0"],
                  ["timeout_tcp=31536000"], ["max_connections=0x100"], ["max_connections=1000000", "max_fds=16"]):
        done = module.insmod(*words)
        check.that(f"{' '.join(words)} loads", not done.returncode, done.stderr)
        if not done.returncode:
            module.unload()
    module.nothing_left("after all of it")
    check.equal("memory mappings are as before", module.mappings(), before)


bad_parameters()
check.finish()
