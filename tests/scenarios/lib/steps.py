# SPDX-License-Identifier: MIT OR Apache-2.0
"""What MUTEX and nft counted between two moments, in the form of an image and of what nft counted.

So one long scenario compares step by step what lib.net, lib.books and lib.traffic compare of a
whole one, and the books stay the same all along.
"""

import copy
import types

from lib import module, net
from lib.image import NOTHING, REASONS


class Steps:
    """The namespaces that are counted in, and where the last step ended."""

    def __init__(self, *namespaces):
        self.namespaces = namespaces
        self._image, self._counted = net.rest(namespaces, module.image_at_rest)

    def moved(self):
        """Ends a step, once nothing passes any more: its image, and what nft counted."""
        was, counted_then = self._image, self._counted
        now, counted = self._image, self._counted = net.rest(self.namespaces, module.image_at_rest)
        before = {c.id: (c.sent, c.received) for c in was.connections}
        moved = types.SimpleNamespace(connections=[], untracked={}, whole=now)
        moved.after = {direction: now.after[direction] - was.after[direction] for direction in now.after}
        for reason in REASONS:
            sum_of = sum((now.untracked[reason][d] - was.untracked[reason][d] for d in now.after), NOTHING)
            if any(sum_of):
                moved.untracked[reason] = sum_of
        for c in now.connections:
            sent, received = before.get(c.id, (NOTHING, NOTHING))
            if (c.sent, c.received) != (sent, received):
                c = copy.copy(c)
                c.sent, c.received = c.sent - sent, c.received - received
                moved.connections.append(c)
        return moved, {one: _less(counted[one], counted_then[one]) for one in self.namespaces}


def _less(now, was):
    """What nft has counted since."""
    less = types.SimpleNamespace(flows={})
    minus = lambda a, b: (a[0] - b[0], a[1] - b[1])
    less.total = {hook: minus(total, was.total[hook]) for hook, total in now.total.items()}
    for hook, flows in now.flows.items():
        changed = ((key, minus(flow, was.flows[hook].get(key, (0, 0)))) for key, flow in flows.items())
        less.flows[hook] = {key: flow for key, flow in changed if any(flow)}
    return less
