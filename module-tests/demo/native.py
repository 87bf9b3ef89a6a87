#!/usr/bin/env python3
"""Native keys of a dataset that knows nothing of the module, tiered while clients read them.

    make demo-native                      1,000,000 keys of five types, a quarter of the bytes near
    KEYS=100000 SECONDS=60 make demo-native

A stock server fills itself and saves. A server with the module loads that file on a simulated
machine whose near node may hold the index and NEAR percent of the value bytes; an unmodified client
asks for keys by Zipf(0.99). At the end each key is asked where it lies, and the near hits to expect
are held against the best static placement of as many bytes, the knapsack of hits by the byte. Then
the server saves, a stock server loads the file, and DEBUG DIGEST must be what it was in the
beginning. Exits with 1 where a digest differs or near hits fall below MIN_RATIO of the oracle.

Settings: KEYS, NEAR (percent), SECONDS (of load), PIPELINE, SEED, MIN_RATIO, ARGS.
"""

import bisect
import itertools
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from wire import encode  # noqa: E402  (the path is set just above)

ROOT = pathlib.Path(__file__).resolve().parents[2]
REDIS = ROOT / "target" / "redis-6.2" / "src"
MODULE = ROOT / "target" / "release" / "libredis_numa.so"
KEYS = int(os.environ.get("KEYS", "1000000"))
NEAR = int(os.environ.get("NEAR", "25"))
SECONDS = float(os.environ.get("SECONDS", "180"))
PIPELINE = int(os.environ.get("PIPELINE", "128"))
SEED = int(os.environ.get("SEED", "1"))
MIN_RATIO = float(os.environ.get("MIN_RATIO", "0.97"))
ZIPF = 0.99
GIB = 1 << 30
BATCH = 1000
KINDS = "string hash list set zset".split()


def name(number):
    return f"{KINDS[number % 5][0]}:{number:08d}"


def make(number):
    """The command that makes a key: some hundred bytes of any type."""
    words = [f"{number:08d}-{part}-{'x' * 16}" for part in range(4)]
    key = name(number)
    return {
        "string": ("SET", key, "-".join(words)),
        "hash": ("HSET", key, "a", words[0], "b", words[1], "c", words[2]),
        "list": ("RPUSH", key, *words),
        "set": ("SADD", key, *words[:3]),
        "zset": ("ZADD", key, 1, words[0], 2, words[1], 3, words[2]),
    }[KINDS[number % 5]]


