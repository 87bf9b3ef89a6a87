"""What a test gets: servers to start, values to store, and the judge.

    @test("a key moved by KEY lies where it should")
    def moved(box):
        server = box.start()
        values = server.fill(100, 2000)
        ...
        server.lies_on(values, 2)

A test that returns has passed; `check` and every exception fail it; `skip` says why it cannot run
here. Servers that it started are stopped for it, kernel switches that it set are set back.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import judge
import nodes
import wire

TESTS = []
# Emulated time is no time: background work gets as much of it as it may have.
FAST = ["numa-cpu-share", "50", "numa-tick-budget", "8000"]
QUIET = ["numa-composite-lru-auto-migrate-enabled", "no", "numa-auto-rebalance", "no"]
START_SECONDS, WAIT_SECONDS = 30, 60
BALANCING = "/proc/sys/kernel/numa_balancing"
CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Failure(Exception):
    """The test has failed."""


class Skip(Exception):
    """The test cannot run on this machine."""


def test(name, guest=False):
    """Adds a test. `guest`: it changes the kernel's settings or fills a node, so a guest only."""
    def add(work):
        TESTS.append((name, guest, work))
        return work
    return add


def check(condition, *reason):
    if not condition:
        raise Failure(" ".join(map(str, reason)))


def wait_for(what, holds, seconds=WAIT_SECONDS):
    """Waits until holds() is true."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


class Client(wire.Client):
    """The demo's client over a Unix socket, with whole batches."""

    def __init__(self, path):
        self.socket = wire.socket.socket(wire.socket.AF_UNIX)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(str(path))
        self.buffer = b""

    def replies(self, count):
        """As the demo's, but an error is raised when all replies have been read."""
        replies, start = [], 0
        while len(replies) < count:
            try:
                reply, start = wire.parse(self.buffer, start)
                replies.append(reply)
            except wire.Incomplete:
                self.buffer, start = self.buffer[start:] + self.receive(), 0
        self.buffer = self.buffer[start:]
        for reply in replies:
            if isinstance(reply, wire.ErrorReply):
                raise reply
        return replies

    def all(self, commands, at_once=500):
        """The replies to many commands, pipelined."""
        replies = []
        for at in range(0, len(commands), at_once):
            replies += self.batch([wire.encode(*words) for words in commands[at:at + at_once]])
        return replies


def pairs(flat):
    """Flat pairs as a dictionary with text keys."""
    def text(value):
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        return [text(item) for item in value] if isinstance(value, list) else value
    return {text(k): text(v) for k, v in zip(flat[::2], flat[1::2])}


