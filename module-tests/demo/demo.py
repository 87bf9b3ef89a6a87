#!/usr/bin/env python3
"""`make demo`: hot keys coming near, drawn every second.

Starts a server of its own on a free port, with a simulated machine whose near node holds 12.5 % of
the value bytes; loads one NUMA string per id of a request trace, in shuffled order; replays the
requests at a bounded rate; ends with the near hits against the best placement that never moves.
Every figure is the running server's, but for the best static share, which is counted from the
trace. Settings, by environment:

    TRACE=<file>            big-endian 32-bit ids, plain or .xz; without it a Zipf(0.99) trace is made
    RATE=60000              requests a second at most
    DEMO_REQUESTS=<n>       stop after n requests (without TRACE: 3,000,000)
    DEMO_KEYS=100000        ids of the made trace
    DEMO_SEED=1             of the made trace and of the loading order
    DEMO_ARGS="..."         more module arguments
    DEMO_MIN_RATIO=<0..1>   fail when near hits / best static is below
    REDIS_SERVER=<path>     a server of your own

The figures depend on the rate too: how far the server can follow is a matter of time, not only of
requests.
"""

import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import picture
import trace
import wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULE = ROOT / "target" / "release" / "libredis_numa.so"
SERVER = ROOT / "target" / "redis-6.2" / "src" / "redis-server"
NEAR_SHARE_OF_BYTES = 8  # one in eight: 12.5 %
VALUE_BYTES = 240
HEADER_BYTES = 16  # what the module puts before a value
CLASS_BYTES = 16  # block sizes are multiples of it, up to 512 bytes
UNIT_BYTES = 16 << 10  # what the pool carves a node into
BATCH = 256
NAMES = {0: "near", 1: "far"}


class DemoError(Exception):
    """Why the demo cannot go on, in one sentence."""


def block_bytes(payload):
    """The block a value of that many bytes gets."""
    return -(-(payload + HEADER_BYTES) // CLASS_BYTES) * CLASS_BYTES


def near_capacity(keys, block):
    """An eighth of the value bytes, in whole pool units, rounded down: never more than an eighth,
    but at least one unit."""
    return max(UNIT_BYTES, keys * block // NEAR_SHARE_OF_BYTES // UNIT_BYTES * UNIT_BYTES)


def far_capacity(keys, block):
    """Room for all values and then some: far is never what is short."""
    return keys * block * 2 // UNIT_BYTES * UNIT_BYTES + (64 << 20)


def simulate(near, far):
    return ["numa-simulate", f"0:{near}:80,1:{far}:250:cpuless"]


def info_fields(reply):
    """INFO's text as a dict."""
    lines = reply.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


class Counts:
    """The module's counters at one moment."""

    def __init__(self, near, far, moves):
        self.near, self.far, self.moves = near, far, moves

    @classmethod
    def read(cls, client):
        fields = info_fields(client.call("INFO", "numa"))
        try:
            names = ["numa_accesses_near", "numa_accesses_far", "numa_migrations"]
            return cls(*(int(fields[name]) for name in names))
        except KeyError as error:
            raise DemoError(f"INFO numa has no field {error.args[0]}") from error

    def since(self, earlier):
        return Counts(self.near - earlier.near, self.far - earlier.far, self.moves - earlier.moves)

    def near_share(self):
        return self.near / (self.near + self.far) if self.near + self.far else 0.0


class Server:
    """A stock server with the module, in a folder of its own, gone at the end."""

    def __init__(self, module_arguments):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="redis-numa-demo."))
        self.port = free_port()
        program = os.environ.get("REDIS_SERVER") or str(SERVER)
        command = [str(pathlib.Path(program).resolve()), "--port", str(self.port)]
        command += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self.folder), "--loadmodule", str(MODULE), *module_arguments]
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def client(self):
        """A connection, once the server answers."""
        for _ in range(600):
            if self.process.poll() is not None:
                raise DemoError("the server did not start")
            try:
                client = wire.Client(self.port)
                client.call("PING")
                return client
            except (OSError, wire.ServerGone):
                time.sleep(0.05)
        raise DemoError("the server does not answer")

    def log_tail(self):
        self.log.flush()
        return (self.folder / "log").read_text(errors="replace").splitlines()[-15:]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def load(client, order):
    """One value per id, through the module's own type."""
    for first in range(0, len(order), BATCH):
        commands = [
            wire.encode("NUMA.SET", f"k:{key}", f"{key:0{VALUE_BYTES}d}")
            for key in order[first:first + BATCH]
        ]
        client.batch(commands)


class Screen:
    """Draws a second: the whole picture on a terminal, one line elsewhere."""

    def __init__(self, control, requests, static):
        self.control, self.requests, self.static = control, requests, static
        self.started = time.monotonic()
        self.first = self.last = Counts.read(control)
        self.due = self.started + 1
        self.live = sys.stdout.isatty()

    def draw_if_due(self, done):
        if time.monotonic() >= self.due:
            self.due += 1
            self.draw(done)

    def draw(self, done):
        now = Counts.read(self.control)
        step, self.last = now.since(self.last), now
        facts = {
            "done": done, "requests": self.requests, "static": self.static,
            "share": step.near_share(), "moves": step.moves, "all_moves": now.since(self.first).moves,
        }
        nodes = picture.grid(self.control.call("NUMA", "HEATMAP"))
        second = round(time.monotonic() - self.started)
        if self.live:
            lines = picture.screen(nodes, NAMES, second, facts)
            print("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J", flush=True)
        else:
            print(picture.line(nodes, NAMES, second, facts), flush=True)


