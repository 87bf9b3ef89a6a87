#!/usr/bin/env python3
"""`make test-soundness`: what must hold of memory, watched from outside; ends with its counts.

* millions of random operations on the pool, several nodes and foreign threads, every invariant;
* every order in which threads can meet on the stack of foreign frees (loom);
* the tests of floors 0 to 4 under AddressSanitizer, or, where the toolchain has none, the pool's
  under valgrind: the line says which it was;
* a server with the module under valgrind, through writes, growth, moves, compaction and deletes on
  background threads.

A step that cannot run is a failure, never a pass.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import fetch

TARGET = "x86_64-unknown-linux-gnu"
FLOORS = ["ids::", "machine::", "heat::", "placement::", "pool::", "value::", "migrate::",
          "strategy::"]
# Too slow under an instrument, or about the machine and not about memory.
SKIPPED = ["strategy::sim", "a_million_blocks_come_and_go", "a_hundred_thousand_blocks"]
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed", re.M)
SUMMARY = re.compile(r"ERROR SUMMARY: (\d+) errors")


def run(command, **environment):
    """What it wrote, shown as it comes, and its exit status."""
    process = subprocess.Popen(
        [str(word) for word in command], cwd=fetch.ROOT, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    for line in process.stdout:
        if not re.match(r"^test .* ok$|^\s*Compiling|^\s*Downloaded", line):
            sys.stdout.write(line)
            sys.stdout.flush()
        lines.append(line)
    return "".join(lines), process.wait()


def cargo(words, **environment):
    """Runs tests by cargo; passed and failed, where a run of nothing is a failure."""
    out, status = run(["sh", "module-tests/tools/with-libclang", "cargo", "test", "--locked",
                       "--lib", *words], **environment)
    found = [(int(good), int(bad)) for good, bad in CARGO.findall(out)]
    passed, failed = sum(good for good, _ in found), sum(bad for _, bad in found)
    return passed, max(failed, 1) if status != 0 or passed == 0 else failed


def millions():
    return cargo(["millions_of_random", "--", "--ignored"])


def loom():
    return cargo(["pool::remote_free::model"], RUSTFLAGS="--cfg loom",
                 CARGO_TARGET_DIR="target/loom")


def has_sanitizer():
    folder = subprocess.run(["rustc", "--print", "target-libdir", "--target", TARGET],
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    return bool(glob.glob(os.path.join(folder, "librustc-*_rt.asan.a")))


def skips():
    return [word for name in SKIPPED for word in ("--skip", name)]


def watched():
    if has_sanitizer():
        print("-- AddressSanitizer, floors 0 to 4", flush=True)
        # The pool lives as long as its process, so what it holds at the end is no leak.
        return cargo(["--target", TARGET, "--", *FLOORS, *skips()],
                     RUSTC_BOOTSTRAP="1", RUSTFLAGS="-Zsanitizer=address",
                     CARGO_TARGET_DIR="target/asan", ASAN_OPTIONS="detect_leaks=0")
    print("-- this toolchain has no AddressSanitizer: valgrind, the pool alone", flush=True)
    if not shutil.which("valgrind"):
        print("redis-numa: neither AddressSanitizer nor valgrind (Debian: valgrind)")
        return 0, 1
    runner = "CARGO_TARGET_" + TARGET.upper().replace("-", "_") + "_RUNNER"
    return cargo(["--target", TARGET, "--", "pool::handle", "pool::slab", "pool::remote_free",
                  "compaction_gives", "live_bytes"],
                 **{runner: "valgrind --error-exitcode=1 -q"}, PROPTEST_CASES="4")


def work(client):
    """Every way in which a value's bytes come, move and go."""
    value = lambda n: b"v" * (n * 7919 % 3000 + 1)
    client([(b"numa.set", b"key:%d" % n, value(n)) for n in range(6000)])
    client([(b"numa.append", b"key:%d" % n, value(n + 1)) for n in range(0, 6000, 3)])
    client([(b"numa.setrange", b"big", b"%d" % (n * 30_000), b"x" * 9000) for n in range(20)])
    client([(b"numamigrate", b"key", b"key:%d" % n, b"%d" % (n % 2)) for n in range(0, 6000, 5)])
    client([(b"del", b"key:%d" % n) for n in range(0, 6000, 2)])
    client([(b"unlink", b"big"), (b"numa", b"compact"), (b"bgsave",)])
    client([(b"numa.get", b"key:%d" % n) for n in range(1, 6000, 2)])
    client([(b"flushall", b"async"), (b"numa.set", b"last", value(7)), (b"numa", b"status")])


def server():
    if not shutil.which("valgrind"):
        print("redis-numa: no valgrind (Debian: valgrind)")
        return 0, 1
    sys.path.insert(0, os.path.join(fetch.ROOT, "module-tests", "bench"))
    import compaction
    import servers
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "valgrind")
        watcher = ["valgrind", f"--log-file={log}", "--child-silent-after-fork=yes",
                   "--undef-value-errors=no"]
        with servers.Server(watcher, compaction.DEFRAG) as held:
            client = compaction.Client(held.port)
            work(client.ask)
            client.wait("numa_compactions")
        with open(log, errors="replace") as file:
            text = file.read()
    errors = [int(count) for count in SUMMARY.findall(text)]
    print(text if errors != [0] else f"a server's life, {errors[0]} errors")
    return (1, 0) if errors == [0] else (0, 1)


STEPS = [
    ("millions of operations", millions),
    ("every order of threads", loom),
    ("the Rust tests, watched", watched),
    ("a server, watched", server),
]


def main():
    passed = failed = 0
    for title, step in STEPS:
        print(f"== {title}", flush=True)
        more, fewer = step()
        passed, failed = passed + more, failed + fewer
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
