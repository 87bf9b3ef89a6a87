"""One row of `make bench-numa`: a server whose memory is placed one way, under Zipf requests.

    table.py <settings as JSON>

Requests come in windows. The plugin outside counts each window's misses by node; a window ends here
with a mark, an instruction that the plugin knows. What only the inside can tell goes to stdout, a
JSON object a line: where the bytes lie, what was moved, which mapping holds which addresses.

A row is data: how the server starts, what of the kernel is switched on, which commands it is asked
with, and how many windows it gets. Rows that never move a byte need few. All rows see nodes near
and far alone (a cpuset bars the third), the same keys, the same requests.

Time here is the guest's own work: a nanosecond for each instruction of any CPU, and none passes
while the emulator is slow (see qemu.py). So every setting of time, of the kernel and of the module
alike, is the default one, and a move costs what it costs beside a request. To warm up, requests come
at RATE, so that the kernel and the module have time for their work, and where no work is to be done
time jumps. The last windows, of which the last one counts, are as fast as client and server can be:
what anybody does beside the requests then shows at the share that a busy server gives it.

The emulator counts an instruction for the CPU that met it first. So no code is shared between the
server's CPU and another one's: the server has copies of its libraries, and begins on its CPU.
"""

import ctypes
import itertools
import json
import math
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import time
import traceback

# Python fetches these on first use; in the guest only what is imported now is there.
import encodings.ascii  # noqa: F401
import encodings.idna  # noqa: F401
import encodings.latin_1  # noqa: F401
import encodings.utf_8  # noqa: F401
import linecache  # noqa: F401
import tokenize  # noqa: F401

import box
import damon
import judge
import nodes
import wire

SIZES = [64, 96, 160, 256, 448, 768, 1024]
DEPTH = 50  # requests in flight
FAST = 3  # windows at full speed, and all of a row that does not move
SET_MEMPOLICY = 238  # the system call's number on amd64
# Nodes by their number, whatever cpuset the server is in.
STATIC = 1 << 15
BIND, INTERLEAVE, WEIGHTED = 2 | STATIC, 3 | STATIC, 6 | STATIC
WEIGHTS = pathlib.Path("/sys/kernel/mm/mempolicy/weighted_interleave")
DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"
SERVER_CPU, CLIENT_CPUS = 1, (2, 3)
PIECE = 64 << 10
RATE = 10_000  # requests in a second of the warm-up
SCANS = pathlib.Path("/sys/kernel/debug/sched/numa_balancing")
LIBRARIES = pathlib.Path("/lib/all")


def say(**facts):
    print(json.dumps(facts), flush=True)


def make_mark():
    """A function that executes the mark with an id."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))

    def mark(number):
        # nopl 0x4e554d<number>(%rax,%rax,1); ret. Each id has code of its own: what was translated
        # once is not looked at again.
        at = number * 16
        memory[at:at + 9] = b"\x0f\x1f\x84\x00" + bytes([number]) + b"MUN\xc3"
        ctypes.CFUNCTYPE(None)(address + at)()

    return mark


def set_policy(mode, *on):
    """The memory policy that programs started from now on inherit."""
    mask = ctypes.c_ulong(sum(1 << node for node in on))
    if judge.libc.syscall(SET_MEMPOLICY, mode, ctypes.byref(mask) if on else None, 64 if on else 0):
        raise OSError(ctypes.get_errno(), "set_mempolicy")


class Load:
    """Keys of mixed sizes and requests for them, the same for every row of a seed."""

    def __init__(self, box_, settings, get, put):
        self.box, self.get, self.put = box_, get, put
        self.dice = box_.dice
        self.values = [
            box.Value(f"key:{i}", self.dice.choice(SIZES), self.dice) for i in range(settings["keys"])
        ]
        weights = [1 / rank ** settings["skew"] for rank in range(1, settings["keys"] + 1)]
        self.sums = list(itertools.accumulate(weights))
        # Which key has which rank: neither its age nor its size tells.
        self.ranked = self.dice.sample(self.values, len(self.values))
        self.requests, self.skew = settings["requests"], settings["skew"]
        self.encoded = {}

    @property
    def value_bytes(self):
        return sum(len(value.data) for value in self.values)

    def fill(self, server):
        server.client.all([(self.put, value.key, value.data) for value in self.values], DEPTH)
        self.encoded = {value: wire.encode(self.get, value.key) for value in self.values}
        self.answers = {v: len(b"$%d\r\n" % len(v.data)) + len(v.data) + 2 for v in self.values}

    def window(self, server, rate):
        """One window's requests, at most `rate` a second; the replies are counted by their bytes."""
        left, due = self.requests, time.monotonic()
        while left > 0:
            some = self.dice.choices(self.ranked, cum_weights=self.sums, k=min(left, DEPTH))
            due += len(some) / rate
            time.sleep(max(0, due - time.monotonic()))
            server.client.socket.sendall(b"".join(self.encoded[value] for value in some))
            wanted = sum(self.answers[value] for value in some)
            while wanted > 0:
                wanted -= len(server.client.receive())
            box.check(wanted == 0, "a reply had another length than its value")
            left -= len(some)

    def best(self, budget):
        """The values that are asked for most by the byte, as many as the budget holds, and the rest."""
        rank = {value: number for number, value in enumerate(self.ranked, 1)}
        chosen, rest = [], []
        for value in sorted(self.values, key=lambda value: rank[value] ** self.skew * len(value.data)):
            fits = len(value.data) <= budget
            (chosen if fits else rest).append(value)
            budget -= len(value.data) if fits else 0
        return chosen, rest

    def spans(self, server):
        """Where the values lie in the server's memory: an address and a length each."""
        tag = self.dice.randbytes(judge.TAG)
        edit = self.put.replace("SET", "SETRANGE")
        server.client.all([(edit, value.key, judge.NONCE, tag) for value in self.values], DEPTH)
        found = judge.find(server.pid, tag, {value.nonce for value in self.values})
        return [(min(found[value.nonce]), len(value.data)) for value in self.values]


