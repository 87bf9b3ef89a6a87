"""The kernel's own page movers switched on against us."""

import time

from box import BALANCING, check, test

DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"


def use(server, values, seconds):
    """Reads the values again and again, so that the kernel sees far accesses."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        server.client.all([("NUMA.GET", value.key) for value in values])


@test("numa_balancing on: values that were put far and are read stay far", guest=True)
def balancing(box):
    box.set(BALANCING, 1)
    server = box.start()
    sides = {node: server.fill(200, 6000, node=node, prefix=f"on{node}") for node in box.ids}
    for values in sides.values():
        use(server, values, 2)
    for node, values in sides.items():
        server.lies_on(values, node)


@test("tiering on: values that were put far and are read stay far", guest=True)
def tiering(box):
    box.set(BALANCING, 2)
    box.set(DEMOTION, "true")
    server = box.start()
    values = server.fill(400, 6000, node=box.far.id)
    use(server, values, 3)
    server.lies_on(values, box.far.id)


@test("demotion on, the near node full: what the kernel took away is told and brought back", guest=True)
def demotion(box):
    box.set(DEMOTION, "true")
    server = box.start()
    values = server.fill(800, 15_000)
    server.lies_on(values, box.near.id)
    release = box.hog(box.near, 20 << 20)
    physical = server.judged(values)
    server.agrees(values, physical, spilled=True)
    release()
    for _ in range(3):
        server.call("NUMA", "VERIFY", "COUNT", 1000)
    server.lies_on(values, box.near.id)
    check(server.call("DBSIZE") == 800, "keys were lost")