class Value:
    """A stored value: what its bytes are, of which the judge finds the first 40."""

    def __init__(self, key, size, dice):
        self.key, self.nonce = key, dice.randbytes(judge.NONCE)
        rest = max(0, size - judge.HEAD)
        self.rest = (dice.randbytes(256) * (rest // 256 + 1))[:rest]
        self.tag = bytes(judge.TAG)

    @property
    def data(self):
        return self.nonce + self.tag + self.rest


class Server:
    """A running server with the module."""

    def __init__(self, box, folder, process):
        self.box, self.folder, self.process = box, folder, process
        self.log = folder / "log"
        wait_for(f"the server to start:\n{self.last_words()}", self.is_up, START_SECONDS)
        self.client = Client(folder / "socket")
        wait_for("the dataset", lambda: b"loading:0" in self.client.call("INFO", "persistence"))
        self.pid = int(self.info("server")["process_id"])

    def is_up(self):
        if self.process.poll() is not None:
            raise Failure(f"the server did not start:\n{self.last_words()}")
        return (self.folder / "socket").exists() and "eady to accept" in self.log.read_text(errors="replace")

    def last_words(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-12:])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, *words):
        return self.client.call(*words)

    def refuses(self, *words):
        """The error that the server answers; a test fails where there is none."""
        try:
            reply = self.call(*words)
        except wire.ErrorReply as error:
            return str(error)
        raise Failure(f"{words} was not refused but answered {reply!r}")

    def info(self, section="numa"):
        text = self.call("INFO", section).decode()
        return dict(line.partition(":")[::2] for line in text.splitlines() if ":" in line)

    def number(self, name):
        return int(self.info()[f"numa_{name}"])

    def nodes(self):
        """NUMA NODES by node."""
        return {row["node"]: row for row in map(pairs, self.call("NUMA", "NODES"))}

    def key_info(self, keys):
        return [pairs(flat) for flat in self.client.all([("NUMAMIGRATE", "INFO", key) for key in keys])]

    def fill(self, count, size=2000, node=None, prefix="key"):
        """Stores `count` values and returns them; `size` is a number or a list to go through."""
        sizes = [size] if isinstance(size, int) else size
        values = [Value(f"{prefix}:{i}", sizes[i % len(sizes)], self.box.dice) for i in range(count)]
        where = () if node is None else ("NODE", node)
        for at in range(0, count, 100):
            self.client.all([("NUMA.SET", v.key, v.data, *where) for v in values[at:at + 100]])
        return values

    def finished(self, what="the pass"):
        wait_for(f"{what} to end", lambda: pairs(self.call("NUMA", "STATUS"))["pass"] == "none")

    def judged(self, values):
        """Where the kernel says each value lies, as bytes by node; the module must say the same."""
        tag = self.box.dice.randbytes(judge.TAG)
        self.client.all([("NUMA.SETRANGE", value.key, judge.NONCE, tag) for value in values])
        for value in values:
            value.tag = tag
        found = judge.find(self.pid, tag, {value.nonce for value in values})
        for value in values:
            places = found.get(value.nonce, ())
            check(len(places) == 1, f"{value.key} was found {len(places)} times in the server's memory")
        spans = [(min(found[value.nonce]), len(value.data)) for value in values]
        for value, span in zip(values, spans):
            check(judge.read(self.pid, *span) == value.data, f"{value.key} holds other bytes than stored")
        physical = judge.bytes_by_node(self.pid, spans)
        self.box.judged += len(values)
        return physical

    def agrees(self, values, physical, spilled=False):
        """Whether the module's word is the judge's. `spilled`: believed may differ from physical,
        for the module knows only when it asks; its physical answer may not."""
        for value, by_node, said in zip(values, physical, self.key_info([v.key for v in values])):
            most = max(by_node, key=by_node.get)
            report = f"{value.key}: judged {by_node}, the module says {said}"
            check(spilled or said["current_node"] == most, "believed:", report)
            told = {node: size for node, size in said["physical_nodes"]}
            if said["physical_asked_bytes"] < said["bytes"]:
                # The kernel was asked about a sample: what it tells is true and no more than that.
                check(set(told) <= set(by_node), "physical sample:", report)
                check(sum(told.values()) == said["physical_asked_bytes"], "sample's size:", report)
                continue
            check(set(by_node) <= set(told), "physical:", report)
            slack = said["bytes"] - len(value.data)
            for node, size in told.items():
                real = by_node.get(node, 0)
                check(real <= size <= real + slack, "physical bytes:", report)

    def shares(self, values, spilled=False):
        """How many of the values lie on each node, wholly; both judges agree on each."""
        if spilled:
            # The module brings OS pages back; it must hold still while it is judged.
            self.call("NUMACONFIG", "SET", "enabled", "no")
        physical = self.judged(values)
        self.agrees(values, physical, spilled)
        if spilled:
            self.call("NUMACONFIG", "SET", "enabled", "yes")
        count = {}
        for value, by_node in zip(values, physical):
            check(spilled or len(by_node) == 1, f"{value.key} lies on several nodes: {by_node}")
            most = max(by_node, key=by_node.get)
            count[most] = count.get(most, 0) + 1
        return count

    def is_where_it_says(self, values):
        """Whether every byte of every value lies where the module says."""
        try:
            self.shares(values)
            return True
        except Failure:
            time.sleep(1)
            return False

    def lies_on(self, values, node):
        """Every byte of every value lies on that node."""
        count = self.shares(values)
        check(count == {node: len(values)}, f"{len(values)} values should lie on node {node}: {count}")


