# SPDX-License-Identifier: MIT OR Apache-2.0
"""`mutexctl top` as somebody uses it: in tmux, from a shell with job control."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from lib import check
from tmux import PATIENCE, Tmux

HOST = pathlib.Path("/tmp/host")


def seen(what, holds, screen=""):
    """It holds; if not, this was on the screen."""
    check.that(what, holds, "" if holds else screen)


def pid_of_top():
    """The process, of which there is one."""
    return int(subprocess.run(["pgrep", "-x", "mutexctl"], capture_output=True, text=True, check=True).stdout)


def gone(pid):
    end = time.monotonic() + PATIENCE
    while os.path.exists(f"/proc/{pid}"):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def show(name):
    """The image that the kernel has now."""
    shutil.copy(f"/judged/{name}", HOST / "next")
    (HOST / "next").rename(HOST / "mutex/snapshot")


def main():
    (HOST / "mutex").mkdir(parents=True)
    (HOST / "mutex/stats").write_text("format 1\nuptime_ns 1\n")
    show("now.bin")
    tmux = Tmux(["bash", "--norc"], {"PS1": "> "})

    check.part("keys")
    tmux.line("stty -g >/tmp/before; tput lines; echo shell of $((6 * 7))")
    tmux.shows("shell of 42")
    before = tmux.screen()
    tmux.line(f"mutexctl --proc {HOST}/mutex top --interval 50ms")
    screen = tmux.shows("total = host")
    seen("connections, 80 by 24", "[1 connections]" in screen and screen.count("\n") == 24, screen)
    check.equal("the terminal is taken", tmux.tells("alternate_on", "cursor_flag"), "1 0")
    tmux.keys("2")
    tmux.shows("[2 fds]")
    tmux.keys("3")
    seen("processes", "python3" in tmux.shows("[3 processes]"))
    tmux.keys("1", "Right")
    tmux.shows("by out/s")
    tmux.keys("Right")
    tmux.shows("by received")
    tmux.keys("Enter")
    tmux.shows("latency of")
    tmux.keys("Escape")
    tmux.hides("latency of")

    check.part("filter")
    tmux.shows("tcp")
    tmux.keys("/")
    tmux.keys("-l", "protocol=udp port=x")
    tmux.shows('"x" is no value of port')
    tmux.keys("BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "BSpace", "Enter")
    tmux.hides(" tcp ")
    screen = tmux.shows("udp")
    seen("only those that fit, and the totals are the host's", "total = host" in screen, screen)
    tmux.keys("\\")
    tmux.shows("tcp")

    check.part("time goes on")
    tmux.keys("5")
    tmux.shows("[5 alerts]")
    show("alerts.bin")
    seen("an alert comes", "bandwidth_out" in tmux.shows("bandwidth"), tmux.screen())
    tmux.keys("1")
    tmux.shows("total = host")

    check.part("size")
    for columns, lines in ((132, 50), (60, 20)):
        tmux.resize(columns, lines)
        tmux.wait(f"{columns} by {lines}", lambda text: text.count("\n") == lines and text.splitlines()[-1].startswith("every 50ms"))
    tmux.resize(30, 5)
    tmux.shows("too small")
    tmux.resize(80, 24)
    seen("small and back", tmux.shows("total = host").count("\n") == 24)

    check.part("job control")
    for what, stop in (("Ctrl-Z", lambda: tmux.keys("C-z")), ("SIGTSTP", lambda: os.kill(pid_of_top(), signal.SIGTSTP))):
        stop()
        tmux.shows("Stopped")
        check.equal(f"{what}: the terminal is given back", tmux.tells("alternate_on", "cursor_flag"), "0 1")
        tmux.line("stty -g >/tmp/stopped; echo still $((6 * 7)) here")
        tmux.shows("still 42 here")
        tmux.line("clear; fg")
        tmux.shows("total = host")
        check.equal(f"{what}: and taken again", tmux.tells("alternate_on", "cursor_flag"), "1 0")
        tmux.keys("2")
        tmux.shows("[2 fds]")
        tmux.keys("1")
        tmux.shows("[1 connections]")
        check.equal(f"{what}: the line was as before", pathlib.Path("/tmp/stopped").read_text(), pathlib.Path("/tmp/before").read_text())
    os.kill(pid_of_top(), signal.SIGSTOP)
    tmux.shows("Stopped")
    tmux.line("clear; fg")
    tmux.shows("total = host")
    check.equal("stopped by force: taken again", tmux.tells("alternate_on", "cursor_flag"), "1 0")

    check.part("the end")
    tmux.keys("q")
    tmux.wait("the shell", lambda text: "total = host" not in text)
    tmux.line("echo ended with $?; stty -g >/tmp/after")
    screen = tmux.shows("ended with 0")
    seen("what was there before is there again", "mutexctl --proc" in screen and "[1 connections]" not in screen, screen)
    check.equal("the terminal is whole", tmux.tells("alternate_on", "cursor_flag"), "0 1")
    tmux.line("echo looked")
    tmux.shows("looked")
    check.equal("and the line is, too", pathlib.Path("/tmp/after").read_text(), pathlib.Path("/tmp/before").read_text())
    seen("there was something before", "shell of 42" in before)

    tmux.line(f"clear; mutexctl --proc {HOST}/mutex top")
    tmux.shows("total = host")
    pid = pid_of_top()
    tmux.close()
    seen("when the window is closed, so is it", gone(pid))
    check.finish()


main()
