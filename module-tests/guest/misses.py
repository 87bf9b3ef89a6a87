"""What the plugin counted and the guest told of one row of `make bench-numa`."""

import bisect
import dataclasses
import json

import qemu

NEAR_NODE, NEAR_NS, FAR_NS = 0, qemu.LATENCY[0, 0], qemu.LATENCY[0, 2]
SETTLED = 0.02


@dataclasses.dataclass
class Window:
    """Misses of one window, for each request."""

    near: float
    far: float

    @property
    def ns(self):
        """Modelled."""
        return self.near * NEAR_NS + self.far * FAR_NS


@dataclasses.dataclass
class Outcome:
    """What came of a row."""

    name: str
    windows: list
    pages: list  # (virtual page, node, misses) of the last window
    facts: dict
    moves: list  # (moves, bytes moved) by window
    requests: int  # in a window

    @property
    def settled(self):
        """Whether the last two windows of the warm-up differ by less than 2 % of their misses."""
        if len(self.windows) < 3:
            return False
        one, two = self.windows[-3], self.windows[-2]
        return abs(one.ns - two.ns) <= SETTLED * max(one.ns, two.ns)

    @property
    def last(self):
        return self.windows[-1]


def read_counts(text, requests):
    """The windows that the plugin wrote after the filling, and the pages of the last."""
    windows, pages = [], []
    for line in text.splitlines():
        words = line.split()
        if words[0] == "page":
            pages.append((int(words[1], 16), int(words[2]), int(words[3])))
        elif words[0] == "window" and words[1] != "0":
            misses = [int(word) for word in words[5:]]
            near = misses[NEAR_NODE]
            windows.append(Window(near / requests, (sum(misses) - near) / requests))
    return windows, pages


def read_facts(text):
    """What the guest told, and the moves by window."""
    facts, moves = {}, []
    for line in text.replace("\r", "").splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            if "window" in told:
                moves.append((told["moves"], told["moved_bytes"]))
            facts.update(told)
    return facts, moves


def of_index(outcome):
    """The last window's misses on OS pages that hold no byte of a value: of the server's tables,
    entries and key names, its objects, buffers and stack. All of them, and those of the near node."""
    ranges = outcome.facts.get("value_pages", [])
    starts = [low for low, _ in ranges]
    everywhere = near = 0
    for page, node, misses in outcome.pages:
        at = bisect.bisect(starts, page) - 1
        if at < 0 or page >= ranges[at][1]:
            everywhere += misses
            near += misses if node == NEAR_NODE else 0
    return everywhere, near


def by_mapping(outcome):
    """The last window's misses by the name of the mapping that they fell into."""
    kinds = {}
    maps = outcome.facts.get("maps", [])
    for page, node, misses in outcome.pages:
        name = next((m[2] for m in maps if m[0] <= page < m[1]), "other")
        kind = name or "anonymous"
        kinds[kind] = kinds.get(kind, 0) + misses
    return kinds
