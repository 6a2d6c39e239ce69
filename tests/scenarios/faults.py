# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: uml-debug debug
"""Allocations fail, one after another: everything works, or says why and leaves nothing behind.

Of what has many places where it can fail, some are tried, but all of the module's own where the processor
is not emulated; faults-all tries all of all.
"""

from lib import faults

# The kernel's own words when it has no memory for a module.
EXPECTED_IN_LOG = r"Call Trace:$|RIP: 0033:"

faults.main(most=24)
