# SPDX-License-Identifier: MIT OR Apache-2.0
"""How fast this machine is, for the sizes and the time limits of scenarios."""

import os

# scripts/vm says which kernel it is.
KERNEL = os.environ.get("MUTEX_KERNEL", "stock")
# User Mode Linux runs at the speed of its host; what is emulated does not, and a kernel that looks
# for bugs in itself takes several times longer, wherever it runs.
IS_NATIVE = KERNEL == "uml"
# It has no kprobes.
IS_UML = KERNEL in ("uml", "uml-debug")
IS_SLOW = KERNEL in ("uml-debug", "debug", "rt-debug", "race")
# Whether there is time for hundreds of rounds, and for minutes of an attack.
IS_LONG = bool(os.environ.get("MUTEX_LONG"))
# Whether a few connections and rounds are enough: on kernels beside the one that has the whole suite.
IS_SHORT = IS_SLOW or bool(os.environ.get("MUTEX_SHORT"))
# Factor for time limits that nobody minds to wait for when all is well.
LONGER = 6 if IS_SLOW else 1


def sized(usual, slow):
    """How much of something, where the slow kernel finds the same bugs with less."""
    return slow if IS_SHORT else usual
