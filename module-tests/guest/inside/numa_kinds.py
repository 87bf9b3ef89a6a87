"""Every type and encoding of both planes: what was moved lies where the module says, each element."""

import itertools

import kinds
from box import check, pairs, test, wait_for

WAYS = [("DEL",), ("UNLINK",), ("PEXPIRE", 0)]


def start(box, mode, *arguments):
    """A server that is on its CPU from its first instruction on: what it touches before it pins
    itself would lie wherever it happened to run."""
    pinned = ["taskset", hex(1 << box.near.cpus[0])]
    return box.start("numa-native-keys", mode, *arguments, before=pinned)


def settled(server):
    wait_for("slices to end", lambda: pairs(server.call("NUMA", "STATUS"))["values_under_way"] == 0)


@test("every encoding of both planes: KEY to each node and back, each element")
def by_key(box):
    server = start(box, "observe")
    fill = kinds.Fill(server, kinds.NATIVE + kinds.NUMA)
    fill.encodings()
    fill.lies_on(box.near.id)
    for node in [*reversed(box.ids[1:]), box.near.id]:
        server.client.all([("NUMAMIGRATE", "KEY", key, node) for key in fill.keys()])
        settled(server)
        fill.lies_on(node)
    fill.encodings()


@test("every encoding of both planes: DB moves them all, PATTERN those that match")
def by_db(box):
    server = start(box, "observe")
    fill = kinds.Fill(server, kinds.NATIVE + kinds.NUMA)
    other = kinds.Fill(server, kinds.NATIVE, prefix="other")
    server.call("NUMAMIGRATE", "DB", box.far.id)
    server.finished()
    settled(server)
    fill.lies_on(box.far.id)
    server.call("NUMAMIGRATE", "PATTERN", "other:*", box.near.id)
    server.finished()
    fill.lies_on(box.far.id)
    other.lies_on(box.near.id)
    fill.encodings()


@test("slices: big collections arrive whole, served meanwhile; a native one too big stays, and says why")
def slices(box):
    server = start(box, "observe", "numa-migrate-rate", "4mb")
    fill = kinds.Fill(server, kinds.BIG)
    large = kinds.Fill(server, [kinds.TOO_BIG], prefix="large")
    server.client.all([("NUMAMIGRATE", "KEY", key, box.far.id) for key in fill.keys()])
    check(pairs(server.call("NUMA", "STATUS"))["values_under_way"] == len(kinds.BIG), "they moved in one piece")
    server.call("NUMACONFIG", "SET", "enabled", "no")
    parts = fill.places()  # checks each element's bytes
    check(any(len(by_node) > 1 for by_node in parts.values()), f"none was judged half-moved: {parts}")
    server.call("NUMACONFIG", "SET", "enabled", "yes")
    settled(server)
    fill.lies_on(box.far.id)
    error = server.refuses("NUMAMIGRATE", "KEY", large.keys()[0], box.far.id)
    check("too big" in error, error)
    check("big" in pairs(server.call("NUMA", "EXPLAIN", large.keys()[0]))["why"])
    large.lies_on(box.near.id)


@test("slot 1: hot far keys of every native encoding come near, cold ones lie where it says")
def slot_1(box):
    server = start(box, "manage")
    hot = kinds.Fill(server, kinds.NATIVE, prefix="hot")
    cold = kinds.Fill(server, kinds.NATIVE, each=5, prefix="cold")
    for fill in (hot, cold):
        server.client.all([("NUMAMIGRATE", "KEY", key, box.far.id) for key in fill.keys()])
        fill.lies_on(box.far.id)
    server.call("NUMACONFIG", "SET", "composite-lru-auto-migrate-enabled", "yes")

    def all_near():
        # What is cheap to ask heats a key as well as what answers all of it.
        server.client.all([("EXISTS", key) for _ in range(40) for key in hot.keys()])
        return all(info["current_node"] == box.near.id for info in server.key_info(hot.keys()))

    wait_for("hot native keys to come near", all_near)
    server.call("NUMACONFIG", "SET", "enabled", "no")
    hot.lies_on(box.near.id)
    cold.is_where_it_says()
    check(server.number("slot1_moves") >= len(hot.keys()), server.info())


@test("settling: new native keys of every encoding go where the policy interleaved says")
def settled_by_policy(box):
    server = start(box, "manage", "numa-default-strategy", "interleaved")
    fill = kinds.Fill(server, kinds.NATIVE, each=4)
    keys = len(fill.keys())
    wait_for("keys to be settled", lambda: pairs(server.call("NUMAMIGRATE", "STATS"))["moved_settle"] >= keys // 3)
    server.call("NUMACONFIG", "SET", "enabled", "no")
    count = fill.is_where_it_says()
    check(len(count) == len(box.ids), f"{keys} keys should lie on every node: {count}")


@test("deletes: after 10,000 deletes of far keys no new near value lies far")
def deletes(box):
    server = start(box, "observe")
    kind = [kind for kind in kinds.NATIVE if kind.name in ("embstr", "raw")]
    old = kinds.Fill(server, kind, each=5000, prefix="old")
    keys = old.keys()
    moved = 0
    for at in range(0, len(keys), 500):
        moved += pairs(server.call("NUMAMIGRATE", "KEYS", box.far.id, *keys[at:at + 500]))["moved"]
    check(moved == len(keys) == 10_000, f"{moved} of {len(keys)} were moved far")
    old.kept = old.kept[::50]
    old.lies_on(box.far.id)
    # A new value of the same size after each delete, before any tick can come between.
    new = kinds.Fill(server, kind, each=5000, prefix="new", between=[
        (way, key, *rest) for key, (way, *rest) in zip(keys, itertools.cycle(WAYS))
    ])
    check(server.call("DBSIZE") == len(keys), "keys are missing, or are there still")
    new.kept = new.kept[::2]
    new.lies_on(box.near.id)
