#!/usr/bin/env python3
"""The five NUMA types against the stock ones, on one server: memory, and the suite of
redis-benchmark.

    make bench-types                       memory, strings by size, throughput of the suite
    WHAT=memory make bench-types           one of: memory, strings, throughput, instructions
    WHAT=instructions make bench-types     instructions a request (valgrind needed), no times
    ROUNDS=9 ROWS="get set lpush" ...      fewer rounds, some rows

Memory is what MEMORY USAGE says, and by how much used_memory grew, of one key of ELEMENTS elements
with members and values of 16 bytes; and used_memory a key of strings, as memefficiency.tcl of the
stock suite makes them. Each round of the suite runs a command on the stock key, the NUMA key and
the stock one again, at PIPELINE, over KEYS random names; what pops is fed first, uncounted. Quoted
are medians of the rounds' ratios, with the middle half behind them: of requests a second, and of
requests a second of CPU time of the server's main thread, which is the steadier where other work
keeps the machine busy. The last line of each part tells whether it is where it should be, and so
does the exit status.
"""

import os
import pathlib
import random
import statistics
import sys
import time

from servers import KEYS, CountedServer, Server, middle, shown

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo"))
from wire import Client, encode  # noqa: E402  (the path is set just above)

WHAT = os.environ.get("WHAT", "memory strings throughput").split()
ROUNDS = int(os.environ.get("ROUNDS", "21"))
REQUESTS = int(os.environ.get("REQUESTS", "40000"))
PIPELINE = int(os.environ.get("PIPELINE", "16"))
ELEMENTS = int(os.environ.get("ELEMENTS", "1000000"))
STRINGS = 10_000  # as many as memefficiency.tcl makes
VALUE = "x" * int(os.environ.get("SIZE", "3"))  # redis-benchmark's own
SEED = int(os.environ.get("SEED", "1"))
ROWS = os.environ.get("ROWS", "").lower().split()
KEEP = os.environ.get("KEEP")  # a folder for what callgrind counted of each row
BATCH = 1000
USED_STEP = 4096  # what the module's charge of its bytes is rounded to

MEMORY_MAX = 0.75
STRINGS_MAX = {32: 1.13, 64: 1.11, 128: 1.07, 1024: 0.97, 16384: 0.97}
MEAN_MIN = 1.0
ROW_MIN = {"get": 0.95, "set": 0.95}

PUSH = f"lpush mylist {VALUE}"
ADD = "sadd myset element:__rand_int__"
SCORE = "zadd myzset __rand_int__ element:__rand_int__"
# The commands of redis-benchmark: name, words, what feeds it.
SUITE = [
    ("set", f"set key:__rand_int__ {VALUE}", None),
    ("get", "get key:__rand_int__", None),
    ("incr", "incr counter:__rand_int__", None),
    ("lpush", PUSH, None),
    ("rpush", f"rpush mylist {VALUE}", None),
    ("lpop", "lpop mylist", PUSH),
    ("rpop", "rpop mylist", PUSH),
    ("sadd", ADD, None),
    ("hset", f"hset myhash element:__rand_int__ {VALUE}", None),
    ("spop", "spop myset", ADD),
    ("zadd", SCORE, None),
    ("zpopmin", "zpopmin myzset", SCORE),
    ("lrange_100", "lrange mylist 0 99", None),
    ("lrange_300", "lrange mylist 0 299", None),
    ("lrange_500", "lrange mylist 0 499", None),
    ("lrange_600", "lrange mylist 0 599", None),
    ("mset", f"mset {' '.join(['key:__rand_int__', VALUE] * 10)}", None),
]


def on_plane(words, plane):
    """The command on keys of a plane's own; their names are equally long on both."""
    command, key, *rest = words.split()
    if command == "mset":
        rest = [f"{plane}:{word}" if word.startswith("key:") else word for word in rest]
    return ["numa." + command if plane == "numa" else command, f"{plane}:{key}", *rest]


def on_stock(words):
    return on_plane(words, "here")


