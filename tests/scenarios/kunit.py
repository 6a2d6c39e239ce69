# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: uml-debug debug
"""The module's own tests inside the kernel (module/sys/kunit.c and kunit.rs): each case is one here.

A build of the module that registers nothing but what a case registers runs them as it is loaded.
"""

import os
import re

from lib import check, module, pace

TESTING = "/work/mutex-kunit.ko"
RESULTS = "/sys/kernel/debug/kunit"
# A case that is not run is missed.
CASES = {"mutex_hooks": 7, "mutex_probes": 9, "mutex_work": 2, "mutex_files": 10, "mutex_pinning": 3,
         "mutex_memory": 3, "mutex_module": 3, "mutex_places": 3}
NO_KPROBES = "SKIP this kernel has no kprobes"
CASE = re.compile(r"    (ok|not ok) (\d+) (\S+)(?: # (SKIP .*))?")


def cases(text):
    """(name, whether it passed, what it said) of each case of a suite's results."""
    found, said = [], []
    for line in text.splitlines():
        match = CASE.fullmatch(line)
        if match:
            result, _, name, skipped = match.groups()
            found.append((name, result == "ok" and not skipped, skipped or "; ".join(said)))
            said = []
        elif line.startswith("    ") and not re.match(r"    (KTAP|# (Subtest|module)|\d+\.\.\d+)", line):
            if "marked slow" not in line and "speed: " not in line:
                said.append(line.strip())
    return found


def main():
    module.load(file=TESTING)
    suites = sorted(name for name in os.listdir(RESULTS) if name.startswith("mutex"))
    check.equal("suites", suites, sorted(CASES))
    for suite in suites:
        found = cases(open(f"{RESULTS}/{suite}/results").read())
        for name, passed, said in found:
            if pace.IS_UML and said == NO_KPROBES:
                check.note(f"{suite}: {name}: {said}")
                continue
            check.that(f"{suite}: {name}", passed, "" if passed else said)
        check.equal(f"{suite}: cases", len(found), CASES.get(suite))
    module.unload()
    module.nothing_left("after all of it")
    check.finish()


main()