class Box:
    """See the head of the file."""

    def __init__(self, seed):
        if os.environ.get("NUMA_GUEST"):
            # Where memory runs out a server shall die, so that its test can say so.
            pathlib.Path("/proc/self/oom_score_adj").write_text("-900")
            # On by the kernel's default. The judge writes into the server from a CPU of its own, and
            # what it touches, the kernel would bring to that CPU's node. Tests of it switch it on.
            pathlib.Path(BALANCING).write_text("0")
        self.dice, self.servers, self.undo, self.judged = random.Random(seed), [], [], 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="numa-"))
        self.all = nodes.all_nodes()
        with_cpus = [node for node in self.all if node.cpus]
        self.near = with_cpus[0]
        self.other = with_cpus[1] if len(with_cpus) > 1 else None
        self.cpuless = next((node for node in self.all if not node.cpus), None)
        self.far = self.cpuless or self.other
        self.ids = [node.id for node in self.all]

    def need(self, **wanted):
        """Skips the test where the machine lacks a part."""
        for name in wanted:
            if getattr(self, name) is None:
                raise Skip(f"this machine has no {name} node")

    def start(self, *arguments, cpu=None, before=(), options=(), quiet=True, data=None):
        """A server with these module arguments: on one CPU of the near node, or on `cpu`; with
        cpu="any" it is not pinned. `before` goes before the command, `options` after it."""
        folder = self.folder / str(len(self.servers))
        folder.mkdir()
        if data:
            shutil.copy(data, folder / "dump.rdb")
        words = [*before, os.environ["NUMA_SERVER"], "--port", "0", "--unixsocket", str(folder / "socket")]
        words += ["--dir", str(folder), "--save", "", "--logfile", str(folder / "log"), *options]
        if cpu != "any":
            words += ["--server_cpulist", str(self.near.cpus[0] if cpu is None else cpu)]
        words += ["--loadmodule", os.environ["NUMA_MODULE"], *FAST, *(QUIET if quiet else []), *map(str, arguments)]
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL)
        pathlib.Path(f"/proc/{process.pid}/oom_score_adj").write_text("500")
        try:
            server = Server(self, folder, process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self.servers.append(server)
        return server

    def set(self, path, text):
        """Writes a switch of the kernel for the length of the test."""
        path = pathlib.Path(path)
        if not path.exists():
            raise Skip(f"this kernel has no {path}")
        # A switch of several words shows the one that is on in brackets.
        before = path.read_text()
        before = before.partition("[")[2].partition("]")[0] or before
        path.write_text(str(text))
        self.undo.append(lambda: path.write_text(before))

    def hog(self, node, leave):
        """Takes all but about `leave` bytes of a node away, by a file in a tmpfs bound to it. Where
        the kernel makes room meanwhile, it takes what was free at first and no more."""
        place = self.folder / f"hog{node.id}"
        place.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"mpol=bind:{node.id},size=90%", "tmpfs", str(place)], check=True
        )
        self.undo.append(lambda: subprocess.run(["umount", str(place)], check=False))
        begun, wanted, taken = time.monotonic(), max(0, node.free() - leave), 0
        with open(place / "file", "wb", 0) as file:
            for piece in (16 << 20, 1 << 20, 64 << 10):
                while taken + piece <= wanted and node.free() > leave + piece:
                    os.posix_fallocate(file.fileno(), taken, piece)
                    taken += piece
        took = f"{time.monotonic() - begun:.1f} s"
        print(f"node {node.id}: {node.free() >> 20} MiB left after {took}", file=sys.stderr)
        return lambda: os.truncate(place / "file", 0)

    def cgroup(self, **files):
        """A command prefix that runs a program in a cgroup with these cpuset files."""
        path = CGROUPS / f"numa-{os.getpid()}"
        try:
            (CGROUPS / "cgroup.subtree_control").write_text("+cpuset +memory")
            path.mkdir()
        except OSError as error:
            raise Skip(f"no cgroup can be made: {error}") from error
        self.undo.append(path.rmdir)
        for name, text in files.items():
            (path / f"cpuset.{name}").write_text(text)
        return ["sh", "-c", f'echo $$ > {path}/cgroup.procs; exec "$@"', "sh"]

    def close(self):
        for server in self.servers:
            server.stop()
        for step in reversed(self.undo):
            try:
                step()
            except OSError:
                time.sleep(0.2)
                step()
        shutil.rmtree(self.folder, ignore_errors=True)
