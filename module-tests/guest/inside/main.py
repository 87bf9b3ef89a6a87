"""Runs the tests where it stands, in the guest or on a machine that has nodes, and says on stdout

    plan <tests>
    ok <seconds> <name>        failed <seconds> <name>        skipped <seconds> <name>
      | what was wrong, or why it was skipped
    end

    main.py [--only <word>]... [--seed <n>]    those tests whose name holds one of the words
"""

import argparse
import json
import os
import signal
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
import nodes
import numa_machine  # noqa: F401
import numa_policies  # noqa: F401
import numa_moves  # noqa: F401
import numa_kinds  # noqa: F401
import numa_starts  # noqa: F401
import numa_sharing  # noqa: F401
import numa_room  # noqa: F401
import numa_kernel  # noqa: F401
import numa_offline  # noqa: F401

TEST_SECONDS_MAX = 300


def too_long(_signal, _frame):
    raise box.Failure(f"it took more than {TEST_SECONDS_MAX} s")


def attempt(work, place):
    """How a test ended, and the words for it."""
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS_MAX)
    try:
        work(place)
        return "ok", f"{place.judged} judgements" if place.judged else ""
    except box.Skip as reason:
        return "skipped", str(reason)
    except box.Failure as reason:
        words = str(reason)
    except Exception:  # whatever a test trips over is its failure
        words = traceback.format_exc()
    finally:
        signal.alarm(0)
    logs = [f"log of server {i}:\n{s.last_words()}" for i, s in enumerate(place.servers)]
    return "failed", "\n".join([words, *memory(place), *logs])


def memory(place):
    """How much each node has, and what holds it: a value that lies elsewhere may have found no room."""
    names = ("MemFree", "FilePages", "AnonPages", "SUnreclaim")
    for node in place.all:
        has = nodes.meminfo(node.id)
        yield f"node {node.id}: " + ", ".join(f"{name} {has.get(name, 0) >> 20} MiB" for name in names)


def run(work, guest, seed):
    if guest and not os.environ.get("NUMA_GUEST"):
        return "skipped", "it changes the machine, so it runs in the guest only"
    place = box.Box(seed)
    ended = attempt(work, place)
    try:
        place.close()
    except Exception:
        return "failed", f"{ended[1]}\n{traceback.format_exc()}"
    return ended


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--modules", action="store_true", help="the modules imported, for the image")
    parser.add_argument("--count", action="store_true", help="how many tests there are")
    wanted = parser.parse_args()
    if wanted.modules:
        files = {name: getattr(m, "__file__", None) for name, m in list(sys.modules.items())}
        print(json.dumps({name: file for name, file in files.items() if file and name != "__main__"}))
        return
    if wanted.count:
        print(len(box.TESTS))
        return
    tests = [t for t in box.TESTS if not wanted.only or any(word in t[0] for word in wanted.only)]
    print(f"plan {len(tests)}", flush=True)
    for name, guest, work in tests:
        begun = time.monotonic()
        ended, words = run(work, guest, wanted.seed)
        print(f"{ended} {time.monotonic() - begun:.1f} {name}")
        for line in words.splitlines():
            print(f"  | {line}")
        sys.stdout.flush()
    print("end", flush=True)


if __name__ == "__main__":
    main()
