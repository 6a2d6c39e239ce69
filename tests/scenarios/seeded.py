# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: uml-debug debug
"""Goes where a build with MUTEX_SEEDED=1 has its bugs. All is well here with any build: what the kernel
says of a seeded one is for the session, and tests/scripts/seeded looks whether it was heard.

What lockdep finds comes before what KASAN does, which makes lockdep stop.
"""

import os

from lib import check, module
from lib.events import Monitor

# More than one object that something still happens to point to.
ROUNDS = 20

module.load()
monitor = Monitor()
# A reference too many each time.
for _ in range(ROUNDS):
    monitor.write("kind=start")
# Closed, a monitor is looked up under RCU.
settings = os.open(f"{module.PROC}/config", os.O_WRONLY)
os.write(settings, b"timeout_closed 5\n")
os.close(settings)
check.equal("monitors", len(module.table("monitors")), 1)
monitor.close()
check.equal("monitors, without the one that was closed", len(module.table("monitors")), 0)
module.audit()
module.unload()
check.finish()
