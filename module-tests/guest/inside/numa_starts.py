"""Servers that may use only a part of the machine."""

from box import check, test


@test("start under numactl --cpunodebind: that node is home")
def cpu_bound(box):
    box.need(other=True)
    server = box.start(cpu="any", before=["numactl", f"--cpunodebind={box.other.id}"])
    check(server.number("home_node") == box.other.id, server.info())
    server.lies_on(server.fill(200), box.other.id)
    server.lies_on(server.fill(50, node=box.far.id, prefix="far"), box.far.id)


def confined(box, server, allowed, barred):
    """Values go to allowed nodes only, and whoever asks for another is told."""
    rows = server.nodes()
    check([node for node in box.ids if rows[node]["allowed"]] == allowed, rows)
    for policy in ("local_first", "interleaved", "round_robin", "pressure_aware", "cxl_optimized"):
        server.call("NUMACONFIG", "SET", "strategy", policy)
        count = server.shares(server.fill(60, [200, 3000], prefix=policy))
        check(set(count) <= set(allowed), policy, count)
    error = server.refuses("NUMAMIGRATE", "KEY", "local_first:0", barred)
    check(error.startswith("ERR"), error)
    check(server.key_info(["local_first:0"])[0]["current_node"] in allowed)


@test("start under numactl --membind: the other nodes are barred")
def memory_bound(box):
    server = box.start(before=["numactl", f"--membind={box.near.id}"])
    confined(box, server, [box.near.id], box.far.id)


@test("start in a cgroup with fewer memory nodes: the others are barred", guest=True)
def cpuset_mems(box):
    box.need(other=True, cpuless=True)
    allowed = [box.near.id, box.other.id]
    server = box.start(before=box.cgroup(mems=",".join(map(str, allowed))))
    confined(box, server, allowed, box.cpuless.id)


@test("start in a cgroup with another node's CPUs: that node is home", guest=True)
def cpuset_cpus(box):
    box.need(other=True)
    server = box.start(cpu="any", before=box.cgroup(cpus=",".join(map(str, box.other.cpus))))
    check(server.number("home_node") == box.other.id, server.info())
    server.lies_on(server.fill(200), box.other.id)