def on_numa(words):
    return on_plane(words, "numa")


def verdict(good, what):
    print(f"{what}: {'met' if good else 'NOT met'}", flush=True)
    return good


# ---- memory ------------------------------------------------------------------------------------


def used(client):
    """used_memory once it has come to rest: the server's own tables may still be rehashing."""
    last = 0
    for _ in range(100):
        text = client.call("INFO", "memory").decode()
        now = int(text.split("used_memory:")[1].split()[0])
        if abs(now - last) < USED_STEP:
            return now
        last = now
        time.sleep(0.3)
    sys.exit("redis-numa: used_memory does not come to rest")


def fill(client, commands):
    commands = [encode(*words) for words in commands]
    for start in range(0, len(commands), BATCH):
        client.batch(commands[start:start + BATCH])


def elements(command, key):
    """The commands that make a value of so many elements of 16 bytes."""
    dice = random.Random(SEED)
    for n in range(ELEMENTS):
        member = f"m{n:015d}"
        more = {"hset": [member, f"v{n:015d}"], "sadd": [member], "rpush": [member],
                "zadd": [repr(dice.random()), member]}[command.rpartition(".")[2]]
        yield (command, key, *more)


def measured(client, command):
    """MEMORY USAGE and growth of used_memory of one value; it is gone afterwards."""
    client.call("FLUSHALL")
    before = used(client)
    fill(client, elements(command, "key"))
    says, grown = client.call("MEMORY", "USAGE", "key", "SAMPLES", "0"), used(client) - before
    client.call("FLUSHALL")
    return says, grown


def memory(client):
    print(f"memory of {ELEMENTS} elements of 16 bytes, seed {SEED}: MEMORY USAGE, used_memory")
    print("type        stock MB       NUMA MB        ratios")
    good = True
    for kind, command in ("hash", "hset"), ("set", "sadd"), ("zset", "zadd"), ("list", "rpush"):
        stock, ours = measured(client, command), measured(client, "numa." + command)
        ratios = [b / a for a, b in zip(stock, ours)]
        good = good and (kind == "list" or max(ratios) <= MEMORY_MAX)
        cells = [f"{says / 1e6:6.1f} {grown / 1e6:6.1f}" for says, grown in (stock, ours)]
        print(f"{kind:8} {cells[0]}  {cells[1]}  {ratios[0]:.2f} {ratios[1]:.2f}", flush=True)
    return verdict(good, f"hash, set and sorted set at most {MEMORY_MAX} of stock")


def bytes_a_key(client, command, most):
    dice = random.Random(SEED)
    client.call("FLUSHALL")
    before = used(client)
    fill(client, [(command, f"key:{n}", "A" * int(dice.random() * most)) for n in range(STRINGS)])
    return (used(client) - before) / STRINGS


def strings(client):
    print(f"used_memory a key, {STRINGS} strings of random length, seed {SEED}")
    print("up to    stock    NUMA  ratio  at most")
    # What either plane takes once and keeps is no matter of keys.
    for command in "set", "numa.set":
        bytes_a_key(client, command, min(STRINGS_MAX))
    good = True
    for most, limit in STRINGS_MAX.items():
        stock, ours = (bytes_a_key(client, command, most) for command in ("set", "numa.set"))
        good = good and ours / stock <= limit
        print(f"{most:5} {stock:8.1f} {ours:7.1f}  {ours / stock:.3f}  {limit}", flush=True)
    return verdict(good, "strings")


# ---- the suite ---------------------------------------------------------------------------------


def requests_of(name):
    """Fewer of those that answer hundreds of elements."""
    return REQUESTS // 10 if name.startswith("lrange") else REQUESTS


def rows():
    return [row for row in SUITE if not ROWS or row[0] in ROWS]


def prepare(server):
    """All names there, and lists of more than 600 elements, on both planes."""
    for words in (f"set key:__rand_int__ {VALUE}", "set counter:__rand_int__ 0", PUSH, ADD, SCORE,
                  f"hset myhash element:__rand_int__ {VALUE}"):
        for either in on_stock(words), on_numa(words):
            server.bench(2 * KEYS, 64, either)


