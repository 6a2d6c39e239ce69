# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs scenarios one after the other in a virtual machine, each with a clean host before it.

Usage: session.py SECONDS NAME...
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pace

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CGROUPS = "/sys/fs/cgroup"
# What the module may leave in the kernel's log.
EXPECTED = re.compile(r"loading out-of-tree|verification failed|tainting kernel")
COMPLAINT = re.compile(
    r"WARNING|BUG|Oops|[Cc]all [Tt]race|RIP:|refcount_t|unregister_netdevice|blocked for more|"
    r"soft lockup|rcu.*stall|nf_tables.*leak|Bad page|KASAN|KCSAN|UBSAN|ODEBUG|kmemleak: .*disabled|"
    r"trying to register non-static key|turning off the locking correctness validator")
# What kmemleak has to say of objects that nothing points to any more; only the debug kernel has it.
KMEMLEAK = "/sys/kernel/debug/kmemleak"
# Objects younger than 5 seconds are not reported, for pointers to them may be in registers.
YOUNG = 6
JIFFIES_A_SECOND = 100 if pace.KERNEL == "uml-debug" else 250
LOCKDEP = "/proc/lockdep_stats"
KCSAN = "/sys/kernel/debug/kcsan"


# A namespace with a hook at each place, so that the kernel's switches for "is there a hook at all"
# stay on: QEMU that emulates two processors in parallel can go on executing the breakpoint by which
# the kernel patches its code for such a switch after it is gone ("Oops: int3" in the kernel's code).
KEEPER = "keeper"


def keep_hooks():
    subprocess.run(["ip", "netns", "add", KEEPER], check=True)
    rules = "".join(f"chain {hook} {{ type filter hook {hook} priority 0; }}\n"
                    for hook in ("prerouting", "input", "forward", "output", "postrouting"))
    subprocess.run(["ip", "netns", "exec", KEEPER, "nft", "-f", "-"], text=True, check=True,
                   input=f"table inet keeper {{\n{rules}}}\n")


def kernel_lines():
    return subprocess.run(["dmesg"], capture_output=True, text=True).stdout.splitlines()


def without_races_of_others(lines):
    """The lines without what KCSAN, if there is one, says of data races in which MUTEX has no part."""
    kept, block = [], None
    for line in lines:
        if line.endswith("=" * 60):
            block = [line] if block is None else [*block, line]
            if len(block) > 1:
                text = "\n".join(block)
                if "BUG: KCSAN" not in text or "[mutex]" in text:
                    kept += block
                block = None
        elif block is None:
            kept.append(line)
        else:
            block.append(line)
    return kept + (block or [])


def clean(name):
    """Ends what the scenario left behind: processes, the module, namespaces."""
    group = f"{CGROUPS}/{name}"
    for folder, _, _ in os.walk(group, topdown=False):
        with open(f"{folder}/cgroup.kill", "w") as file:
            file.write("1")
    for folder, _, _ in os.walk(group, topdown=False):
        for _ in range(100):
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.05)
    subprocess.run(["nft", "flush", "ruleset"])
    for line in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines():
        if line.split()[0] != KEEPER:
            subprocess.run(["ip", "netns", "delete", line.split()[0]])
    if any(line.startswith("mutex ") for line in open("/proc/modules")):
        subprocess.run(["rmmod", "mutex"])


def run(name, seconds):
    """Runs one; returns what went wrong, None if nothing did."""
    seen = len(kernel_lines())
    group = f"{CGROUPS}/{name}"
    os.mkdir(group)

    def join():
        with open(f"{group}/cgroup.procs", "w") as file:
            file.write("0")

    scenario = subprocess.Popen([sys.executable, f"{HERE}/{name}.py"], preexec_fn=join,
                                stdin=subprocess.DEVNULL, start_new_session=True)
    wrong = None
    try:
        status = scenario.wait(seconds)
        if status:
            wrong = f"exit status {status}"
    except subprocess.TimeoutExpired:
        wrong = f"not finished after {seconds} s"
        scenario.send_signal(signal.SIGINT)  # Python then says where it was.
        time.sleep(5)
    clean(name)
    scenario.wait()
    more = re.search(r'^EXPECTED_IN_LOG = r"(.*)"$', open(f"{HERE}/{name}.py").read(), re.M)
    complaints = [line for line in without_races_of_others(kernel_lines()[seen:])
                  if COMPLAINT.search(line) and not EXPECTED.search(line)
                  and not (more and re.search(more[1], line))]
    for line in complaints:
        print(f"FAIL kernel log: {line}")
    return wrong or (f"{len(complaints)} complaints in the kernel's log" if complaints else None)


