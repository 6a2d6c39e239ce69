# SPDX-License-Identifier: MIT OR Apache-2.0
"""A build that forgets a byte now and then: the audit must find it, and nothing else."""

import os
import subprocess

from lib import check, module, net, traffic


def talk(first):
    listener = traffic.tcp_listener(first, "127.0.0.1")
    near = traffic.tcp_connect(first, *listener.getsockname())
    far, _ = listener.accept()
    for _ in range(200):
        near.sendall(bytes(100))
        traffic.receive(far, 100)
        far.sendall(bytes(100))
        traffic.receive(near, 100)
    for one in (near, far, listener):
        one.close()


def mutexctl():
    return subprocess.run(["mutexctl", "audit"], capture_output=True, text=True)


def main():
    first = net.Namespace()
    check.part("the build that miscounts")
    module.load(file=module.MISCOUNTING)
    talk(first)
    image = module.image()
    wrong = image.audit()
    check.equal("our audit: the lines that are off", [line.split(":")[0] for line in wrong],
                ["sent bytes", "received bytes"])
    done = mutexctl()
    said = done.stdout + done.stderr
    check.equal("mutexctl audit: exit status", done.returncode, 1)
    check.note(said.strip())
    check.that("mutexctl names the bytes that were sent and received",
               sum(1 for line in said.splitlines() if "bytes" in line and "sent" in line) >= 1
               and sum(1 for line in said.splitlines() if "bytes" in line and "received" in line) >= 1)
    module.unload()
    check.part("the ordinary build")
    module.load()
    talk(first)
    check.equal("mutexctl audit: exit status", mutexctl().returncode, 0)
    module.audit()
    module.unload()
    check.finish()


main()
