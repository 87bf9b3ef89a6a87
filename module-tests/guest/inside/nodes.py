"""The machine as the kernel shows it, read without the module."""

import dataclasses
import pathlib

SYS = pathlib.Path("/sys/devices/system/node")
TIERS = pathlib.Path("/sys/devices/virtual/memory_tiering")


def ids(text):
    """The numbers in a kernel list such as 0-1,3."""
    found = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


@dataclasses.dataclass(frozen=True)
class Node:
    """A node that has memory."""

    id: int
    cpus: tuple
    distances: tuple
    total: int  # bytes
    latency: int  # ns from its best initiator; 0 where the firmware does not say

    def free(self):
        return meminfo(self.id)["MemFree"]


def meminfo(node):
    """Bytes by name."""
    lines = (SYS / f"node{node}" / "meminfo").read_text().splitlines()
    words = [line.split() for line in lines]
    return {w[2].rstrip(":"): int(w[3]) * 1024 for w in words if len(w) > 4 and w[4] == "kB"}


def read_node(number):
    folder = SYS / f"node{number}"
    latency = folder / "access0" / "initiators" / "read_latency"
    return Node(
        id=number,
        cpus=tuple(ids((folder / "cpulist").read_text())),
        distances=tuple(int(word) for word in (folder / "distance").read_text().split()),
        total=meminfo(number)["MemTotal"],
        latency=int(latency.read_text()) if latency.is_file() else 0,
    )


def all_nodes():
    try:
        return [read_node(number) for number in ids((SYS / "has_memory").read_text())]
    except OSError:
        return []


def tiers():
    """The kernel's tiers, fastest first: a list of sets of nodes."""
    found = sorted(TIERS.glob("memory_tier[0-9]*"), key=lambda p: int(p.name[len("memory_tier"):]))
    return [set(ids((path / "nodelist").read_text())) for path in found]


def used_by(pid, of_files=True):
    """Bytes of a process on each node, as numa_maps tells, with those of files it maps or without."""
    by_node = {}
    for line in pathlib.Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        words = line.split()
        if not of_files and any(word.startswith("file=") for word in words):
            continue
        size = next((int(w.partition("=")[2]) * 1024 for w in words if w.startswith("kernelpagesize_kB=")), 4096)
        for word in words[2:]:
            name, _, pages = word.partition("=")
            if name[:1] == "N" and name[1:].isdigit():
                by_node[int(name[1:])] = by_node.get(int(name[1:]), 0) + int(pages) * size
    return by_node
