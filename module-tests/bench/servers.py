"""What the benches of live servers share: a server for the length of a block, ratios of rounds
that were run in turns, and instructions counted by callgrind.

Times on a shared machine mean little: what is run in turns is quoted as the median of the rounds'
ratios, with the middle half of the rounds behind it, beside the ratio of two runs of the same
thing. Instructions are steady whatever else runs.
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
GIB = 1 << 30
ARGUMENTS = f"numa-simulate 0:{4 * GIB}:80,1:{16 * GIB}:250:cpuless"
# Callgrind slows a server down some fifty times and its clock not at all: a tick each second there
# is one in 20 ms here. More would count what belongs to the clock against the requests.
SLOW_CLOCK = ("--hz", "1"), "tick-interval 1000"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server, with the module unless `arguments` is None; gone with the block it is used in."""

    def __init__(self, wrapper=(), more=(), arguments=ARGUMENTS):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        command = [*wrapper, REDIS / "redis-server", "--port", str(self.port), "--save", ""]
        command += ["--dir", self.folder.name]
        if arguments is not None:
            command += ["--loadmodule", MODULE, *arguments.split()]
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

    def cpu_seconds(self):
        """Time that the main thread has run."""
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/schedstat")
        return int(path.read_text().split()[0]) / 1e9

    def bench(self, requests, pipeline, words, keys=KEYS):
        """Requests a second of a command whose words may be `__rand_int__`."""
        command = [REDIS / "redis-benchmark", "-p", self.port, "-n", requests, "-P", pipeline]
        command += ["-c", 50 if pipeline == 1 else 8, "-r", keys, "--csv", *words]
        done = subprocess.run(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
        last = done.stdout.strip().splitlines()[-1]
        return float(re.findall(r'"([0-9.]+)"', last.split(",", 1)[1])[0])


class CountedServer(Server):
    """A server whose instructions callgrind counts."""

    def __init__(self, more=(), arguments=ARGUMENTS):
        options, slow = SLOW_CLOCK
        arguments = None if arguments is None else f"{arguments} {slow}"
        self.counts = tempfile.TemporaryDirectory(prefix="bench-")
        wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.counts.name}/out"]
        super().__init__(wrapper, (*more, *options), arguments)
        self.dumps = 0

    def __exit__(self, *others):
        super().__exit__(*others)
        self.counts.cleanup()

    def counted(self, work):
        """Instructions that the server runs while `work` does."""
        self.dump()
        work()
        return self.dump()

    def dump(self):
        """Instructions since the last dump; callgrind's own report of them is kept if asked."""
        self.dumps += 1
        command = ["vgdb", f"--pid={self.process.pid}", "dump"]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        dump = pathlib.Path(self.counts.name) / f"out.{self.dumps}"
        text = dump.read_text()
        return int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1))

    def keep(self, path):
        """Keeps the last dump, for callgrind_annotate."""
        dump = pathlib.Path(self.counts.name) / f"out.{self.dumps}"
        pathlib.Path(path).write_text(dump.read_text())


def middle(values):
    """The median and the bounds of the middle half."""
    low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return median, low, high


def shown(values):
    median, low, high = middle(values)
    return f"{median:.3f} ({low:.3f}-{high:.3f})"


def in_turns(rounds, first, second):
    """Rates of `first` and ratios to it, each round running first, second, first: those of the
    second one, and of the last run of the first one to the one before."""
    rates, ratios, again = [], [], []
    for _ in range(rounds):
        before, rate, after = first(), second(), first()
        rates.append(before)
        ratios.append(2 * rate / (before + after))
        again.append(after / before)
    return statistics.median(rates), ratios, again
