#!/usr/bin/env python3
"""Everything at once, for ten minutes: maxmemory reached, the near node full, children that save,
and a hot set that shifts; a stock server and a quiet one of ours get the same requests in turns.

    make test-pressure
    MINUTES=1 make test-pressure        shorter; also KEYS, SEED, RATE

Three servers. `stock` and `ours` have the same maxmemory, which holds some nine tenths of the keys,
evict by allkeys-lru, and begin a BGSAVE again SAVE_PAUSE seconds after the last one ended; a child
is slowed down (rdb-key-save-delay), or one of so few keys would be over before it was seen. `quiet`
has all keys, no maxmemory and saves nothing; its near node is as large as that of `ours`. Each
round all three get the same batch: reads by Zipf over ranks, and writes of any key, so that
something is evicted all the while. Each SHIFT_SECONDS a tenth of the ranks change their keys.

It passes where `ours`
  gives no kind of error that `stock` does not give,
  keeps at least KEPT_MIN of the keys that `stock` keeps (median of a sample a second),
  is alive at the end, without a panic or a fault of the pool in its INFO or a crash in its log,
  has at most POINTS_MAX points fewer near hits than `quiet` (their own counters, warm-up excluded),
and where maxmemory and the near node were really full. The last line is PASS or FAIL; so says the
exit status.
"""

import bisect
import collections
import itertools
import os
import pathlib
import random
import socket
import statistics
import sys
import time

from servers import Server

MINUTES = float(os.environ.get("MINUTES", "10"))
KEYS = int(os.environ.get("KEYS", "60000"))
SEED = int(os.environ.get("SEED", "1"))
RATE = int(os.environ.get("RATE", "10000"))
ZIPF = 0.99
VALUE_BYTES = 1000
KEY_BYTES_STOCK = 1170          # what a key of that size takes of used_memory, about
NEAR_SHARE = 0.2
WRITES = 0.2                    # of all requests
BATCH = 500
SHIFT_SECONDS = 15
SHIFT_SHARE = 0.1
SAVE_PAUSE = 10
SAVE_DELAY_US = 50              # for each key, in the child
WARM_UP_SHARE = 0.3             # of the time: not counted for near hits
KEPT_MIN = 0.95
POINTS_MAX = 3.0
FAR_BYTES = 4 << 30


class Load:
    """Ranks by Zipf, whose keys change."""

    def __init__(self):
        self.random = random.Random(SEED)
        weights = (1 / (rank + 1) ** ZIPF for rank in range(KEYS))
        self.sums = list(itertools.accumulate(weights))
        self.key_of = list(range(KEYS))
        self.random.shuffle(self.key_of)

    def shift(self):
        """A tenth of the hottest ranks trade keys with cold ones."""
        hot = max(1, int(KEYS * NEAR_SHARE))
        for _ in range(int(hot * SHIFT_SHARE)):
            one, other = self.random.randrange(hot), self.random.randrange(hot, KEYS)
            self.key_of[one], self.key_of[other] = self.key_of[other], self.key_of[one]

    def batch(self):
        """(is a write, key) for each request of one batch."""
        draw = self.random
        for _ in range(BATCH):
            if draw.random() < WRITES:
                yield True, draw.randrange(KEYS)
            else:
                yield False, self.key_of[bisect.bisect(self.sums, draw.random() * self.sums[-1])]


class Client:
    """One server's client: batches, errors by their kind, figures of INFO."""

    def __init__(self, server, prefix):
        self.server, self.prefix = server, prefix
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.file = self.socket.makefile("rb", 1 << 20)
        self.errors = collections.Counter()
        self.missed = 0
        self.saved_at, self.saves, self.saving_seen = 0.0, 0, 0

    def encode(self, requests, value):
        out = []
        get, put = (self.prefix + name for name in (b"get", b"set"))
        for is_write, key in requests:
            words = [put, b"key:%08d" % key, value] if is_write else [get, b"key:%08d" % key]
            out.append(b"*%d\r\n" % len(words))
            out += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        return b"".join(out)

    def serve(self, requests, value):
        self.socket.sendall(self.encode(requests, value))
        for _ in requests:
            line = self.file.readline()
            if not line:
                raise ConnectionError("the server is gone")
            if line.startswith(b"-"):
                self.errors[line[1:].split()[0].decode()] += 1
            elif line.startswith(b"$-"):
                self.missed += 1
            elif line.startswith(b"$"):
                self.file.read(int(line[1:]) + 2)

    def ask(self, *words):
        """A command with a one-line or bulk reply."""
        out = [b"*%d\r\n" % len(words)]
        out += [b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words]
        self.socket.sendall(b"".join(out))
        line = self.file.readline()
        if line.startswith(b"$"):
            return self.file.read(int(line[1:]) + 2)[:-2].decode()
        return line[1:].strip().decode()

    def info(self, section):
        lines = self.ask("info", section).split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def accesses(self):
        fields = self.info("numa")
        return int(fields["numa_accesses_near"]), int(fields["numa_accesses_far"])

    def keep_saving(self, now):
        """Begins a BGSAVE unless one runs or has just ended."""
        if self.info("persistence")["rdb_bgsave_in_progress"] == "1":
            self.saving_seen += 1
            self.saved_at = now
        elif now - self.saved_at > SAVE_PAUSE:
            self.ask("bgsave")
            self.saves += 1
            self.saved_at = now


def near_share(before, after):
    near, far = after[0] - before[0], after[1] - before[1]
    return 100.0 * near / max(1, near + far)


