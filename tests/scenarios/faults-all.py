# SPDX-License-Identifier: MIT OR Apache-2.0
# Only on: uml-debug debug
# Only when named
"""As faults, at every place."""

from lib import faults

EXPECTED_IN_LOG = r"Call Trace:$|RIP: 0033:"

faults.main(most=0)
