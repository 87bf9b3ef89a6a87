#!/usr/bin/env python3
"""Whether deleting a random half of what NUMA types hold gives its memory back, on live servers.

    make bench-compaction
    KEYS=100000 SECONDS_MAX=30 make bench-compaction
    KIND=hash make bench-compaction

Two servers side by side: one is filled with KEYS strings of 16 to 512 bytes and loses a random
half, the other only ever holds the survivors. With KIND=hash, set or zset it is the fields or the
members of nine values that half of is deleted; with KIND=list the elements, each of them one of 64
texts, of which half are removed. Printed is how their used_memory and their resident bytes compare,
second by second, until both are within RATIO_MAX or SECONDS_MAX have passed. Key names and dict
entries are the server's own: it compacts them itself where `activedefrag yes` says so, which both
servers are given. For lists a round of compaction is asked for: the pool cannot see that leaves are
half empty. The exit status tells whether the ratio was reached.
"""

import os
import random
import socket
import sys
import time

from servers import Server

KEYS = int(os.environ.get("KEYS", "1000000"))
SECONDS_MAX = float(os.environ.get("SECONDS_MAX", "60"))
RATIO_MAX = float(os.environ.get("RATIO_MAX", "1.10"))
SEED = int(os.environ.get("SEED", "1"))
KIND = os.environ.get("KIND", "string")
VALUES = 9
TEXTS = 64
BATCH = 1000
DEFRAG = ["--activedefrag", "yes", "--active-defrag-ignore-bytes", "1mb",
          "--active-defrag-threshold-lower", "5"]


class Client:
    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.replies = self.connection.makefile("rb")

    def send(self, commands):
        """Sends commands at once and reads a line of reply for each."""
        out = []
        for words in commands:
            out.append(b"*%d\r\n" % len(words))
            out += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.connection.sendall(b"".join(out))
        for _ in commands:
            line = self.replies.readline()
            if not line or line.startswith(b"-"):
                sys.exit(f"redis-numa: the server answered {line!r}")

    def ask(self, commands):
        """The same for commands that may answer anything."""
        for words in commands:
            self.send([words])
            self.skip_rest()

    def skip_rest(self):
        """Reads on until an echo: whatever stood in between was the rest of a reply."""
        self.connection.sendall(b"*2\r\n$4\r\necho\r\n$4\r\n\0end\r\n")
        while self.replies.readline() != b"\0end\r\n":
            pass

    def wait(self, field, seconds=120):
        """Until that field of the module's INFO is not 0."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if int(self.info("numa")[field]):
                return
            time.sleep(0.2)
        sys.exit(f"redis-numa: {field} stayed 0")

    def info(self, section):
        self.connection.sendall(b"*2\r\n$4\r\ninfo\r\n$%d\r\n%s\r\n"
                                % (len(section), section.encode()))
        length = int(self.replies.readline()[1:])
        lines = self.replies.read(length + 2).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def memory(self):
        """used_memory and resident bytes."""
        fields = self.info("memory")
        return int(fields["used_memory"]), int(fields["used_memory_rss"])


THINGS = {"string": "strings", "hash": "fields", "set": "members", "zset": "members of sorted sets",
          "list": "elements"}


def batches(items):
    for start in range(0, len(items), BATCH):
        yield items[start:start + BATCH]


def text(number, limit):
    return b"v" * (number * 7919 % (limit - 15) + 16)


def key(number):
    return b"key:%d" % (number if KIND == "string" else number % VALUES)


def text_of(number):
    """Which of the TEXTS texts, by no pattern."""
    return (number * 2654435761 >> 16) % TEXTS


def element(text_number):
    """That text: each has a length of its own."""
    return b"%d:%s" % (text_number, b"e" * text_number)


FILL = {
    "string": lambda n: (b"numa.set", key(n), text(n, 512)),
    "hash": lambda n: (b"numa.hset", key(n), b"field:%d" % n, text(n, 200)),
    "set": lambda n: (b"numa.sadd", key(n), b"member:%d:%s" % (n, text(n, 100))),
    "zset": lambda n: (b"numa.zadd", key(n), b"%d" % (n * 7919 % 1_000_003),
                       b"member:%d:%s" % (n, text(n, 100))),
    "list": lambda n: (b"numa.rpush", key(n), element(text_of(n))),
}
DELETE = {
    "string": lambda n: (b"del", key(n)),
    "hash": lambda n: (b"numa.hdel", key(n), b"field:%d" % n),
    "set": lambda n: (b"numa.srem", key(n), b"member:%d:%s" % (n, text(n, 100))),
    "zset": lambda n: (b"numa.zrem", key(n), b"member:%d:%s" % (n, text(n, 100))),
}


def fill(client, numbers):
    for batch in batches(numbers):
        client.send([FILL[KIND](n) for n in batch])


def halves(numbers):
    """What goes and what stays: a random half, or half of the texts."""
    if KIND == "list":
        goes = lambda n: text_of(n) % 2
        return [n for n in numbers if goes(n)], sorted(n for n in numbers if not goes(n))
    return numbers[:KEYS // 2], sorted(numbers[KEYS // 2:])


def delete(client, gone):
    if KIND != "list":
        for batch in batches(gone):
            client.send([DELETE[KIND](n) for n in batch])
        return
    for name in {key(n) for n in gone}:
        for number in range(1, TEXTS, 2):
            client.send([(b"numa.lrem", name, b"0", element(number))])


def main():
    numbers = list(range(KEYS))
    random.Random(SEED).shuffle(numbers)
    gone, kept = halves(numbers)
    with Server(more=DEFRAG) as halved, Server(more=DEFRAG) as control:
        ours, theirs = Client(halved.port), Client(control.port)
        fill(ours, sorted(numbers))
        fill(theirs, kept)
        print("             used_memory            resident     ratios to a server that only ever"
              " held the survivors", flush=True)
        show("full", ours, theirs)
        delete(ours, gone)
        if KIND == "list":
            ours.send([(b"numa", b"compact")])
        begun = time.monotonic()
        while True:
            passed = time.monotonic() - begun
            ratios = show(f"{passed:5.1f} s", ours, theirs)
            if max(ratios) <= RATIO_MAX or passed > SECONDS_MAX:
                break
            time.sleep(2)
    reached = max(ratios) <= RATIO_MAX
    print(f"{KEYS} {THINGS[KIND]}, half deleted: used_memory {ratios[0]:.3f},"
          f" resident {ratios[1]:.3f}"
          f" of the survivors' server after {passed:.0f} s"
          f" ({'within' if reached else 'NOT within'} {RATIO_MAX})")
    return 0 if reached else 1


def show(when, ours, theirs):
    (used, resident), (used_theirs, resident_theirs) = ours.memory(), theirs.memory()
    ratios = used / used_theirs, resident / resident_theirs
    print(f"{when:8} {used:14} {ratios[0]:6.3f} {resident:14} {ratios[1]:6.3f}", flush=True)
    return ratios


if __name__ == "__main__":
    sys.exit(main())
