"""Full nodes, limits, and memory that goes back to its node."""

import nodes
from box import check, pairs, test, wait_for

MIB = 1 << 20


@test("limit: values beyond a node's limit go to the next node, counted")
def limit(box):
    server = box.start("numa-node-limit", box.near.id, "4mb")
    values = server.fill(600, 15_000)
    count = server.shares(values)
    rows = server.nodes()
    check(rows[box.near.id]["used"] <= 4 * MIB, rows[box.near.id])
    check(200 < count[box.near.id] < 280, count)
    check(server.number(f"node{box.near.id}_fallbacks") == 600 - count[box.near.id], count)


@test("limit: a move to a node at its limit fails and says so; the key stays")
def move_to_limit(box):
    server = box.start("numa-node-limit", box.far.id, "1mb")
    values = server.fill(100, 30_000)
    reply = pairs(server.call("NUMAMIGRATE", "KEYS", box.far.id, *[v.key for v in values]))
    check(0 < reply["moved"] <= 34 and reply["moved"] + reply["failed"] == 100, reply)
    check(server.shares(values) == {box.far.id: reply["moved"], box.near.id: reply["failed"]})
    error = server.refuses("NUMAMIGRATE", "KEY", values[-1].key, box.far.id)
    check("Out of memory" in error, error)


@test("full node: new values spill to the next node, counted", guest=True)
def spill(box):
    box.need(other=True)
    box.hog(box.other, 24 * MIB)
    # Switched off it still puts new values on that node, and brings nothing back to it yet.
    server = box.start("numa-default-node", box.other.id, "numa-enabled", "no")
    values = server.fill(2000, 30_000)
    count = server.shares(values, spilled=True)
    elsewhere = len(values) - count.get(box.other.id, 0)
    check(elsewhere > 100, "the node was not full:", count)

    def counted():
        drift = server.number("drift_bytes") + server.number("drift_returned_bytes")
        return server.number(f"node{box.other.id}_fallbacks") + drift // 30_000

    wait_for(f"{elsewhere} spilled values to be counted", lambda: counted() >= elsewhere * 0.9, 30)


@test("full node: what spilled returns when there is room again", guest=True)
def returns(box):
    box.need(other=True)
    server = box.start("numa-default-node", box.other.id, "numa-enabled", "no")
    release = box.hog(box.other, 24 * MIB)
    values = server.fill(2000, 30_000)
    count = server.shares(values, spilled=True)
    check(count.get(box.other.id, 0) < 1900, "the node was not full:", count)
    release()
    wait_for("room", lambda: nodes.read_node(box.other.id).free() > 200 * MIB)
    # Some lie elsewhere because the kernel sent them there: these come back by themselves.
    wait_for("spilled OS pages to come back", lambda: server.is_where_it_says(values), 100)
    # The others are there because the pool sent them.
    for _ in range(2):
        server.call("NUMAMIGRATE", "KEYS", box.other.id, *[value.key for value in values])
        server.call("NUMA", "VERIFY", "COUNT", 2000)
    # A page on its way is not there to be judged.
    server.call("NUMACONFIG", "SET", "enabled", "no")
    server.lies_on(values, box.other.id)


@test("full near node: a server under pressure keeps every key", guest=True)
def pressure(box):
    server = box.start(quiet=False)
    box.hog(box.near, 24 * MIB)
    values = server.fill(1200, 30_000)
    check(server.call("DBSIZE") == 1200, "keys were lost")
    count = server.shares(values, spilled=True)
    check(count.get(box.near.id, 0) < 1200, "the node was not full:", count)
    check(server.info("stats")["evicted_keys"] == "0", "keys were evicted")


@test("release: FLUSHALL gives a node its memory back")
def flushed(box):
    for words in (("FLUSHALL",), ("FLUSHALL", "ASYNC")):
        server = box.start()
        before = nodes.used_by(server.pid).get(box.far.id, 0)
        server.fill(1200, 30_000, node=box.far.id)
        check(nodes.used_by(server.pid)[box.far.id] - before > 32 * MIB, "the values are not there")
        server.call(*words)
        left = lambda: nodes.used_by(server.pid).get(box.far.id, 0) - before  # noqa: E731
        wait_for(f"{words}: memory to go back", lambda: left() <= 8 * MIB, 20)


@test("release: the old node gets its memory back when keys move away")
def moved_away(box):
    server = box.start()
    server.fill(1000, 30_000, node=box.far.id)
    full = nodes.used_by(server.pid)[box.far.id]
    server.call("NUMAMIGRATE", "DB", box.near.id)
    server.finished()
    wait_for(
        "the old node's memory to go back",
        lambda: full - nodes.used_by(server.pid).get(box.far.id, 0) > 20 * MIB, 20,
    )
