# SPDX-License-Identifier: MIT OR Apache-2.0
"""Real programs over veth, IPv4 and IPv6, with every setting of the offloads: see lib.books."""

from lib import books, check, pace

books.run("veth, all offloads as they are", looped=False, segmented=False, exact=False)
if not pace.IS_SHORT:
    books.run("veth, segments by software, GRO", looped=False, segmented=True, exact=False,
              tso="off", gro="on")
books.run("veth, no offloads", looped=False, segmented=True, exact=True,
          tso="off", gso="off", gro="off")
check.finish()
