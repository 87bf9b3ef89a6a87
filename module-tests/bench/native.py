#!/usr/bin/env python3
"""What the module costs stock commands: a server with it against one without it.

    make bench-native                    instructions a request (valgrind needed), then times
    WHAT=instructions make bench-native  the first table alone; WHAT=times the second alone
    MODE=manage make bench-native        with another numa-native-keys than observe

Instructions are counted by callgrind, as what one run more costs, so that start and cron cancel
out. Times are of interleaved rounds: without, with, without; quoted is the median of the rounds'
ratios with the middle half behind it, and beside it the second run without against the first: what
the machine itself adds. Settings: KEYS, ROUNDS, REQUESTS, COMMANDS, PIPELINES.
"""

import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
REDIS = ROOT / "target" / "redis-6.2" / "src"
MODULE = ROOT / "target" / "release" / "libredis_numa.so"
KEYS = int(os.environ.get("KEYS", "100000"))
ROUNDS = int(os.environ.get("ROUNDS", "9"))
REQUESTS = int(os.environ.get("REQUESTS", "200000"))
MODE = os.environ.get("MODE", "observe")
COMMANDS = os.environ.get("COMMANDS", "get set lpush hset zadd").split()
PIPELINES = [int(word) for word in os.environ.get("PIPELINES", "1 64").split()]
CALLGRIND_REQUESTS = 40_000
GIB = 1 << 30
ARGUMENTS = f"numa-simulate 0:{4 * GIB}:80,1:{16 * GIB}:250:cpuless numa-native-keys {MODE}"
# Callgrind slows a server down some fifty times and its clock not at all: a tick each second there
# is one in 20 ms here. More would count what belongs to the clock against the requests.
CALLGRIND_ARGUMENTS = ARGUMENTS + " tick-interval 1000"
WORDS = {
    "get": "get s:__rand_int__",
    "set": f"set s:__rand_int__ {'x' * 100}",
    "lpush": f"lpush l:__rand_int__ {'x' * 20}",
    "hset": "hset h:__rand_int__ field:__rand_int__ value",
    "zadd": "zadd z:__rand_int__ 1 member:__rand_int__",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server with or without the module, gone with the block that it is used in."""

    def __init__(self, with_module, wrapper=()):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        command = [*wrapper, REDIS / "redis-server", "--port", str(self.port), "--save", ""]
        command += ["--dir", self.folder.name]
        if with_module:
            arguments = CALLGRIND_ARGUMENTS if wrapper else ARGUMENTS
            command += ["--loadmodule", MODULE, *arguments.split()]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder.name)

    def __enter__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                time.sleep(0.1)
        sys.exit("redis-numa: the server did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def bench(self, requests, pipeline, words):
        """Requests a second."""
        command = [REDIS / "redis-benchmark", "-p", self.port, "-n", requests, "-P", pipeline]
        command += ["-c", 50 if pipeline == 1 else 8, "-r", KEYS, "--csv", *words.split()]
        done = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
        last = done.stdout.strip().splitlines()[-1]
        return float(re.findall(r'"([0-9.]+)"', last.split(",", 1)[1])[0])

    def fill(self):
        self.bench(4 * KEYS, 64, WORDS["set"])


def counted(with_module, words, pipeline):
    totals = []
    for runs in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
            with Server(with_module, wrapper) as server:
                server.bench(2 * KEYS, 64, WORDS["set"])
                for _ in range(runs):
                    server.bench(CALLGRIND_REQUESTS, pipeline, words)
            totals.append(int(re.search(r"^totals: (\d+)", out.read_text(), re.M).group(1)))
    return (totals[1] - totals[0]) / (2 * CALLGRIND_REQUESTS)


def instructions():
    print(f"instructions a request, numa-native-keys {MODE}, {KEYS} keys")
    print("pipeline  command  without    with  ratio")
    for pipeline in PIPELINES:
        for command in COMMANDS:
            without, module = (counted(which, WORDS[command], pipeline) for which in (False, True))
            print(f"{pipeline:8}  {command:7} {without:8.0f} {module:7.0f}  {module / without:.4f}",
                  flush=True)


def ratios(stock, module, command, pipeline):
    words, requests = WORDS[command], REQUESTS if pipeline > 1 else REQUESTS // 4
    ours, again = [], []
    for _ in range(ROUNDS):
        first, middle, last = (
            server.bench(requests, pipeline, words) for server in (stock, module, stock))
        ours.append(2 * middle / (first + last))
        again.append(last / first)
    return ours, again


def shown(values):
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def times():
    print(f"throughput with / without, numa-native-keys {MODE}, {KEYS} keys, {ROUNDS} rounds")
    print("pipeline  command  with                 without again")
    for pipeline in PIPELINES:
        for command in COMMANDS:
            with Server(False) as stock, Server(True) as module:
                stock.fill()
                module.fill()
                ours, again = ratios(stock, module, command, pipeline)
                print(f"{pipeline:8}  {command:7}  {shown(ours):19}  {shown(again)}", flush=True)


if __name__ == "__main__":
    what = os.environ.get("WHAT", "both")
    if what in ("both", "instructions"):
        instructions()
    if what in ("both", "times"):
        times()
