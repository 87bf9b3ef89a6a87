"""What a tool needs to know of the machine: how many nodes, how much memory."""

import pathlib

MIB = 1 << 20
NEAR_NS = 80  # a near DRAM access
FAR_NS = 250  # a CXL access
NODES = pathlib.Path("/sys/devices/system/node/has_memory")
MEMINFO = pathlib.Path("/proc/meminfo")
CGROUP_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def ids_in(text):
    """The ids in a kernel list such as 0-1,3."""
    ids = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            ids += range(int(first), int(last or first) + 1)
    return ids


def count_nodes(path=NODES):
    """Nodes that have memory. A kernel without NUMA has no such file: one node."""
    try:
        return max(1, len(ids_in(path.read_text())))
    except (OSError, ValueError):
        return 1


def memory_bytes(meminfo=MEMINFO, cgroup=CGROUP_LIMIT):
    """All of the machine's memory, or what the cgroup leaves of it."""
    total = 1 << 30
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemTotal:"):
            total = int(line.split()[1]) * 1024
    try:
        total = min(total, int(cgroup.read_text()))
    except (OSError, ValueError):
        pass  # no cgroup of that kind, or "max": no limit
    return total


def two_tiers(total):
    """A near node of an eighth and a CPU-less far node of a half of the memory: together well
    below all of it, since a simulated node's bytes are real bytes."""
    near = max(16 * MIB, total // 8 // MIB * MIB)
    far = max(64 * MIB, total // 2 // MIB * MIB)
    return f"0:{near}:{NEAR_NS},1:{far}:{FAR_NS}:cpuless"
