"""Each of the six policies steers new bytes, by the kernel's word."""

from box import check, test

SIZE = 1500
COUNT = 300


def set_policy(server, name):
    server.call("NUMACONFIG", "SET", "strategy", name)


@test("policy local_first: all values lie at home")
def local_first(box):
    server = box.start("numa-default-strategy", "local_first")
    server.lies_on(server.fill(COUNT, [100, 1500, 40_000]), box.near.id)


@test("policy local_first: a default node is where placement begins")
def default_node(box):
    server = box.start("numa-default-node", box.far.id)
    server.lies_on(server.fill(COUNT, SIZE), box.far.id)


@test("policy interleaved: even over the nodes, the same key on the same node")
def interleaved(box):
    server = box.start()
    set_policy(server, "interleaved")
    values = server.fill(COUNT, SIZE)
    shares = server.shares(values)
    even = COUNT / len(box.all)
    check(all(0.7 * even < shares.get(node, 0) < 1.3 * even for node in box.ids), shares)
    homes = [info["current_node"] for info in server.key_info([v.key for v in values])]
    server.call("FLUSHALL")
    again = server.fill(COUNT, SIZE)
    server.shares(again)
    check(homes == [info["current_node"] for info in server.key_info([v.key for v in again])])


@test("policy round_robin: each node in turn")
def round_robin(box):
    server = box.start("numa-default-strategy", "round_robin")
    shares = server.shares(server.fill(COUNT, SIZE))
    check(shares == {node: COUNT // len(box.ids) for node in box.ids}, shares)


@test("policy weighted: exactly by the weights that were set")
def weighted(box):
    server = box.start("numa-default-strategy", "weighted")
    weights = dict(zip(box.ids, [3, 2, 1]))
    for node in box.ids:
        server.call("NUMACONFIG", "SET", "weight", node, weights.get(node, 0))
    total = sum(weights.values())
    shares = server.shares(server.fill(60 * total, SIZE))
    check(shares == {node: 60 * weight for node, weight in weights.items()}, shares)


@test("policy weighted: by the bandwidth that the firmware reports", guest=True)
def weighted_by_machine(box):
    server = box.start("numa-default-strategy", "weighted")
    shares = server.shares(server.fill(360, SIZE))
    # The kernel tells of each node what its own CPUs see, 100, 100 and 25 GB/s; not the rest.
    check(shares == {0: 160, 1: 160, 2: 40}, shares)


@test("policy pressure_aware: the node with the largest free share")
def pressure_aware(box):
    arguments = [word for node in box.ids for word in ("numa-node-limit", node, "8mb")]
    server = box.start(*arguments)
    for at, node in enumerate(box.ids[:-1]):
        server.fill(150 - 50 * at, 40_000, node=node, prefix=f"filled{node}")
    set_policy(server, "pressure_aware")
    server.lies_on(server.fill(40, 40_000, prefix="first"), box.ids[-1])
    last = server.fill(300, 30_000, prefix="then")
    server.shares(last)
    used = [server.nodes()[node]["used"] for node in box.ids]
    check(max(used) - min(used) < 1 << 20, "nodes of equal limits should fill evenly:", used)


@test("policy cxl_optimized: small values near, large ones on the node without CPUs")
def cxl_optimized(box):
    server = box.start("numa-default-strategy", "cxl_optimized", "numa-min-allocation-size", 1024)
    server.lies_on(server.fill(150, [64, 500, 900], prefix="small"), box.near.id)
    server.lies_on(server.fill(150, [1100, 5000, 50_000], prefix="large"), box.far.id)


@test("policy: an overwritten value stays where it was moved to")
def overwritten(box):
    server = box.start()
    values = server.fill(50, SIZE, node=box.far.id)
    server.lies_on(values, box.far.id)
    server.lies_on(server.fill(50, SIZE), box.far.id)
