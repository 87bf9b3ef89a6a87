#!/usr/bin/env python3
"""`make test-soundness`: what must hold of memory, watched from outside; ends with its counts.

* millions of random operations on the pool, several nodes and foreign threads, every invariant;
* every order in which threads can meet on the stack of foreign frees (loom);
* the pool and the values, where `unsafe` stands, interpreted (miri): each pointer's right to what
  it touches, bytes read before they were written, races between threads;
* the tests of floors 0 to 4 under AddressSanitizer;
* a server with the module under valgrind, through writes, growth, moves, compaction and deletes on
  background threads.

A step that cannot run is a failure, never a pass. Miri is a component of Rust's nightly, which is
asked of rustup where it is not there; it runs beside the other steps, on one processor, and what it
wrote is shown at its turn, the last.

ThreadSanitizer is none of the steps. It sees the orders of threads that a run happens to take; loom
takes them all, with every value that a weak memory may show, and it is one small structure that
threads share without a lock. Miri looks for data races by the same rule as the sanitizer, in the
tests of the pool that free on other threads. And the sanitizer wants all of std built anew.
"""

import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

import fetch

TARGET = "x86_64-unknown-linux-gnu"
NIGHTLY = os.environ.get("NIGHTLY", "nightly")
FLOORS = ["ids::", "machine::", "heat::", "placement::", "pool::", "value::", "migrate::",
          "strategy::"]
# What is interpreted: where `unsafe` stands, and values through their lives, at small counts.
INTERPRETED = ["pool::handle::tests::a_", "pool::slab", "pool::remote_free", "value::link",
               "value::raw", "value::half::a_sorted_set", "value::half::a_hash"]
NOT_INTERPRETED = ["a_block_that_waits_or_lies_aside"]  # 25,600 blocks
# Too slow under an instrument, or about the machine and not about memory.
SKIPPED = ["strategy::sim", "a_million_blocks_come_and_go", "a_hundred_thousand_blocks"]
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed", re.M)
SUMMARY = re.compile(r"ERROR SUMMARY: (\d+) errors")


def run(command, show=sys.stdout.write, **environment):
    """What it wrote, shown as it comes, and its exit status."""
    process = subprocess.Popen(
        [str(word) for word in command], cwd=fetch.ROOT, env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    for line in process.stdout:
        if not re.match(r"^test .* ok$|^\s*Compiling|^\s*Downloaded", line):
            show(line)
            sys.stdout.flush()
        lines.append(line)
    return "".join(lines), process.wait()


def cargo(words, cargo_words=("test",), **environment):
    """Runs tests by cargo; passed and failed, where a run of nothing is a failure."""
    out, status = run(["sh", "module-tests/tools/with-libclang", "cargo", *cargo_words, "--locked",
                       "--lib", *words], **environment)
    found = [(int(good), int(bad)) for good, bad in CARGO.findall(out)]
    passed, failed = sum(good for good, _ in found), sum(bad for _, bad in found)
    return passed, max(failed, 1) if status != 0 or passed == 0 else failed


def millions():
    return cargo(["millions_of_random", "--", "--ignored"])


def loom():
    return cargo(["pool::remote_free::model"], RUSTFLAGS="--cfg loom",
                 CARGO_TARGET_DIR="target/loom")


def has_miri():
    if subprocess.run(["cargo", f"+{NIGHTLY}", "miri", "--version"],
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return True
    if not shutil.which("rustup"):
        return False
    subprocess.run(["rustup", "toolchain", "install", NIGHTLY, "--profile", "minimal",
                    "--component", "miri", "--component", "rust-src"])
    return subprocess.run(["cargo", f"+{NIGHTLY}", "miri", "--version"]).returncode == 0


def interpreted(show):
    if not has_miri():
        show("redis-numa: no miri: rustup toolchain install nightly -c miri -c rust-src\n")
        return 0, 1
    # Links are numbers that become pointers again, which miri follows but cannot judge wholly. The
    # pool lives as long as its process.
    flags = "-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-ignore-leaks"
    words = ["--", *INTERPRETED, *skips(NOT_INTERPRETED)]
    return cargo(words, [f"+{NIGHTLY}", "miri", "test"], show=show, MIRIFLAGS=flags,
                 CARGO_TARGET_DIR="target/miri")


def has_sanitizer():
    folder = subprocess.run(["rustc", "--print", "target-libdir", "--target", TARGET],
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    return bool(glob.glob(os.path.join(folder, "librustc-*_rt.asan.a")))


def skips(names):
    return [word for name in names for word in ("--skip", name)]


def watched():
    if not has_sanitizer():
        print(f"redis-numa: the Rust toolchain has no AddressSanitizer for {TARGET}")
        return 0, 1
    # The pool lives as long as its process, so what it holds at the end is no leak.
    return cargo(["--target", TARGET, "--", *FLOORS, *skips(SKIPPED)],
                 RUSTC_BOOTSTRAP="1", RUSTFLAGS="-Zsanitizer=address",
                 CARGO_TARGET_DIR="target/asan", ASAN_OPTIONS="detect_leaks=0")


def work(client):
    """Every way in which a value's bytes come, move and go."""
    value = lambda n: b"v" * (n * 7919 % 3000 + 1)
    client([(b"numa.set", b"key:%d" % n, value(n)) for n in range(6000)])
    client([(b"numa.append", b"key:%d" % n, value(n + 1)) for n in range(0, 6000, 3)])
    client([(b"numa.setrange", b"big", b"%d" % (n * 30_000), b"x" * 9000) for n in range(20)])
    client([(b"numamigrate", b"key", b"key:%d" % n, b"%d" % (n % 2)) for n in range(0, 6000, 5)])
    client([(b"del", b"key:%d" % n) for n in range(0, 6000, 2)])
    for n in range(0, 4000, 50):
        texts = [value(m % 90) + b"%d" % m for m in range(n, n + 50)]
        client([(b"numa.sadd", b"set", *texts), (b"numa.rpush", b"list", *texts),
                (b"numa.hset", b"hash", *(word for text in texts for word in (text, text))),
                (b"numa.zadd", b"zset", *(word for text in texts for word in (b"1", text))),
                (b"numa.srem", b"set", *texts[::2]), (b"numa.hdel", b"hash", *texts[::2]),
                (b"numa.zrem", b"zset", *texts[::2]),
                (b"numa.ltrim", b"list", b"20", b"-1")])
    client([(b"numa.setrange", b"grows", b"%d" % n, b"x") for n in range(0, 9_000_000, 600_000)])
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
    with concurrent.futures.ThreadPoolExecutor() as beside:
        lines = []
        miri = beside.submit(interpreted, lines.append)

        def interpretation():
            counts = miri.result()
            print("".join(lines), end="")
            return counts

        for title, step in [*STEPS, ("unsafe code, interpreted", interpretation)]:
            print(f"== {title}", flush=True)
            more, fewer = step()
            passed, failed = passed + more, failed + fewer
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
