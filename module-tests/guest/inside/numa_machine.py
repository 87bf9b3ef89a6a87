"""The machine is seen as the kernel shows it, and home follows the server's CPUs."""

import os

import nodes
from box import check, test, wait_for


@test("machine: nodes, CPUs, distances and capacities are the kernel's")
def shape(box):
    seen = box.start().nodes()
    check(sorted(seen) == box.ids, "nodes", sorted(seen), "should be", box.ids)
    for node in box.all:
        row = seen[node.id]
        check(tuple(nodes.ids(row["cpus"])) == node.cpus, row)
        check(tuple(row["distances"]) == node.distances, row, node)
        check(row["capacity"] == node.total, row, node)
        check(row["simulated"] == 0 and row["allowed"] == 1, row)


@test("machine: latencies are the firmware's, tiers the kernel's")
def latencies(box):
    seen = box.start().nodes()
    for node in box.all:
        known = [ns for ns in seen[node.id]["latencies_ns"] if ns >= 0]
        check(not node.latency or min(known, default=-1) == node.latency, seen[node.id], node)
    for tier, members in enumerate(nodes.tiers()):
        told = {seen[node]["tier"] for node in members}
        check(len(told) == 1, "one tier of the kernel's is several to the module:", members, told)
        later = {row["tier"] for node, row in seen.items() if node not in members}
        check(not told & later, "several tiers of the kernel's are one to the module")
        check(tier > 0 or min(told | later) in told, "the fastest tier is not the first")


@test("machine: the node without CPUs is known, and is never home")
def cpuless(box):
    box.need(cpuless=True)
    server = box.start("numa-debug", "yes")
    row = server.nodes()[box.cpuless.id]
    check(row["cpus"] == "" and row["home"] == 0, row)
    server.lies_on(server.fill(50, 500), box.near.id)


@test("machine: pinned to another node, that one is home and the first is far")
def other_home(box):
    box.need(other=True)
    server = box.start(cpu=box.other.cpus[0])
    check(server.number("home_node") == box.other.id, server.info())
    server.lies_on(server.fill(200, 1500), box.other.id)
    server.lies_on(server.fill(50, 1500, node=box.near.id, prefix="far"), box.near.id)
    before = server.number("accesses_far")
    server.client.all([("NUMA.GET", f"far:{i}") for i in range(50)])
    check(server.number("accesses_far") == before + 50, "reads of the first node count as far")


@test("machine: home follows a server that moves to another node's CPU")
def home_follows(box):
    box.need(other=True)
    server = box.start(cpu="any", before=["taskset", hex(1 << box.near.cpus[0])])
    check(server.number("home_node") == box.near.id, server.info())
    for thread in os.listdir(f"/proc/{server.pid}/task"):
        try:
            os.sched_setaffinity(int(thread), {box.other.cpus[0]})
        except ProcessLookupError:
            pass  # a thread that has ended since: the allocator's and the server's come and go
    wait_for("home to follow", lambda: server.number("home_node") == box.other.id, 30)
    server.lies_on(server.fill(100), box.other.id)