def read(number):
    """A command that reads a key, and how many lines its reply has."""
    key = name(number)
    return {
        "string": (("GET", key), 2),
        "hash": (("HGET", key, "b"), 2),
        "list": (("LINDEX", key, 1), 2),
        "set": (("SISMEMBER", key, "none"), 1),
        "zset": (("ZSCORE", key, "none"), 1),
    }[KINDS[number % 5]]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server on the folder's file, with the module where it is given arguments for it."""

    def __init__(self, folder, arguments=None):
        self.port = free_port()
        command = [REDIS / "redis-server", "--port", str(self.port), "--save", "", "--dir", folder]
        command += ["--logfile", f"log.{self.port}"]
        if arguments is not None:
            command += ["--loadmodule", MODULE, *arguments.split()]
        self.process = subprocess.Popen(command, cwd=folder)
        self.socket = self.connect()

    def connect(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                found = socket.create_connection(("127.0.0.1", self.port))
                found.sendall(b"PING\r\n")
                if found.recv(64).startswith(b"+PONG"):
                    return found
                found.close()
            except OSError:
                pass
            time.sleep(0.2)
        sys.exit("redis-numa: the server did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        self.process.wait()

    def cli(self, *words):
        command = [REDIS / "redis-cli", "-p", str(self.port), *map(str, words)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def send(self, data, lines):
        """Sends commands and reads their replies: that many lines, of which none is an error."""
        self.socket.sendall(data)
        seen, replies = 0, []
        while seen < lines:
            part = self.socket.recv(1 << 20)
            if not part:
                sys.exit("redis-numa: the server is gone")
            seen += part.count(b"\n")
            replies.append(part)
        return b"".join(replies)

    def info(self, field, section):
        for line in self.cli("info", section).splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
        sys.exit(f"redis-numa: INFO has no {field}")


def batches(size):
    for start in range(0, KEYS, size):
        yield range(start, min(start + size, KEYS))


def fill(folder):
    with Server(folder) as server:
        empty = int(server.info("used_memory", "memory"))
        for numbers in batches(BATCH):
            server.send(b"".join(encode(*make(number)) for number in numbers), len(numbers))
        used = int(server.info("used_memory", "memory")) - empty
        digest = server.cli("debug", "digest")
        server.cli("save")
        return used, digest


def popular(rng):
    """The keys by rank, and the chances of the ranks, summed up."""
    order = list(range(KEYS))
    rng.shuffle(order)
    weights = (1 / rank ** ZIPF for rank in range(1, KEYS + 1))
    return order, list(itertools.accumulate(weights))


def load(server, order, chances, rng):
    """Asks for keys until the time is up; how many requests there were."""
    asked, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        draws = (rng.random() * chances[-1] for _ in range(PIPELINE))
        commands = [read(order[bisect.bisect(chances, draw)]) for draw in draws]
        data = b"".join(encode(*words) for words, _ in commands)
        server.send(data, sum(lines for _, lines in commands))
        asked += PIPELINE
    return asked


def placement(server):
    """The node and the bytes of each key."""
    nodes, sizes = bytearray(KEYS), [0] * KEYS
    for numbers in batches(200):
        for number in numbers:
            words = encode("NUMAMIGRATE", "INFO", name(number))
            server.socket.sendall(words)
        pending, text = len(numbers), b""
        while text.count(b"$6\r\npinned\r\n:") < pending or not text.endswith(b"\n"):
            text += server.socket.recv(1 << 20)
        for number, reply in zip(numbers, text.split(b"$4\r\ntype\r\n")[1:]):
            nodes[number] = int(after(reply, b"current_node\r\n:"))
            sizes[number] = int(after(reply, b"$5\r\nbytes\r\n:"))
    return nodes, sizes


def after(reply, mark):
    return reply.split(mark, 1)[1].split(b"\r", 1)[0]


def hits(order, chances, nodes, sizes):
    """Near hits to expect, and those of the best placement of as many bytes."""
    chance = [b - a for a, b in zip([0, *chances], chances)]
    near_bytes = sum(size for node, size in zip(nodes, sizes) if node == 0)
    ours = sum(chance[rank] for rank, key in enumerate(order) if nodes[key] == 0)
    best, left = 0.0, near_bytes
    by_density = sorted(range(KEYS), key=lambda rank: -chance[rank] / max(1, sizes[order[rank]]))
    for rank in by_density:
        size = sizes[order[rank]]
        if size <= left:
            left -= size
            best += chance[rank]
    return ours / chances[-1], best / chances[-1], near_bytes / sum(sizes)


def main():
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="native-") as folder:
        used, digest = fill(folder)
        arguments = f"numa-simulate 0:{16 * GIB}:80,1:{16 * GIB}:250:cpuless "
        arguments += "numa-native-keys manage " + os.environ.get("ARGS", "")
        with Server(folder, arguments.strip()) as server:
            _, sizes = placement(server)
            values = sum(sizes)
            loaded = int(server.info("used_memory", "memory"))
            # Home is filled up to the high watermark, which is to be what was asked for.
            limit = (loaded - values + values * NEAR // 100) * 100 // 99
            for words in (("watermark-high", 99), ("watermark-low", 98)):
                server.cli("numaconfig", "set", *words)
            server.cli("numaconfig", "set", "node-limit", 0, limit)
            print(f"{KEYS} keys of five types, {values} bytes of values in {used}; limit {limit}",
                  flush=True)
            order, chances = popular(rng)
            asked = load(server, order, chances, rng)
            # What it says of all bytes is what it read after it was asked the last time.
            server.info("numa_near_share_process", "numa")
            nodes, sizes = placement(server)
            ours, best, share = hits(order, chances, nodes, sizes)
            print(f"requests {asked}, {asked / SECONDS:.0f} a second, Zipf({ZIPF}), seed {SEED}")
            print(f"near share of value bytes {share:.3f}, of process bytes "
                  f"{server.info('numa_near_share_process', 'numa')}")
            print(f"near hits {ours:.4f}, oracle {best:.4f}, ratio {ours / best:.4f}; migrations "
                  f"{server.info('numa_migrations', 'numa')}, longest hold "
                  f"{server.info('numa_hold_usec_max', 'numa')} us, tracking "
                  f"{int(server.info('numa_tracking_bytes', 'numa')) / KEYS:.2f} bytes a key")
            same = server.cli("debug", "digest") == digest
            server.cli("save")
        with Server(folder) as stock:
            same_again = stock.cli("debug", "digest") == digest
        print(f"digest under the module {'same' if same else 'DIFFERS'}, "
              f"in a stock server afterwards {'same' if same_again else 'DIFFERS'}")
        return 0 if same and same_again and ours >= MIN_RATIO * best else 1


if __name__ == "__main__":
    sys.exit(main())