def leaks(times):
    """Prints what kmemleak finds, and during which scenario it was allocated; returns how many."""
    if not os.path.exists(KMEMLEAK):
        return 0
    time.sleep(YOUNG)
    for _ in range(2):
        with open(KMEMLEAK, "w") as file:
            file.write("scan")
    with open(KMEMLEAK) as file:
        found = file.read()
    leaked = 0
    for report in re.findall(r"^unreferenced object .*\n(?:  .*\n)*", found, re.M):
        # Since boot; jiffies begin five minutes before they overflow 32 bits.
        jiffies = int(re.search(r"jiffies (\d+)", report)[1])
        at = ((jiffies + 300 * JIFFIES_A_SECOND) % (1 << 32)) / JIFFIES_A_SECOND
        # What the kernel lost before has nothing to do with us.
        if at < times[0][1] - 1:
            continue
        during = [name for name, began, ended in times if began - 1 <= at <= ended + 1]
        print(f"FAIL kmemleak, of {' or '.join(during) or 'no scenario'}: {report}", flush=True)
        leaked += 1
    return leaked


def lockdep_is_off():
    """Whether lockdep has given up: it does after its first report, and when its tables are full."""
    return os.path.exists(LOCKDEP) and not re.search(r"debug_locks:\s+1$", open(LOCKDEP).read(), re.M)


def watched():
    """How many accesses KCSAN has watched for a while, and how often somebody else came by, whether MUTEX was
    among them or not."""
    counters = dict(re.findall(r"^(\w+): (\d+)$", open(KCSAN).read(), re.M))
    return int(counters["setup_watchpoints"]), int(counters["data_races"])


def main():
    seconds, names = int(sys.argv[1]), sys.argv[2:]
    results = []
    times = []
    keep_hooks()
    if os.path.exists(KCSAN):
        with open(KCSAN, "w") as file:
            file.write("on")
    for name in names:
        print(f"== {name}", flush=True)
        # For whoever finds the kernel's last words.
        with open("/dev/kmsg", "w") as log:
            log.write(f"vm: scenario {name}")
        began = time.monotonic()
        wrong = run(name, seconds)
        times.append((name, began, time.monotonic()))
        results.append((name, wrong, time.monotonic() - began))
        print(f"== {name}: {wrong or 'ok'} ({results[-1][2]:.0f} s)\n", flush=True)
    began = time.monotonic()
    leaked = leaks(times)
    if os.path.exists(KMEMLEAK):
        results.append(("(kmemleak)", f"{leaked} leaks" if leaked else None, time.monotonic() - began))
    if os.path.exists(KCSAN):
        number, races = watched()
        print(f"{'ok  ' if number else 'FAIL'} KCSAN has watched {number} accesses: {races} data races, those of others included")
        results.append(("(KCSAN)", None if number else "has watched nothing", 0))
    if lockdep_is_off():
        print("FAIL lockdep has given up: see the kernel's log")
        results.append(("(lockdep)", "has given up", 0))
    width = max(len(name) for name, _, _ in results)
    for name, wrong, took in results:
        print(f"{name:{width}}  {took:4.0f} s  {wrong or 'ok'}")
    sys.exit(1 if any(wrong for _, wrong, _ in results) else 0)


if __name__ == "__main__":
    shutil.rmtree("/tmp/scenario", ignore_errors=True)
    os.environ["PYTHONPATH"] = HERE
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    main()
