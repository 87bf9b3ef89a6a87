"""Moves beside a fork, and servers beside each other."""

from box import check, pairs, test, wait_for


def saving(server):
    return server.info("persistence")["rdb_bgsave_in_progress"] == "1"


@test("BGSAVE during a move: the file is whole, the keys lie where they should")
def bgsave(box):
    server = box.start("numa-migrate-rate", "4mb")
    values = server.fill(800, 12_000)
    server.call("CONFIG", "SET", "rdb-key-save-delay", 2000)
    server.call("NUMAMIGRATE", "DB", box.far.id)
    server.call("BGSAVE")
    check(saving(server), "the child is not running")
    wait_for("moves to pause", lambda: "child" in pairs(server.call("NUMA", "STATUS"))["moves"], 10)
    moved = server.number("migrations")
    server.client.all([("NUMA.GET", value.key) for value in values[:200]])
    check(server.number("migrations") == moved or not saving(server), "keys moved beside the child")
    wait_for("the save to end", lambda: not saving(server))
    server.finished()
    server.lies_on(values, box.far.id)
    check(server.info("persistence")["rdb_last_bgsave_status"] == "ok")
    second = box.start(data=server.folder / "dump.rdb")
    check(second.call("DBSIZE") == len(values), "keys are missing from the file")
    for value in values:
        value.tag = bytes(8)
    second.lies_on(values, box.near.id)


@test("BGSAVE during a move that does not pause: both come out right")
def bgsave_moving(box):
    server = box.start("numa-move-during-fork", "yes", "numa-migrate-rate", "8mb")
    values = server.fill(800, 12_000)
    server.call("CONFIG", "SET", "rdb-key-save-delay", 1000)
    server.call("NUMAMIGRATE", "DB", box.far.id)
    server.call("BGSAVE")
    wait_for("the save to end", lambda: not saving(server))
    server.finished()
    server.lies_on(values, box.far.id)
    second = box.start(data=server.folder / "dump.rdb")
    for value in values:
        value.tag = bytes(8)
    second.lies_on(values, box.near.id)


@test("two instances on one near node: no spill below their limits")
def two(box):
    servers = [box.start("numa-node-limit", box.near.id, "24mb") for _ in range(2)]
    filled = [server.fill(1000, 15_000) for server in servers]
    for server, values in zip(servers, filled):
        server.lies_on(values, box.near.id)
        check(server.number(f"node{box.near.id}_fallbacks") == 0, server.info())
        check(server.number("drift_bytes") == 0, server.info())


@test("two instances on a near node that fills: both see what is really free", guest=True)
def two_full(box):
    servers = [box.start(cpu=box.other.cpus[0]) for _ in range(2)]
    box.hog(box.other, 32 << 20)
    filled = [server.fill(700, 30_000) for server in servers]
    for server, values in zip(servers, filled):
        server.shares(values, spilled=True)
        check(server.call("DBSIZE") == 700)
        check(server.nodes()[box.other.id]["free"] < 48 << 20, server.nodes())
