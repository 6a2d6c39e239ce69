# SPDX-License-Identifier: MIT OR Apache-2.0
"""Checks: one line each, and an exit status that says whether all held."""

import sys
import time

_began = time.monotonic()
_passed = 0
_failed = 0
# Characters of a detail that are shown.
LONG = 600


def note(text):
    """Says what is going on; no check."""
    print(f"   {text}", flush=True)


def part(title):
    """Begins a part of the scenario."""
    print(f"-- {title} ({time.monotonic() - _began:.0f} s)", flush=True)


def _say(ok, what, detail):
    global _passed, _failed
    detail = str(detail).strip()
    if ok:
        _passed += 1
    else:
        _failed += 1
    detail = str(detail)
    if len(detail) > LONG:
        detail = f"{detail[:LONG]}... ({len(detail)} characters)"
    print(f"{'ok  ' if ok else 'FAIL'} {what}{': ' if detail else ''}{detail}", flush=True)
    return ok


def equal(what, got, expected):
    """`got`, MUTEX's number, is `expected`, somebody else's."""
    if got == expected:
        return _say(True, what, str(got) if len(str(got)) < 100 else "")
    return _say(False, what, f"expected {expected}, got {got}")


def that(what, condition, detail=""):
    """`condition` holds."""
    return _say(bool(condition), what, detail)


def all_equal(what, pairs, shown=8):
    """Every (name, got, expected) agrees; there is at least one. One line if they do."""
    pairs = list(pairs)
    wrong = [(name, got, expected) for name, got, expected in pairs if got != expected]
    for name, got, expected in wrong[:shown]:
        _say(False, f"{what}, {name}", f"expected {expected}, got {got}")
    if wrong[shown:]:
        _say(False, what, f"... and {len(wrong) - shown} more of {len(pairs)}")
    if not pairs:
        return _say(False, what, "there was nothing to compare")
    return not wrong and _say(True, what, f"{len(pairs)} compared")


def finish():
    """Ends the scenario."""
    print(f"-- {_passed} ok, {_failed} failed ({time.monotonic() - _began:.0f} s)", flush=True)
    sys.exit(1 if _failed or not _passed else 0)