def runner(server, row):
    """A run of the row's command on each plane: first feed, then what is counted."""
    name, words, feed = row
    sides = []
    for side in (on_stock, on_numa):
        def eat(side=side):
            if feed:
                # Twice as many, for some of them are there already.
                server.bench(2 * REQUESTS, 64, side(feed))

        def run(side=side):
            return server.bench(requests_of(name), PIPELINE, side(words))
        sides.append((eat, run))
    return sides


def on_cpu(server, row, run):
    """Requests a second, and a second of CPU time of the server."""
    before = server.cpu_seconds()
    rate = run()
    return rate, requests_of(row[0]) / (server.cpu_seconds() - before)


def compared(server, row):
    """By round, of both rates: ratios of NUMA to stock, and of stock to itself a run before."""
    (feed_stock, stock), (feed_ours, ours) = runner(server, row)
    rates, ratios, again = [], [], []
    for _ in range(ROUNDS):
        measured = []
        for eat, run in (feed_stock, stock), (feed_ours, ours), (feed_stock, stock):
            eat()
            measured.append(on_cpu(server, row, run))
        before, between, after = measured
        rates.append(before[0])
        ratios.append([2 * b / (a + c) for a, b, c in zip(before, between, after)])
        again.append([c / a for a, c in zip(before, after)])
    return statistics.median(rates), list(zip(*ratios)), list(zip(*again))


def throughput():
    print(f"pipeline {PIPELINE}, {KEYS} names, values of {len(VALUE)} bytes, {ROUNDS} rounds")
    print(f"{'':21}{'requests a second, to stock':>42}{'a second of CPU':>43}")
    print(f"{'command':11} {'stock/s':>9}" + f"{'NUMA':>21}{'stock again':>22}" * 2)
    tables, good = ([], []), True
    with Server() as server:
        prepare(server)
        for row in rows():
            rate, ratios, again = compared(server, row)
            cells = [f"{shown(list(cell)):>21}" for pair in zip(ratios, again) for cell in pair]
            print(f"{row[0]:11} {rate:9.0f} {' '.join(cells)}", flush=True)
            for table, ratio in zip(tables, ratios):
                table.append(ratio)
            good = good and middle(ratios[1])[0] >= ROW_MIN.get(row[0], 0)
    means = [[statistics.geometric_mean(one) for one in zip(*table)] for table in tables]
    print(f"geometric mean        {shown(means[0]):>21} {shown(means[1]):>43}")
    good = good and middle(means[1])[0] >= MEAN_MIN
    return verdict(good, f"by CPU time: mean {MEAN_MIN}, GET and SET {ROW_MIN['get']} of stock")


def instructions():
    print(f"instructions a request at pipeline {PIPELINE}, {KEYS} names, values of {len(VALUE)} "
          f"bytes")
    print("command        stock    NUMA  stock/NUMA")
    ratios = []
    with CountedServer() as server:
        prepare(server)
        for row in rows():
            name, counts = row[0], []
            for (eat, run), plane in zip(runner(server, row), ("stock", "numa")):
                eat()
                counts.append(server.counted(run) / requests_of(name))
                if KEEP:
                    server.keep(pathlib.Path(KEEP) / f"{name}.{plane}")
            ratios.append(counts[0] / counts[1])
            print(f"{name:11} {counts[0]:8.0f} {counts[1]:7.0f}  {ratios[-1]:.3f}", flush=True)
    print(f"geometric mean of stock/NUMA  {statistics.geometric_mean(ratios):.3f}")
    return True


def main():
    good = True
    if {"memory", "strings"} & set(WHAT):
        with Server() as server:
            client = Client(server.port)
            for name, part in ("memory", memory), ("strings", strings):
                good = (part(client) if name in WHAT else True) and good
            client.close()
    for name, part in ("throughput", throughput), ("instructions", instructions):
        good = (part() if name in WHAT else True) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
