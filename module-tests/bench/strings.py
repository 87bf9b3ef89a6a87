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

from servers import KEYS, CountedServer, Server, in_turns, shown

ROUNDS = int(os.environ.get("ROUNDS", "11"))
SIZES = [int(word) for word in os.environ.get("SIZES", "16 100 1024").split()]
PIPELINES = [int(word) for word in os.environ.get("PIPELINES", "16 1").split()]
REQUESTS = {1: 40_000, 16: 400_000}
CALLGRIND_REQUESTS = 40_000


def fill(server, size):
    for command in ("set k:__rand_int__", "numa.set n:__rand_int__"):
        server.bench(4 * KEYS, 64, [*command.split(), "x" * size])


def words_of(command, size):
    """The words of a stock command and of ours."""
    value = ["x" * size] if command == "set" else []
    return [command, "k:__rand_int__", *value], [f"numa.{command}", "n:__rand_int__", *value]


def times():
    print(f"{KEYS} keys, {ROUNDS} rounds; ratio to stock: median (middle half)")
    print("pipeline  size  command   stock/s   module              stock again")
    for pipeline in PIPELINES:
        requests = REQUESTS.get(pipeline, 200_000)
        for size in SIZES:
            with Server() as server:
                fill(server, size)
                for command in ("get", "set"):
                    stock, module = (
                        lambda w=words: server.bench(requests, pipeline, w)
                        for words in words_of(command, size))
                    rate, ours, again = in_turns(ROUNDS, stock, module)
                    print(f"{pipeline:8} {size:5}  {command:7} {rate:9.0f}   {shown(ours):18}  "
                          f"{shown(again)}", flush=True)


def instructions():
    print("size  command   stock  module  ratio")
    for size in SIZES:
        with CountedServer() as server:
            fill(server, size)
            for command in ("get", "set"):
                stock, module = (
                    server.counted(lambda w=words: server.bench(CALLGRIND_REQUESTS, 16, w))
                    / CALLGRIND_REQUESTS for words in words_of(command, size))
                print(f"{size:4}  {command:7} {stock:7.0f} {module:7.0f}  {module / stock:.3f}",
                      flush=True)


if __name__ == "__main__":
    instructions() if os.environ.get("CALLGRIND") else times()