def module_arguments(near_bytes):
    return f"numa-simulate 0:{near_bytes}:80,1:{FAR_BYTES}:250:cpuless"


class Run:
    def __init__(self, stock, ours, quiet):
        self.stock, self.ours, self.quiet = stock, ours, quiet
        self.clients = (stock, ours, quiet)
        self.load = Load()
        self.kept, self.full, self.near_full = [], 0, []
        self.requests = 0
        self.near = self.near_quiet = 0.0

    def fill(self):
        for start in range(0, KEYS, BATCH):
            requests = [(True, key) for key in range(start, min(KEYS, start + BATCH))]
            self.serve(requests)

    def serve(self, requests):
        value = b"v" * VALUE_BYTES
        for client in self.clients:
            client.serve(requests, value)
        self.requests += len(requests)

    def look(self, now):
        """Once a second: keys kept, and whether memory and near node are full."""
        self.stock.keep_saving(now)
        self.ours.keep_saving(now)
        mine, theirs = int(self.ours.ask("dbsize")), int(self.stock.ask("dbsize"))
        self.kept.append(mine / max(1, theirs))
        memory = self.ours.info("memory")
        self.full += int(memory["used_memory"]) > 0.97 * int(memory["maxmemory"])
        fields = self.ours.info("numa")
        used, most = fields["numa_node0_used_bytes"], fields["numa_node0_capacity_bytes"]
        self.near_full.append(int(used) / int(most))

    def drive(self, seconds):
        begun = time.monotonic()
        looked, shifted, counted = begun, begun, None
        while (now := time.monotonic()) - begun < seconds:
            if now - looked >= 1:
                looked = now
                self.look(now)
            if now - shifted >= SHIFT_SECONDS:
                shifted = now
                self.load.shift()
            if counted is None and now - begun > seconds * WARM_UP_SHARE:
                counted = self.ours.accesses(), self.quiet.accesses()
            self.serve(list(self.load.batch()))
            ahead = (self.requests - KEYS) / RATE - (time.monotonic() - begun)
            time.sleep(max(0.0, min(ahead, 0.5)))
        mine, theirs = counted
        self.near = near_share(mine, self.ours.accesses())
        self.near_quiet = near_share(theirs, self.quiet.accesses())


def judge(run, log):
    """Each finding with whether it is as it must be."""
    stock, ours = run.stock, run.ours
    fields = ours.info("numa")
    new_errors = sorted(set(ours.errors) - set(stock.errors))
    kept = statistics.median(run.kept)
    seconds = max(1, len(run.kept))
    crashed = "REDIS BUG REPORT" in log or "BUG, contained" in log
    faults = int(fields["numa_panics_caught"]) + int(fields["numa_pool_faults"])
    evicted = int(ours.info("stats")["evicted_keys"])
    return [
        (evicted > 0 and run.full > seconds * 0.5,
         f"maxmemory was reached: {evicted} keys evicted (stock: "
         f"{stock.info('stats')['evicted_keys']}), full in {run.full} of {seconds} looks"),
        (statistics.median(run.near_full) > 0.8,
         f"the near node was full: {100 * statistics.median(run.near_full):.1f} % (median)"),
        (ours.saving_seen > 0 and stock.saving_seen > 0,
         f"children saved: {ours.saves} of ours, seen in {ours.saving_seen} looks; "
         f"{stock.saves} of stock, seen in {stock.saving_seen}"),
        (not new_errors,
         f"errors: ours {dict(ours.errors)}, stock {dict(stock.errors)}, new kinds {new_errors}"),
        (kept >= KEPT_MIN, f"keys kept: {kept:.4f} of stock's (median of {seconds})"),
        (not crashed and not faults, f"no crash, {faults} panics and faults of the pool"),
        (run.near >= run.near_quiet - POINTS_MAX,
         f"near hits: {run.near:.2f} %, quiet run {run.near_quiet:.2f} % "
         f"({run.near - run.near_quiet:+.2f} points)"),
    ]


def main():
    most = int(KEYS * 0.9 * KEY_BYTES_STOCK)
    near = int(KEYS * NEAR_SHARE * VALUE_BYTES)
    pressed = ["--maxmemory", str(most), "--maxmemory-policy", "allkeys-lru",
               "--rdb-key-save-delay", str(SAVE_DELAY_US)]
    args = module_arguments(near)
    print(f"{KEYS} keys of {VALUE_BYTES} bytes, near {near} bytes, maxmemory {most}, seed {SEED}, "
          f"{MINUTES:g} minutes, {RATE} requests a second at most", flush=True)
    with Server(more=pressed, arguments=None) as stock, \
            Server(more=[*pressed, "--logfile", "log"], arguments=args) as ours, \
            Server(arguments=args) as quiet:
        run = Run(Client(stock, b""), Client(ours, b"numa."), Client(quiet, b"numa."))
        log = pathlib.Path(ours.folder.name) / "log"
        try:
            run.fill()
            run.drive(MINUTES * 60)
            findings = judge(run, log.read_text(errors="replace"))
        except (ConnectionError, OSError) as error:
            findings = [(False, f"a server went away: {error}")]
    print(f"{run.requests} requests to each server; reads that found nothing: stock "
          f"{run.stock.missed}, ours {run.ours.missed}, quiet {run.quiet.missed}")
    for good, line in findings:
        print(f"{'ok  ' if good else 'FAIL'} {line}")
    passed = all(good for good, _ in findings)
    print("PASS" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
