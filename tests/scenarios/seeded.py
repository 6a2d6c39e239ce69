# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: uml-debug debug race
"""Goes where a build with MUTEX_SEEDED=1 or MUTEX_RACING=1 has its bugs. All is well here with any build: what
the kernel says of a seeded one is for the session, and tests/scripts/seeded looks whether it was heard.

What lockdep finds comes before what KASAN does, which makes lockdep stop.
"""

import os
import socket

from lib import check, module, net
from lib.events import Monitor

# More than one object that something still happens to point to.
ROUNDS = 20
# Packets of each processor. KCSAN watches one access in some thousand.
PACKETS = 10_000


def send(processor):
    """Sends on that processor, from a process of its own; gives its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.sched_setaffinity(0, {processor})
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(PACKETS):
            one.sendto(b"x", ("127.0.0.1", 9))
        status = 0
    finally:
        os._exit(status)


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
processors = os.sched_getaffinity(0)
if len(processors) > 1:
    # lo may be down.
    net.sh("ip", "link", "set", "lo", "up")
    ended = [os.waitpid(child, 0)[1] for child in [send(processor) for processor in processors]]
    check.equal("who sent on each processor at once", ended, [0] * len(processors))
module.audit()
module.unload()
check.finish()
