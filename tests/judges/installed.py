# SPDX-License-Identifier: MIT OR Apache-2.0
"""What `make install` puts where: files, modes, manual pages, completions in the shells that read them."""

import os
import pathlib
import re
import subprocess
import sys

from lib import check
from tmux import Tmux

ROOT = pathlib.Path(sys.argv[1]) / "out/judges/installed"
SHARE = ROOT / "usr/share"


def said(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)


def files():
    check.part("files")
    found = {str(path.relative_to(ROOT)): path for path in ROOT.rglob("*") if not path.is_dir()}
    commands = re.findall(r"^  ([a-z]+) ", said("mutexctl", "--help").stdout.split("Options:")[0], re.MULTILINE)
    commands.remove("help")
    pages = ["mutexctl", *(f"mutexctl-{name}" for name in commands),
             *(f"mutexctl-{name}" for name in ("alerts-clear", "config-get", "config-set", "diag-counts", "diag-events",
                                               "diag-health"))]
    release, = os.listdir(ROOT / "lib/modules")
    programs = {f"usr/bin/{name}" for name in os.listdir(pathlib.Path(sys.argv[1]) / "out/tools")}
    wanted = {f"lib/modules/{release}/updates/mutex.ko", "usr/include/mutex.h", *programs,
              *(f"usr/share/mutex/schema/{name}.schema.json" for name in ("diagnostics", "image", "line", "meter")),
              *(f"usr/share/man/man1/{page}.1" for page in pages),
              "usr/share/bash-completion/completions/mutexctl", "usr/share/zsh/site-functions/_mutexctl",
              "usr/share/fish/vendor_completions.d/mutexctl.fish", "lib/systemd/system/mutexd.service",
              *(f"usr/share/mutex/mutexd/{name}" for name in ("mutexd.toml", "dashboard.json", "alerts.yml", "mutexd.logrotate"))}
    check.equal("each is there, and nothing else", sorted(set(found) ^ wanted), [])
    check.that("for a kernel of Debian's", re.match(r"6\.12\..*-amd64$", release), release)
    modes = {name: path.stat().st_mode & 0o777 for name, path in found.items()}
    check.equal("modes", {name: oct(mode) for name, mode in modes.items() if mode != (0o755 if name in programs else 0o644)}, {})
    check.equal("none is empty", [name for name, path in found.items() if not path.stat().st_size], [])
    check.equal("the tool runs", said(ROOT / "usr/bin/mutexctl", "--version").stdout, said("mutexctl", "--version").stdout)
    return pages


def manual(pages):
    check.part("manual")
    paths = [SHARE / f"man/man1/{page}.1" for page in pages]
    linted = said("mandoc", "-Tlint", "-Wwarning", *paths)
    # clap's pages break lines where there is space anyway.
    complaints = [line for line in (linted.stdout + linted.stderr).splitlines() if "skipping paragraph macro: br " not in line]
    check.equal("mandoc has nothing to say", complaints, [])
    done = said("groff", "-k", "-t", "-man", "-ww", "-Tutf8", *paths)
    check.equal("groff has nothing to say", (done.returncode, done.stderr), (0, ""))
    unlike = []
    for page, path in zip(pages, paths):
        text = re.sub(r".\x08", "", said("mandoc", "-Tutf8", path).stdout)
        help_text = said("mutexctl", *page.split("-")[1:], "--help").stdout
        options = set(re.findall(r"--[a-z-]+", help_text.split("Options:")[1].split("\n\n")[0]))
        examples = ["Examples:"] if "Examples:" in help_text else []
        unlike += [(page, word) for word in ("NAME", "SYNOPSIS", *examples, *options) if word not in text]
    check.equal("pages have what the help has", unlike, [])
    check.that("man finds them by name", "mutexctl-top" in said("man", "-M", SHARE / "man", "mutexctl-top").stdout)
    check.that("and shows them", "Examples:" in said("man", "-l", paths[0]).stdout)


def completions():
    check.part("completions")
    path = {"PATH": f"{ROOT}/usr/bin:{os.environ['PATH']}"}
    fish = said("fish", "-c", "complete -C 'mutexctl aud'; complete -C 'mutexctl connections --format '",
                env={**os.environ, **path, "XDG_DATA_DIRS": str(SHARE), "HOME": "/tmp"})
    words = [line.split("\t")[0] for line in fish.stdout.splitlines()]
    check.equal("fish", (fish.stderr, words[0], {"table", "json", "csv", "parquet"} <= set(words)), ("", "audit", True))

    bash = Tmux(["bash", "--norc"], {"PS1": "> ", **path, "XDG_DATA_DIRS": str(SHARE)})
    bash.line(". /usr/share/bash-completion/bash_completion; echo loaded $((6 * 7))")
    bash.shows("loaded 42")
    bash.keys("-l", "mutexctl aud\t--qui\t#")
    bash.shows("mutexctl audit --quiet #")
    bash.keys("C-u")
    bash.keys("-l", "mutexctl export --format parq\t#")
    bash.shows("--format parquet #")
    check.that("bash", True)
    bash.close()

    zsh = Tmux(["zsh", "-f"], {"PS1": "> ", **path, "HOME": "/tmp"})
    zsh.line(f"fpath=({SHARE}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D; echo loaded $((6 * 7))")
    zsh.shows("loaded 42")
    zsh.keys("-l", "mutexctl aud\t--qui\t#")
    zsh.shows("mutexctl audit --quiet #")
    zsh.keys("C-u")
    zsh.keys("-l", "mutexctl export --format parq\t#")
    zsh.shows("--format parquet #")
    check.that("zsh", True)
    zsh.close()


PAGES = files()
manual(PAGES)
completions()
check.finish()