class Row:
    """How one row places memory. `tiered`: only the index and the budget fit near, so what moves
    has a reason to; then `windows` are the settings', else few."""

    tiered, module, get, put = False, False, "GET", "SET"

    def arguments(self, near, budget):
        """The module's arguments, where it is loaded. `budget`: bytes of values on node `near`."""
        return []

    def before(self, box_):
        """Before the server starts."""

    def after(self, box_, server, load, budget):
        """When it is filled."""


class AllNear(Row):
    def before(self, box_):
        set_policy(BIND, box_.near.id)


class AllFar(Row):
    def before(self, box_):
        set_policy(BIND, box_.far.id)


class Interleave(Row):
    def before(self, box_):
        set_policy(INTERLEAVE, box_.near.id, box_.far.id)


class WeightedInterleave(Row):
    """One OS page near for three far, so that a quarter of the bytes is near."""

    def before(self, box_):
        for node, weight in ((box_.near, 1), (box_.far, 3)):
            box_.set(WEIGHTS / f"node{node.id}", weight)
        set_policy(WEIGHTED, box_.near.id, box_.far.id)


class Balancing(Row):
    """The kernel's tiering: hint faults promote, reclaim demotes."""

    tiered = True

    def before(self, box_):
        box_.set(box.BALANCING, 2)
        box_.set(DEMOTION, "true")
        # It scans by the CPU time that a task has used, once a second at first and then less often.
        # Redis here uses a tenth of its CPU, and the run is short: ten times as often is generous.
        if not SCANS.is_dir():
            subprocess.run(["mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug"], check=False)
        for name in ("scan_delay_ms", "scan_period_min_ms"):
            box_.set(SCANS / name, 100)


class Damon(Row):
    """DAMON migrates hot OS pages near and cold ones far."""

    tiered = True

    def before(self, box_):
        if not damon.is_there():
            raise box.Skip("this kernel has no DAMON that migrates")

    def after(self, box_, server, load, budget):
        box_.undo.append(damon.migrate(near=box_.near.id, far=box_.far.id))


# The module stays below a node's limit by its watermarks; what is compared here is the limit.
TO_THE_BRIM = ("numa-watermark-high", 99, "numa-watermark-low", 98)


