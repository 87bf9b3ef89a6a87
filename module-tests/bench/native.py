#!/usr/bin/env python3
"""What the module costs stock commands: a server with it against one without it.

    make bench-native                    instructions a request (valgrind needed), then times
    WHAT=instructions make bench-native  the first table alone; WHAT=times the second alone
    WHAT=memory make bench-native        see native_memory.py
    MODE=manage make bench-native        with another numa-native-keys than observe

Instructions are counted by callgrind, which slows a server down and its clock not at all. So the
module's ticks are made as long as it takes the server under callgrind to serve as many requests as
it serves in a tick of 10 ms of CPU time otherwise, and there are many. Times are of interleaved
rounds: without, with, without; quoted is the median of the rounds' ratios with the middle half
behind it, and beside it the second run without against the first: what the machine itself adds.
Settings: KEYS, ROUNDS, REQUESTS, COMMANDS, PIPELINES.
"""

import os
import time

from native_memory import cli, memory, walk
from servers import ARGUMENTS, KEYS, CountedServer, Server, in_turns, shown

ROUNDS = int(os.environ.get("ROUNDS", "9"))
REQUESTS = int(os.environ.get("REQUESTS", "200000"))
MODE = os.environ.get("MODE", "observe")
COMMANDS = os.environ.get("COMMANDS", "get set lpush hset zadd").split()
PIPELINES = [int(word) for word in os.environ.get("PIPELINES", "1 64").split()]
CALLGRIND_REQUESTS = 60_000
TICK_SECONDS = 0.01
TICK_MS_MAX = 1000
# The rounds of which one tick is watched are 32 ticks at most.
TICKS = 64
WATCHING = f"{ARGUMENTS} numa-native-keys {MODE}"
WORDS = {
    "get": "get s:__rand_int__",
    "set": f"set s:__rand_int__ {'x' * 100}",
    "lpush": f"lpush l:__rand_int__ {'x' * 20}",
    "hset": "hset h:__rand_int__ field:__rand_int__ value",
    "zadd": "zadd z:__rand_int__ 1 member:__rand_int__",
}


def run(server, command, requests, pipeline):
    return server.bench(requests, pipeline, WORDS[command].split())


def requests_of_a_tick(command, pipeline):
    """How many requests a stock server serves in a tick's CPU time."""
    with Server(arguments=None) as server:
        run(server, "set", 2 * KEYS, 64)
        before = server.cpu_seconds()
        run(server, command, REQUESTS, pipeline)
        return int(TICK_SECONDS * REQUESTS / (server.cpu_seconds() - before))


def settle_down(server):
    """Lets the module walk over all keys, which a new one does faster than it goes on."""
    for name, value in (("tick_interval", 10), ("tick_budget", 10_000), ("cpu_share", 50)):
        cli(server, "numaconfig", "set", name, value)
    walk(server)
    cli(server, "numaconfig", "set", "cpu_share", 2)


def counted(arguments, command, pipeline, of_a_tick):
    with CountedServer(arguments=arguments) as server:
        run(server, "set", 2 * KEYS, 64)
        requests = CALLGRIND_REQUESTS
        run(server, command, requests, pipeline)
        if arguments is not None:
            settle_down(server)
            begun = time.monotonic()
            run(server, command, CALLGRIND_REQUESTS, pipeline)
            rate = CALLGRIND_REQUESTS / (time.monotonic() - begun)
            tick_ms = min(TICK_MS_MAX, max(1, round(1000 * of_a_tick / rate)))
            cli(server, "numaconfig", "set", "tick_interval", tick_ms)
            cli(server, "numaconfig", "set", "tick_budget", min(10_000, 100 * tick_ms))
            requests = max(CALLGRIND_REQUESTS, TICKS * round(rate * tick_ms / 1000))
            # Until rounds have the length that the new ticks ask for.
            run(server, command, requests // 4, pipeline)
        return server.counted(lambda: run(server, command, requests, pipeline)) / requests


def instructions():
    print(f"instructions a request, numa-native-keys {MODE}, {KEYS} keys")
    print("pipeline  command  without    with  ratio  requests of a tick")
    for pipeline in PIPELINES:
        for command in COMMANDS:
            ticked = requests_of_a_tick(command, pipeline)
            without, module = (counted(which, command, pipeline, ticked)
                               for which in (None, WATCHING))
            print(f"{pipeline:8}  {command:7} {without:8.0f} {module:7.0f}  {module / without:.4f}"
                  f"  {ticked:6}", flush=True)


def times():
    print(f"throughput with / without, numa-native-keys {MODE}, {KEYS} keys, {ROUNDS} rounds")
    print("pipeline  command  with                 without again")
    for pipeline in PIPELINES:
        requests = REQUESTS if pipeline > 1 else REQUESTS // 4
        for command in COMMANDS:
            with Server(arguments=None) as stock, Server(arguments=WATCHING) as module:
                run(stock, "set", 4 * KEYS, 64)
                run(module, "set", 4 * KEYS, 64)
                _, ours, again = in_turns(
                    ROUNDS, lambda: run(stock, command, requests, pipeline),
                    lambda: run(module, command, requests, pipeline))
                print(f"{pipeline:8}  {command:7}  {shown(ours):19}  {shown(again)}", flush=True)


if __name__ == "__main__":
    what = os.environ.get("WHAT", "both")
    if what in ("both", "instructions"):
        instructions()
    if what in ("both", "times"):
        times()
    if what == "memory":
        memory()
