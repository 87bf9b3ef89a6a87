"""DAMON, the kernel's monitor of accesses, set to migrate: hot OS pages near, cold ones far.

One kernel thread watches each of the two nodes by physical address, a scheme apiece. What counts as
hot is any access seen in an aggregation; as cold, none for some. The settings are those of the
kernel's own guide but for shorter intervals, since the guest has little memory.
"""

import pathlib

ADMIN = pathlib.Path("/sys/kernel/mm/damon/admin/kdamonds")
SAMPLE_US, AGGREGATION_US, UPDATE_US = 5_000, 100_000, 1_000_000
REGIONS_MIN, REGIONS_MAX = 10, 2000
COLD_AGE = 50  # aggregations
MOST = 2**63 - 1


def is_there():
    return ADMIN.is_dir()


def physical_range(node):
    """Where the node's memory lies, from the blocks that the kernel lists for it."""
    blocks = [int(p.name[6:]) for p in pathlib.Path(f"/sys/devices/system/node/node{node}").glob("memory[0-9]*")]
    size = int(pathlib.Path("/sys/devices/system/memory/block_size_bytes").read_text(), 16)
    return min(blocks) * size, (max(blocks) + 1) * size


def put(path, value):
    path.write_text(str(value))


def bounds(folder, low, high):
    put(folder / "min", low)
    put(folder / "max", high)


def watch(thread, node, action, target, accesses, age):
    """One kernel thread that applies an action to what of a node's memory has such accesses."""
    put(thread / "contexts/nr_contexts", 1)
    context = thread / "contexts/0"
    put(context / "operations", "paddr")
    for name, us in (("sample_us", SAMPLE_US), ("aggr_us", AGGREGATION_US), ("update_us", UPDATE_US)):
        put(context / "monitoring_attrs/intervals" / name, us)
    bounds(context / "monitoring_attrs/nr_regions", REGIONS_MIN, REGIONS_MAX)
    put(context / "targets/nr_targets", 1)
    put(context / "targets/0/regions/nr_regions", 1)
    start, end = physical_range(node)
    put(context / "targets/0/regions/0/start", start)
    put(context / "targets/0/regions/0/end", end)
    put(context / "schemes/nr_schemes", 1)
    scheme = context / "schemes/0"
    put(scheme / "action", action)
    put(scheme / "target_nid", target)
    bounds(scheme / "access_pattern/sz", 4096, MOST)
    bounds(scheme / "access_pattern/nr_accesses", *accesses)
    bounds(scheme / "access_pattern/age", *age)
    put(thread / "state", "on")


def migrate(near, far):
    """Switches it on; the answer switches it off."""
    put(ADMIN / "nr_kdamonds", 2)
    most = AGGREGATION_US // SAMPLE_US
    watch(ADMIN / "0", far, "migrate_hot", near, (1, most), (0, MOST))
    watch(ADMIN / "1", near, "migrate_cold", far, (0, 0), (COLD_AGE, MOST))

    def stop():
        for thread in ("0", "1"):
            put(ADMIN / thread / "state", "off")

    return stop
