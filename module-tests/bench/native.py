#!/usr/bin/env python3
"""What the module costs stock commands: a server with it against one without it.

    make bench-native                    instructions a request (valgrind needed), then times
    WHAT=instructions make bench-native  the first table alone; WHAT=times the second alone
    MODE=manage make bench-native        with another numa-native-keys than observe

Instructions are counted by callgrind. Times are of interleaved rounds: without, with, without;
quoted is the median of the rounds' ratios with the middle half behind it, and beside it the second
run without against the first: what the machine itself adds. Settings: KEYS, ROUNDS, REQUESTS, COMMANDS, PIPELINES.
"""

import os

from servers import ARGUMENTS, KEYS, CountedServer, Server, in_turns, shown

ROUNDS = int(os.environ.get("ROUNDS", "9"))
REQUESTS = int(os.environ.get("REQUESTS", "200000"))
MODE = os.environ.get("MODE", "observe")
COMMANDS = os.environ.get("COMMANDS", "get set lpush hset zadd").split()
PIPELINES = [int(word) for word in os.environ.get("PIPELINES", "1 64").split()]
CALLGRIND_REQUESTS = 80_000
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


def counted(arguments, command, pipeline):
    with CountedServer(arguments=arguments) as server:
        run(server, "set", 2 * KEYS, 64)
        run(server, command, CALLGRIND_REQUESTS // 2, pipeline)
        total = server.counted(lambda: run(server, command, CALLGRIND_REQUESTS, pipeline))
    return total / CALLGRIND_REQUESTS


def instructions():
    print(f"instructions a request, numa-native-keys {MODE}, {KEYS} keys")
    print("pipeline  command  without    with  ratio")
    for pipeline in PIPELINES:
        for command in COMMANDS:
            without, module = (counted(which, command, pipeline) for which in (None, WATCHING))
            print(f"{pipeline:8}  {command:7} {without:8.0f} {module:7.0f}  {module / without:.4f}",
                  flush=True)


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
