"""Fetching a pinned package once, safely.

A package is named, never addressed: pip knows where this machine gets its packages. The checksum
is given to pip, so nothing unpacks before it matched, and is checked here again, so that a
half-written file of an earlier try is fetched anew. What a fetch makes appears under its final
name in one rename: a reader sees all of it or none.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
DOWNLOADS = TARGET / "downloads"


class FetchError(Exception):
    """What to tell the user, in one sentence."""


def say(text):
    """Progress goes to stderr: stdout is for what a caller reads."""
    print(f"redis-numa: {text}", file=sys.stderr, flush=True)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def is_whole(path, checksum):
    return path.is_file() and sha256(path) == checksum


@contextlib.contextmanager
def locked(name):
    """One process at a time makes `name`; a second waits and then finds it made."""
    TARGET.mkdir(exist_ok=True)
    with open(TARGET / f".{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_half_made(name):
    """Under the lock nobody else is at work, so what an interrupted try left is rubbish."""
    for path in TARGET.glob(f"{name}.tmp.*"):
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def fresh_dir(name):
    """A new folder beside its final place (same file system, so a rename moves it)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}.tmp.", dir=TARGET))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def package(requirement, file_name, checksum, pip_options):
    """The path of the package's file, fetched by pip unless it lies there whole already."""
    path = DOWNLOADS / file_name
    if is_whole(path, checksum):
        return path
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    say(f"fetching {requirement} with pip")
    with tempfile.TemporaryDirectory(dir=TARGET) as folder:
        wanted = pathlib.Path(folder) / "requirements.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{checksum}\n", encoding="ascii")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--dest", folder, *pip_options]
        command += ["--require-hashes", "--requirement", str(wanted)]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            raise FetchError(f"pip could not fetch {requirement}: see its words above")
        fetched = pathlib.Path(folder) / file_name
        if not is_whole(fetched, checksum):
            raise FetchError(f"pip brought no {file_name} with the pinned checksum")
        os.replace(fetched, path)
    return path
