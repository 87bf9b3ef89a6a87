"""The servers that the module must get on with beside stock Redis 6.2: Debian's Redis 7.0 and
Valkey 8, which run on the system's jemalloc, and Redis 6.2 on the C library's allocator.

Debian's come as packages and are unpacked, never installed (tools/debian.py); the third one is
built from the source that every other test uses. Each shows its programs in one folder by the
names that Redis's test harness knows. Programs of packages are started by a line of shell that
tells them where their libraries lie.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import debian  # noqa: E402  (the path is set just above)
import fetch  # noqa: E402

PLACE = fetch.TARGET / "servers"
GET_REDIS = pathlib.Path(__file__).resolve().parents[1] / "tools" / "get-redis"
LIBRARIES = "LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu"
PROGRAMS = ("server", "cli", "benchmark", "check-aof", "check-rdb")


@dataclasses.dataclass(frozen=True)
class Packaged:
    """A server of Debian's: its packages, what its programs' names begin with, which versions."""

    name: str
    packages: tuple
    prefix: str
    at_least: str
    below: str


PACKAGED = {
    server.name: server
    for server in (
        Packaged("redis-7.0", ("redis-server", "redis-tools"), "redis", "5:7.0", "5:7.1"),
        Packaged("valkey-8", ("valkey-server", "valkey-tools"), "valkey", "8.0", "9"),
    )
}
LIBC = "redis-6.2-libc"


def wrap(root, server):
    """A line of shell for each program, where and as the harness looks for it."""
    folder = root / server.name / "src"
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        program = f"usr/bin/{server.prefix}-{name}"
        if not (root / program).exists():
            raise debian.Unavailable(f"the packages bring no {program}")
        # Found from where it stands: the folder is renamed when it is whole.
        words = f'exec "$root/{program}" "$@"'
        text = f'#!/bin/sh\nroot=$(dirname "$(readlink -f "$0")")/../..\n{LIBRARIES} {words}\n'
        (folder / f"redis-{name}").write_text(text, encoding="ascii")
        (folder / f"redis-{name}").chmod(0o755)


def fetch_packaged():
    """Debian's servers, in one folder, fetched if need be."""
    if PLACE.is_dir():
        return
    debian.need_tools()
    with fetch.locked("servers"):
        if PLACE.is_dir():
            return
        fetch.remove_half_made("servers")
        with fetch.fresh_dir("servers") as folder:
            fetch.say("fetching Debian's Redis 7.0 and Valkey 8 with apt (20 MB, once)")
            apt = debian.Apt(folder / "apt")
            apt("apt-get", "update", "-q")
            for server in PACKAGED.values():
                for package in server.packages:
                    apt.fetch(package, apt.newest(package, server.at_least, server.below))
            root = folder / "root"
            apt.unpack(root)
            for server in PACKAGED.values():
                wrap(root, server)
            os.rename(root, PLACE)


def libc_server():
    """The program of the server that was built on the C library's allocator."""
    command = [sys.executable, str(GET_REDIS), "--libc"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise debian.Unavailable("Redis on the C library's allocator could not be built")
    return pathlib.Path(done.stdout.strip()) / "src" / "redis-server"


def server(name):
    """The program of the server of that name, fetched or built if need be."""
    if name == LIBC:
        return libc_server()
    fetch_packaged()
    return PLACE / name / "src" / "redis-server"