def pause_until(moment):
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)


def replay(client, screen, ids, rate, marks):
    """Sends every request; reads the counters when as many as a mark says are answered."""
    commands = {key: wire.encode("NUMA.GET", f"k:{key}") for key in set(ids)}
    started, done, read = time.monotonic(), 0, []
    for mark in marks:
        while done < mark:
            batch = ids[done:min(done + BATCH, mark)]
            replies = client.batch([commands[key] for key in batch])
            if any(reply is None or len(reply) != VALUE_BYTES for reply in replies):
                raise DemoError("a key that was loaded did not answer its value")
            done += len(batch)
            screen.draw_if_due(done)
            pause_until(started + done / rate)
        read.append(Counts.read(screen.control))
    return read, time.monotonic() - started


def summary(ids, near, near_keys, counts, seconds):
    """The last lines, and near hits / best static over all requests. `counts` are the counters
    before the replay, at two thirds of it and at its end."""
    start, two_thirds, end = counts
    whole, last = end.since(start), end.since(two_thirds)
    static = trace.share(ids, near)
    static_last = trace.share(ids[len(ids) * 2 // 3:], near)
    ratio = whole.near_share() / static if static else 0.0
    ratio_last = last.near_share() / static_last if static_last else 0.0
    return ratio, [
        f"requests                    {len(ids):,} over {len(set(ids)):,} keys in {seconds:.1f} s",
        f"near node                   {near_keys:,} keys' worth of bytes",
        f"near hits                   {whole.near_share():.4f}  (last third {last.near_share():.4f})",
        f"best static placement       {static:.4f}  (last third {static_last:.4f})",
        f"near hits / best static     {ratio:.4f}  (last third {ratio_last:.4f})",
        f"moves per 1,000 requests    {whole.moves * 1000 / len(ids):.2f}"
        f"  (last third {last.moves * 1000 / (len(ids) - len(ids) * 2 // 3):.2f})",
        f"requests the server counted {whole.near + whole.far:,}",
    ]


def number(name, default, kind=int):
    """A setting that is a positive number."""
    text = os.environ.get(name) or str(default)
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise DemoError(f"{name}={text} is no positive number")
    return value


def requests_to_replay():
    """The trace that the settings name, and a word on where it is from."""
    path = os.environ.get("TRACE")
    if path:
        most = number("DEMO_REQUESTS", 0) if os.environ.get("DEMO_REQUESTS") else None
        ids = trace.read(path, most)
        if not ids:
            raise DemoError(f"{path} holds no request")
        return ids, path
    keys, requests = number("DEMO_KEYS", 100_000), number("DEMO_REQUESTS", 3_000_000)
    seed = number("DEMO_SEED", 1)
    return trace.zipf(keys, requests, seed), f"made: Zipf({trace.ZIPF_EXPONENT}), seed {seed}"


def play(server, ids, order, near, near_keys, rate):
    """Loads, replays, reports; answers near hits / best static."""
    client, control = server.client(), server.client()
    load(client, order)
    screen = Screen(control, len(ids), trace.share(ids, near))
    if screen.live:
        print("\x1b[2J", end="")
    marks = sorted({len(ids) * 2 // 3, len(ids)} - {0})
    read, seconds = replay(client, screen, ids, rate, marks)
    screen.draw(len(ids))
    before_end = read[0] if len(read) == 2 else screen.first
    ratio, lines = summary(ids, near, near_keys, (screen.first, before_end, read[-1]), seconds)
    print("\n".join(["", *lines]), flush=True)
    return ratio


def main():
    if not MODULE.is_file():
        raise DemoError("the module is not built: make build")
    rate = number("RATE", 60_000, float)
    least = float(os.environ.get("DEMO_MIN_RATIO") or 0)
    ids, source = requests_to_replay()
    order = trace.load_order(ids, number("DEMO_SEED", 1))
    block = block_bytes(VALUE_BYTES)
    capacity = near_capacity(len(order), block)
    near_keys = capacity // block
    arguments = simulate(capacity, far_capacity(len(order), block))
    arguments += shlex.split(os.environ.get("DEMO_ARGS", ""))
    print(f"trace {source}; a SIMULATED machine: {' '.join(arguments)}", flush=True)
    server = Server(arguments)
    try:
        ratio = play(server, ids, order, trace.best_static(ids, near_keys), near_keys, rate)
        if server.process.poll() is not None:
            raise DemoError("the server died")
    except (DemoError, wire.ServerGone, wire.ErrorReply) as error:
        raise DemoError("\n".join([str(error), "the end of its log:", *server.log_tail()])) from error
    finally:
        server.stop()
    if ratio < least:
        raise DemoError(f"near hits / best static is {ratio:.4f}, below DEMO_MIN_RATIO={least}")


if __name__ == "__main__":
    try:
        main()
    except (DemoError, OSError, ValueError) as error:
        sys.exit(f"redis-numa demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