class NumaTypes(Row):
    tiered, module, get, put = True, True, "NUMA.GET", "NUMA.SET"

    def arguments(self, near, budget):
        return ["numa-node-limit", near, budget, *TO_THE_BRIM]

    def after(self, box_, server, load, budget):
        """The limit counts what the values take in the pool."""
        info = server.info()
        taken = sum(int(info[f"numa_node{node.id}_used_bytes"]) for node in (box_.near, box_.far))
        set_limit(box_, server, taken * budget // load.value_bytes)


class NativeKeys(Row):
    """The server's own index shares the near node with its values, so the limit holds both."""

    tiered, module = True, True

    def arguments(self, near, budget):
        return ["numa-native-keys", "manage", *TO_THE_BRIM]

    def after(self, box_, server, load, budget):
        box.check(server.info()["numa_native_plane"] == "on", "the native plane is off")
        used = int(server.info("memory")["used_memory"])
        taken = sum(jemalloc_bytes(len(value.data)) for value in load.values)
        set_limit(box_, server, used - taken + taken * budget // load.value_bytes)


def set_limit(box_, server, limit):
    server.call("NUMACONFIG", "SET", "node-limit", str(box_.near.id), str(limit))


def jemalloc_bytes(length):
    """What a string's buffer takes: header, bytes, a zero, in one of four sizes an octave."""
    size = length + 1 + (3 if length < 256 else 5)
    step = 1 << ((size - 1).bit_length() - 3)
    return -(-size // step) * step


class Best(Row):
    """No strategy: the values that are asked for most by the byte are put near by hand, within the
    same budget, by one who knows the load."""

    module = True

    def arguments(self, near, budget):
        return ["numa-composite-lru-auto-migrate-enabled", "no"]

    def after(self, box_, server, load, budget):
        for node, values in zip((box_.near, box_.far), load.best(budget)):
            for at in range(0, len(values), 100):
                keys = [value.key for value in values[at:at + 100]]
                server.call("NUMAMIGRATE", "KEYS", str(node.id), *keys)


class BestTypes(Best):
    get, put = "NUMA.GET", "NUMA.SET"


class BestNative(Best):
    def arguments(self, near, budget):
        return [*super().arguments(near, budget), "numa-native-keys", "manage"]


ROWS = {
    "all near": AllNear,
    "all far": AllFar,
    "kernel interleave": Interleave,
    "kernel weighted interleave 1:3": WeightedInterleave,
    "kernel numa_balancing=2, demotion": Balancing,
    "DAMON, hot near and cold far": Damon,
    "redis-numa, NUMA types": NumaTypes,
    "redis-numa, native keys": NativeKeys,
    "best by hand, NUMA types": BestTypes,
    "best by hand, native keys": BestNative,
}


def kernel_moves():
    """OS pages that the kernel has moved between nodes so far, whoever asked."""
    counts = dict(line.split() for line in open("/proc/vmstat", encoding="ascii"))
    return int(counts["pgmigrate_success"])


def module_moves(server):
    info = server.info("numa")
    return int(info["numa_migrations"]), int(info["numa_migrated_bytes"])


def own_libraries(box_):
    """A folder with copies of the libraries, for the server alone."""
    place = box_.folder / "lib"
    if not place.is_dir():
        place.mkdir()
        for path in LIBRARIES.glob("lib[cdgmpr]*"):
            shutil.copy(path, place)
    return place


def start(box_, row, near_budget):
    """A server started as the row says, on its CPU."""
    folder = box_.folder / str(len(box_.servers))
    folder.mkdir()
    words = [os.environ["NUMA_SERVER"], "--port", "0", "--unixsocket", str(folder / "socket")]
    words += ["--dir", str(folder), "--save", "", "--logfile", str(folder / "log")]
    words += ["--server_cpulist", str(SERVER_CPU), "--bio_cpulist", "0"]
    if row.module:
        words += ["--loadmodule", os.environ["NUMA_MODULE"]]
        words += [str(word) for word in row.arguments(box_.near.id, near_budget)]
    prefix = box_.cgroup(mems=f"{box_.near.id},{box_.far.id}")
    os.sched_setaffinity(0, [SERVER_CPU])  # inherited
    env = {**os.environ, "LD_LIBRARY_PATH": str(own_libraries(box_))}
    process = subprocess.Popen([*prefix, *words], cwd=folder, stdin=subprocess.DEVNULL, env=env)
    os.sched_setaffinity(0, CLIENT_CPUS)
    set_policy(0)
    server = box.Server(box_, folder, process)
    box_.servers.append(server)
    return server


def high_watermark(node):
    """Bytes of a node that the kernel's reclaim keeps free."""
    pages, here = 0, False
    for line in pathlib.Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[0] == "Node":
            here = words[1] == f"{node},"
        elif here and words[0] == "high" and len(words) == 2:
            pages += int(words[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def index_bytes(box_, load):
    """What a stock server takes beyond the values' own bytes, learned from one that is filled."""
    server = start(box_, Row(), 0)
    load.fill(server)
    # Files are in memory anyway, whoever maps them.
    whole = sum(nodes.used_by(server.pid, of_files=False).values())
    server.stop()
    for step in reversed(box_.undo):
        step()
    box_.undo.clear()
    return whole - load.value_bytes


def locked(box_, leave):
    """Locks what was taken of the near node, or the kernel would demote it as the coldest there is,
    and takes what that has left over. It lasts as long as the mapping that is returned."""
    with open(box_.folder / f"hog{box_.near.id}" / "file", "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        while box_.near.free() > leave + PIECE:
            os.posix_fallocate(file.fileno(), size, PIECE)
            size += PIECE
        memory = mmap.mmap(file.fileno(), size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if judge.libc.mlock(ctypes.c_void_p(start), ctypes.c_size_t(size)):
        raise OSError(ctypes.get_errno(), "mlock")
    say(hog=size, near_left=box_.near.free(), wanted_left=leave)
    return memory


def maps_of(server):
    """Writable mappings as (first page, end page, name)."""
    for line in pathlib.Path(f"/proc/{server.pid}/maps").read_text().splitlines():
        words = line.split(None, 5)
        low, _, high = words[0].partition("-")
        yield int(low, 16) >> 12, int(high, 16) >> 12, words[5].strip() if len(words) > 5 else ""


def pages_of(spans):
    """The OS pages that hold any byte of a span, as ranges."""
    pages = sorted({page for at, size in spans for page in range(at >> 12, ((at + size - 1) >> 12) + 1)})
    ranges = []
    for page in pages:
        if ranges and ranges[-1][1] == page:
            ranges[-1][1] += 1
        else:
            ranges.append([page, page + 1])
    return ranges


def run(box_, row, settings, mark):
    load = Load(box_, settings, row.get, row.put)
    budget = load.value_bytes * settings["near_percent"] // 100
    if row.tiered and not row.module:
        leave = index_bytes(box_, load) + budget + high_watermark(box_.near.id)
        box_.hog(box_.near, leave)
        box_.locked = locked(box_, leave)
    row.before(box_)
    server = start(box_, row, budget)
    load.fill(server)
    row.after(box_, server, load, budget)
    windows = settings["windows"] if row.tiered else FAST
    mark(0)
    say(near_free=nodes.read_node(box_.near.id).free())
    for number in range(1, windows + 1):
        begun, before = time.monotonic(), moves(server, row)
        load.window(server, RATE if number <= windows - FAST else math.inf)
        # Odd at the end: the last window is the one whose pages are wanted.
        mark(1 if number == windows else 2)
        after = moves(server, row)
        say(window=number, seconds=round(time.monotonic() - begun, 2),
            moves=after[0] - before[0], moved_bytes=after[1] - before[1])
    say(maps=list(maps_of(server)))
    process = nodes.used_by(server.pid)
    if row.module:
        say(info={k[5:]: v for k, v in server.info().items()})
        server.call("NUMACONFIG", "SET", "enabled", "no")
    spans = load.spans(server)
    near = sum(n.get(box_.near.id, 0) for n in judge.bytes_by_node(server.pid, spans))
    say(value_pages=pages_of(spans))
    say(value_bytes=load.value_bytes, value_bytes_near=near, process_bytes=sum(process.values()),
        process_bytes_near=process.get(box_.near.id, 0), total_moves=moves(server, row)[0])


def moves(server, row):
    """Moves and bytes moved so far: keys by the module, OS pages by the kernel."""
    if row.module:
        return module_moves(server)
    pages = kernel_moves()
    return pages, pages * os.sysconf("SC_PAGE_SIZE")


def main():
    if sys.argv[1] == "--modules":
        print(json.dumps({n: f for n, m in list(sys.modules.items()) if (f := getattr(m, "__file__", None)) and n != "__main__"}))
        return
    settings = json.loads(sys.argv[1])
    os.sched_setaffinity(0, CLIENT_CPUS)
    box_ = box.Box(settings["seed"])
    try:
        run(box_, ROWS[settings["row"]](), settings, make_mark())
        say(end="ok")
    except box.Skip as reason:
        say(end="skipped", why=str(reason))
    except Exception:  # whatever the row trips over is what came of it
        say(end="failed", why=traceback.format_exc(), log=[s.last_words() for s in box_.servers])
    finally:
        box_.close()


if __name__ == "__main__":
    main()
