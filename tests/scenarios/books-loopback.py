# SPDX-License-Identifier: MIT OR Apache-2.0
"""Real programs over loopback, IPv4 and IPv6, with and without offloads: see lib.books."""

from lib import books, check, pace

books.run("loopback, all offloads as they are", looped=True, segmented=False, exact=False)
if not pace.IS_SHORT:
    books.run("loopback, no offloads", looped=True, segmented=True, exact=True,
              tso="off", gso="off", gro="off")
check.finish()
