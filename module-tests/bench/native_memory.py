"""What native keys that are watched and moved cost in memory: `WHAT=memory make bench-native`.

    churn      100,000 keys of five types, all far and all back 20 times: used_memory, resident
    tracking   what the module keeps to watch KEYS native keys, seven in eight of them far
    copies     what BGSAVE copies while clients write and read, beside a server without the module

Each is a server of its own. Settings: CHURN_KEYS, CHURN_ROUNDS,
KEYS, COPY_ROUNDS.
"""

import os
import pathlib
import statistics
import subprocess
import time

from servers import ARGUMENTS, KEYS, REDIS, Server

CHURN_KEYS = int(os.environ.get("CHURN_KEYS", "100000"))
CHURN_ROUNDS = int(os.environ.get("CHURN_ROUNDS", "20"))
COPY_ROUNDS = int(os.environ.get("COPY_ROUNDS", "5"))
MANAGING = f"{ARGUMENTS} numa-native-keys manage"
# What would take minutes by the default pace.
HURRIED = f"{MANAGING} numa-cpu-share 50 numa-tick-interval 1"
FILL = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]), 5 do
    redis.call('set', 's:' .. i, string.rep('x', 100))
    redis.call('hset', 'h:' .. i, 'a', string.rep('x', 30), 'b', string.rep('y', 30))
    redis.call('rpush', 'l:' .. i, string.rep('x', 30), string.rep('y', 30), i)
    redis.call('sadd', 'u:' .. i, string.rep('x', 30), string.rep('y', 30), 'z')
    redis.call('zadd', 'z:' .. i, 1, string.rep('x', 30), 2, string.rep('y', 30))
end
"""


def cli(server, *words):
    command = [REDIS / "redis-cli", "-p", server.port, *words]
    command = [str(word) for word in command]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def field(server, section, name):
    for line in cli(server, "info", section).splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":", 1)[1])
    raise SystemExit(f"redis-numa: INFO {section} has no {name}")


def fill(server, keys):
    for start in range(0, keys, 5000):
        cli(server, "eval", FILL, 0, start, min(start + 5000, keys) - 1)


def resident(server):
    pages = pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def send_all(server, node):
    """Sends every key to a node and waits for that; used_memory and resident bytes after it."""
    cli(server, "numamigrate", "db", node)
    while field(server, "numa", "numa_pass_running"):
        time.sleep(0.05)
    cli(server, "memory", "purge")
    # The allocator's own decay and the server's cron come after the moves.
    time.sleep(0.3)
    return field(server, "memory", "used_memory"), resident(server)


def walk(server):
    """Waits until the module has walked over all keys: it keeps some names of each walk."""
    walks = field(server, "numa", "numa_surveys")
    while field(server, "numa", "numa_surveys") < walks + 2:
        time.sleep(0.2)


def churn():
    with Server(arguments=HURRIED) as server:
        fill(server, CHURN_KEYS)
        walk(server)
        cli(server, "memory", "purge")
        time.sleep(0.3)
        start = field(server, "memory", "used_memory"), resident(server)
        digest = cli(server, "debug", "digest")
        print(f"{CHURN_KEYS} native keys of five types, all far and back; of the start:")
        print("round  used_memory  resident")
        for turn in range(1, CHURN_ROUNDS + 1):
            send_all(server, 1)
            now = send_all(server, 0)
            if turn in (1, 2, 5, 10, CHURN_ROUNDS):
                used, held = (after / before for after, before in zip(now, start))
                print(f"{turn:5}  {used:11.4f}  {held:8.4f}", flush=True)
        same = cli(server, "debug", "digest") == digest
        moves, hold = (field(server, "numa", f"numa_{what}") for what in
                       ("migrations", "hold_usec_max"))
        print(f"digest {'same' if same else 'DIFFERS'}, moves {moves}, longest hold {hold} us")


def tracking():
    """Seven in eight far: the near node holds the index and an eighth of the value bytes."""
    with Server(arguments=HURRIED) as server:
        fill(server, KEYS)
        send_all(server, 1)
        # The first one counts the far keys, the second one has a set made for them.
        walk(server)
        walk(server)
        kept = field(server, "numa", "numa_tracking_bytes")
        far = field(server, "numa", "numa_far_keys")
        print(f"tracking {KEYS} native keys, {far} of them far: {kept} bytes, "
              f"{kept / KEYS:.2f} a key", flush=True)


def copied(server, keys):
    """Bytes that a BGSAVE has copied while clients wrote and read."""
    cli(server, "config", "set", "rdb-key-save-delay", 2_000_000 // keys)
    cli(server, "bgsave")
    server.bench(keys // 20, 16, ["set", "s:__rand_int__", "x" * 100], keys)
    server.bench(keys, 16, ["get", "s:__rand_int__"], keys)
    cli(server, "config", "set", "rdb-key-save-delay", 0)
    while field(server, "persistence", "rdb_bgsave_in_progress"):
        time.sleep(0.05)
    return field(server, "persistence", "rdb_last_cow_size")


def copies():
    keys, ratios = CHURN_KEYS, []
    # The index and a third of the values fit: keys move until the child starts, and after it.
    tight = f"{MANAGING} numa-node-limit 0 {keys * 150}"
    with Server(arguments=None) as stock, Server(arguments=tight) as module:
        for server in (stock, module):
            server.bench(4 * keys, 64, ["set", "s:__rand_int__", "x" * 100], keys)
        for _ in range(COPY_ROUNDS):
            without, with_module = copied(stock, keys), copied(module, keys)
            ratios.append(with_module / without)
            print(f"BGSAVE copied {without} bytes without, {with_module} with: {ratios[-1]:.3f}",
                  flush=True)
        print(f"copied with / without, median of {COPY_ROUNDS}: {statistics.median(ratios):.3f}; "
              f"moves {field(module, 'numa', 'numa_migrations')}")


def memory():
    churn()
    tracking()
    copies()
