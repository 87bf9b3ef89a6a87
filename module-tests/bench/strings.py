#!/usr/bin/env python3
"""Throughput of NUMA.GET and NUMA.SET against GET and SET, on one server, in interleaved rounds.

    make bench-strings                         the whole table
    ROUNDS=5 SIZES=100 PIPELINES=16 make bench-strings
    CALLGRIND=1 make bench-strings             instructions a request (valgrind needed), no times

Each round runs stock, module, stock again with redis-benchmark over the same number of keys. The
last column is the second stock run against the first one: what the machine itself adds. Quoted
are medians of the rounds' ratios, with the middle half of the rounds behind them.
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
ROUNDS = int(os.environ.get("ROUNDS", "11"))
SIZES = [int(word) for word in os.environ.get("SIZES", "16 100 1024").split()]
PIPELINES = [int(word) for word in os.environ.get("PIPELINES", "16 1").split()]
REQUESTS = {1: 40_000, 16: 400_000}
CALLGRIND_REQUESTS = 40_000
GIB = 1 << 30
ARGUMENTS = f"numa-simulate 0:{GIB}:80,1:{GIB}:250:cpuless"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server with the module, gone with the block that it is used in."""

    def __init__(self, wrapper=(), more=()):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        command = [*wrapper, REDIS / "redis-server", "--port", str(self.port), "--save", ""]
        command += ["--dir", self.folder.name, "--loadmodule", MODULE, *ARGUMENTS.split()]
        command = [str(word) for word in [*command, *more]]
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
        command += ["-c", 50 if pipeline == 1 else 8, "-r", KEYS, "--csv", *words]
        done = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
        last = done.stdout.strip().splitlines()[-1]
        return float(re.findall(r'"([0-9.]+)"', last.split(",", 1)[1])[0])

    def fill(self, size):
        for command in ("set k:__rand_int__", "numa.set n:__rand_int__"):
            self.bench(4 * KEYS, 64, [*command.split(), "x" * size])


def words_of(command, size):
    """The words of a stock command and of ours."""
    value = ["x" * size] if command == "set" else []
    return [command, "k:__rand_int__", *value], [f"numa.{command}", "n:__rand_int__", *value]


def ratios(server, command, size, pipeline):
    stock, module = words_of(command, size)
    requests = REQUESTS.get(pipeline, 200_000)
    ours, again, rate = [], [], []
    for _ in range(ROUNDS):
        first, middle, last = (server.bench(requests, pipeline, w) for w in (stock, module, stock))
        ours.append(2 * middle / (first + last))
        again.append(last / first)
        rate.append(first)
    return statistics.median(rate), ours, again


def shown(values):
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def times():
    print(f"{KEYS} keys, {ROUNDS} rounds; ratio to stock: median (middle half)")
    print("pipeline  size  command   stock/s   module              stock again")
    for pipeline in PIPELINES:
        for size in SIZES:
            with Server() as server:
                server.fill(size)
                for command in ("get", "set"):
                    rate, ours, again = ratios(server, command, size, pipeline)
                    print(f"{pipeline:8} {size:5}  {command:7} {rate:9.0f}   {shown(ours):18}  "
                          f"{shown(again)}", flush=True)


def instructions():
    """Instructions a request: what one run more costs, so that start and cron cancel out."""
    print("size  command   stock  module  ratio")
    for size in SIZES:
        for command in ("get", "set"):
            stock, module = (counted(words, size) for words in words_of(command, size))
            ratio = module / stock
            print(f"{size:4}  {command:7} {stock:7.0f} {module:7.0f}  {ratio:.3f}", flush=True)


def counted(words, size):
    totals = []
    for runs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            with Server(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]) as server:
                server.fill(size)
                for _ in range(runs):
                    server.bench(CALLGRIND_REQUESTS, 16, words)
            totals.append(int(re.search(r"^totals: (\d+)", out.read_text(), re.M).group(1)))
    return (totals[1] - totals[0]) / CALLGRIND_REQUESTS


if __name__ == "__main__":
    instructions() if os.environ.get("CALLGRIND") else times()
