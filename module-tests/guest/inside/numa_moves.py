"""Moved keys lie where they should, every byte, and hold what they held."""

from box import check, pairs, test, wait_for

SIZES = [48, 200, 900, 4000, 20_000, 70_000]


def at_home(box, server, count, prefix="key"):
    values = server.fill(count, SIZES, prefix=prefix)
    server.lies_on(values, box.near.id)
    return values


@test("move KEY: to each node and back, every byte, the time to live kept")
def by_key(box):
    server = box.start()
    values = at_home(box, server, 60)
    server.client.all([("PEXPIRE", value.key, 10_000_000) for value in values])
    for node in [*reversed(box.ids), box.near.id]:
        server.client.all([("NUMAMIGRATE", "KEY", value.key, node) for value in values])
        server.lies_on(values, node)
    ttl = server.client.all([("PTTL", value.key) for value in values])
    check(all(9_000_000 < left <= 10_000_000 for left in ttl), ttl)
    stats = pairs(server.call("NUMAMIGRATE", "STATS"))
    check(stats["successful_migrations"] == len(values) * len(box.ids), stats)


@test("move KEYS: the reply counts what was moved")
def by_keys(box):
    server = box.start()
    values = at_home(box, server, 120)
    keys = [value.key for value in values]
    reply = pairs(server.call("NUMAMIGRATE", "KEYS", box.far.id, *keys, "nonesuch"))
    check(reply == {"moved": 120, "skipped": 1, "failed": 0}, reply)
    server.lies_on(values, box.far.id)


@test("move a value of many OS pages: every page of it")
def large(box):
    server = box.start()
    values = server.fill(3, [300_000, 1_500_000, 5_000_000])
    server.lies_on(values, box.near.id)
    server.client.all([("NUMAMIGRATE", "KEY", value.key, box.far.id) for value in values])
    server.lies_on(values, box.far.id)


@test("move DB: all keys of this database, none of another")
def by_db(box):
    server = box.start()
    values = at_home(box, server, 600)
    server.call("SELECT", 1)
    others = at_home(box, server, 60, prefix="other")
    server.call("SELECT", 0)
    server.call("NUMAMIGRATE", "DB", box.far.id)
    server.finished()
    server.lies_on(values, box.far.id)
    server.call("SELECT", 1)
    server.lies_on(others, box.near.id)


@test("move PATTERN: the keys that match, no others")
def by_pattern(box):
    server = box.start()
    moving = at_home(box, server, 300, prefix="user:a")
    staying = at_home(box, server, 300, prefix="user:b")
    server.call("NUMAMIGRATE", "PATTERN", "user:a*", box.far.id)
    server.finished()
    server.lies_on(moving, box.far.id)
    server.lies_on(staying, box.near.id)


@test("slot 1: hot far keys come near, cold ones stay where a near node has no room for all")
def slot_1(box):
    server = box.start("numa-node-limit", box.near.id, "192kb", quiet=False)
    hot = server.fill(50, 1500, node=box.far.id, prefix="hot")
    cold = server.fill(300, 1500, node=box.far.id, prefix="cold")

    def all_near():
        server.client.all([("NUMA.GET", value.key) for value in hot])
        told = server.key_info([value.key for value in hot])
        return all(info["current_node"] == box.near.id for info in told)

    wait_for("50 hot keys to come near", all_near, 30)
    server.lies_on(hot, box.near.id)
    count = server.shares(cold)
    check(count.get(box.near.id, 0) < 100, "cold keys should stay far:", count)
    check(server.number("slot1_moves") >= 50, server.info())
