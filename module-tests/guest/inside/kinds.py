"""One key of each encoding of both planes, and where its elements really lie.

Each element begins with a nonce and a tag. A collection's elements cannot be tagged anew in place,
as strings are, and where one was moved a freed copy may stay. So all copies that are found have
their tags changed from outside, each to another one, and the server is asked for the value: the tag
that comes back names the copy that is live. Then the old tags are put back, where they are still
the judge's. The server is stopped while its memory is read or written.
"""

import os
import signal
import struct

import judge
from box import check

# The last byte of a tag: as the highest of a number it makes the tag a large, positive one.
LAST = b"\x7f"
NUMBERS = struct.Struct("<5q")


class Kind:
    """An encoding: how a key of it is made and read."""

    def __init__(self, name, encoding, count, size, make, read):
        self.name, self.encoding, self.count, self.size = name, encoding, count, size
        self.make, self.read = make, read


def scored(elements):
    return [word for at, element in enumerate(elements) for word in (at, element)]


def named(elements):
    return [word for at, element in enumerate(elements) for word in (f"field:{at}", element)]


def adds(command, words=list):
    """Makes a key by one command with all elements."""
    return lambda key, elements: [(command, key, *words(elements))]


def numbers(key, elements):
    """An element as five numbers, of which the last, the largest, is the tag."""
    return [("SADD", key, *NUMBERS.unpack(element)) for element in elements]


def entries(key, elements):
    """A stream in one go: of one that grows after it was settled the new entries lie near."""
    script = "for i = 1, #ARGV do redis.call('XADD', KEYS[1], i .. '-1', 'field', ARGV[i]) end"
    return [("EVAL", script, 1, key, *elements)]


NATIVE = [
    Kind("embstr", "embstr", 1, 40, adds("SET"), ("GET",)),
    Kind("raw", "raw", 1, 900, adds("SET"), ("GET",)),
    Kind("raw of many OS pages", "raw", 1, 60_000, adds("SET"), ("GET",)),
    Kind("quicklist", "quicklist", 200, 90, adds("RPUSH"), ("LRANGE", 0, -1)),
    Kind("intset", "intset", 1, 40, numbers, ("SMEMBERS",)),
    Kind("hashtable of a set", "hashtable", 200, 70, adds("SADD"), ("SMEMBERS",)),
    Kind("ziplist of a zset", "ziplist", 20, 48, adds("ZADD", scored), ("ZRANGE", 0, -1)),
    Kind("skiplist", "skiplist", 200, 70, adds("ZADD", scored), ("ZRANGE", 0, -1)),
    Kind("ziplist of a hash", "ziplist", 20, 48, adds("HSET", named), ("HVALS",)),
    Kind("hashtable of a hash", "hashtable", 200, 70, adds("HSET", named), ("HVALS",)),
    Kind("stream", "stream", 60, 70, entries, ("XRANGE", "-", "+")),
]
NUMA = [
    Kind("numa string", None, 1, 40, adds("NUMA.SET"), ("NUMA.GET",)),
    Kind("large numa string", None, 1, 60_000, adds("NUMA.SET"), ("NUMA.GET",)),
    Kind("small numa list", None, 10, 48, adds("NUMA.RPUSH"), ("NUMA.LRANGE", 0, -1)),
    Kind("numa list", None, 300, 120, adds("NUMA.RPUSH"), ("NUMA.LRANGE", 0, -1)),
    Kind("small numa set", None, 10, 48, adds("NUMA.SADD"), ("NUMA.SMEMBERS",)),
    Kind("numa set", None, 300, 120, adds("NUMA.SADD"), ("NUMA.SMEMBERS",)),
    Kind("small numa zset", None, 10, 48, adds("NUMA.ZADD", scored), ("NUMA.ZRANGE", 0, -1)),
    Kind("numa zset", None, 300, 120, adds("NUMA.ZADD", scored), ("NUMA.ZRANGE", 0, -1)),
    Kind("small numa hash", None, 10, 48, adds("NUMA.HSET", named), ("NUMA.HVALS",)),
    Kind("numa hash", None, 300, 120, adds("NUMA.HSET", named), ("NUMA.HVALS",)),
]

# These move in slices; a native one of so many elements stays where it is.
BIG = [
    Kind("big numa list", None, 2500, 300, adds("NUMA.RPUSH"), ("NUMA.LRANGE", 0, -1)),
    Kind("big numa set", None, 2500, 300, adds("NUMA.SADD"), ("NUMA.SMEMBERS",)),
    Kind("big numa zset", None, 2500, 300, adds("NUMA.ZADD", scored), ("NUMA.ZRANGE", 0, -1)),
    Kind("big numa hash", None, 2500, 300, adds("NUMA.HSET", named), ("NUMA.HVALS",)),
]
TOO_BIG = Kind("big hashtable", "hashtable", 5000, 70, adds("HSET", named), ("HVALS",))


class Kept:
    """A stored key: its kind, and its elements by their nonces."""

    def __init__(self, kind, key, marker, dice):
        self.kind, self.key = kind, key
        self.elements = {}
        for _ in range(kind.count):
            if kind.encoding == "intset":
                nonce = b"".join(sorted((dice.randbytes(7) + bytes([9]) for _ in range(4)), key=as_number))
            else:
                nonce = dice.randbytes(judge.NONCE)
            self.elements[nonce] = nonce + marker + dice.randbytes(kind.size - judge.HEAD)

    def make(self):
        """The commands that store it."""
        return self.kind.make(self.key, list(self.elements.values()))

    def read(self):
        """The command that answers all of it."""
        command, *rest = self.kind.read
        return (command, self.key, *rest)

    def read_from(self, reply):
        """Its elements as the server has answered them."""
        if self.kind.encoding == "intset":
            return [NUMBERS.pack(*sorted(map(int, reply)))]
        return [item for item in flat(reply) if item[:judge.NONCE] in self.elements]


def held(pid, address):
    """The tag at an address; nothing where a copy was, and its memory has gone since."""
    try:
        return judge.read(pid, address, judge.TAG)
    except OSError:
        return None


def as_number(eight):
    return int.from_bytes(eight, "little", signed=True)


def flat(reply):
    """Every string of a nested reply."""
    if isinstance(reply, list):
        for item in reply:
            yield from flat(item)
    else:
        yield reply


class Fill:
    """Keys in a server, all of them judged together."""

    def __init__(self, server, kinds, each=1, prefix="kept", between=()):
        """`between`: commands of which one is sent before each."""
        self.server, dice = server, server.box.dice
        self.marker = dice.randbytes(judge.TAG - 1) + LAST
        self.kept = [
            Kept(kind, f"{prefix}:{kind.name}:{at}", self.marker, dice) for kind in kinds for at in range(each)
        ]
        made = [command for kept in self.kept for command in kept.make()]
        if between:
            made = [command for both in zip(between, made, strict=True) for command in both]
        server.client.all(made, 100)

    def keys(self):
        return [kept.key for kept in self.kept]

    def encodings(self):
        """Each native key is of its encoding."""
        for kept in self.kept:
            if kept.kind.encoding:
                encoding = self.server.call("OBJECT", "ENCODING", kept.key).decode()
                check(encoding == kept.kind.encoding, f"{kept.key} is {encoding}")

    def live(self):
        """The address of each element's live copy, by its nonce."""
        server = self.server
        nonces = {nonce for kept in self.kept for nonce in kept.elements}
        with stopped(server.pid):
            found = judge.find(server.pid, self.marker, nonces)
            poked = {}
            for nonce, addresses in found.items():
                for address in addresses:
                    tag = server.box.dice.randbytes(judge.TAG - 1) + LAST
                    poked[tag] = (nonce, address)
                    judge.write(server.pid, address + judge.NONCE, tag)
        live = {}
        try:
            replies = server.client.all([kept.read() for kept in self.kept], 100)
            for kept, reply in zip(self.kept, replies):
                items = kept.read_from(reply)
                check(len(items) == kept.kind.count, f"{kept.key} has {len(items)} elements")
                for item in items:
                    nonce, tag = item[:judge.NONCE], item[judge.NONCE:judge.HEAD]
                    whole = nonce + self.marker + item[judge.HEAD:]
                    check(whole == kept.elements[nonce], f"{kept.key} holds other bytes than stored")
                    check(poked.get(tag, (b"",))[0] == nonce, f"{kept.key}: an element was not found")
                    live[nonce] = poked[tag][1]
        finally:
            with stopped(server.pid):
                for tag, (_, address) in poked.items():
                    if held(server.pid, address + judge.NONCE) == tag:
                        judge.write(server.pid, address + judge.NONCE, self.marker)
        return live

    def places(self):
        """Bytes of each key's elements by node, as the kernel says."""
        live = self.live()
        spans = [(live[nonce], len(data)) for kept in self.kept for nonce, data in kept.elements.items()]
        answers = iter(judge.bytes_by_node(self.server.pid, spans))
        self.server.box.judged += len(spans)
        places = {}
        for kept in self.kept:
            by_node = places[kept.key] = {}
            for _ in kept.elements:
                for node, size in next(answers).items():
                    by_node[node] = by_node.get(node, 0) + size
        return places

    def lies_on(self, node):
        """Every element of every key lies on that node, and the module says so."""
        for key, by_node in self.places().items():
            check(set(by_node) == {node}, f"{key} should lie on node {node}, judged {by_node}")
        self.says(node)

    def says(self, node):
        for key, told in zip(self.keys(), self.server.key_info(self.keys())):
            check(told["current_node"] == node, f"{key}: judged on node {node}, the module says {told}")

    def is_where_it_says(self):
        """Each key lies, with every element, where the module says; how many keys lie on which node."""
        count = {}
        for (key, by_node), told in zip(self.places().items(), self.server.key_info(self.keys())):
            check(set(by_node) == {told["current_node"]}, f"{key}: judged {by_node}, the module says {told}")
            count[told["current_node"]] = count.get(told["current_node"], 0) + 1
        return count


class stopped:
    """The process stands still meanwhile."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        # The signal is sent, not yet obeyed: its state tells.
        while stat_of(self.pid) not in "Tt":
            os.sched_yield()

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def stat_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]
