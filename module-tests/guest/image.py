"""The guest's root file system: an initramfs in the kernel's cpio form ("newc"), written here.

What it holds is taken from where it is: busybox and numactl from the fetched packages, the server
and the module from target/, this machine's own python3 with just the modules that the tests
import, and of each program the libraries that ldd names, all in one folder. Nothing is compressed:
under emulation unpacking would cost more than it saves.
"""

import json
import os
import pathlib
import py_compile
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
INSIDE = HERE / "inside"
WIRE = HERE.parent / "demo" / "wire.py"
LIBRARIES = "/lib/all"
PYTHON = "/python"


class Archive:
    """A cpio archive that grows in memory."""

    def __init__(self):
        self.pieces, self.names, self.count = [], set(), 0

    def entry(self, name, mode, data=b""):
        name = name.lstrip("/")
        if name in self.names:
            return
        parent = os.path.dirname(name)
        if parent:
            self.entry(parent, 0o040755)
        self.names.add(name)
        self.raw(name, mode, data)

    def raw(self, name, mode, data):
        self.count += 1
        encoded = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.pieces += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def file(self, name, source, mode=0o100644):
        self.entry(name, mode, pathlib.Path(source).read_bytes())

    def program(self, name, source):
        self.file(name, source, 0o100755)

    def whole(self):
        self.raw("TRAILER!!!", 0, b"")
        return b"".join(self.pieces)


def libraries_of(path, search):
    """The shared libraries that a program or library needs, the loader included."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(search)}
    done = subprocess.run(
        ["ldd", str(path)], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, check=False,
    )
    missing = re.findall(r"^\s*(\S+) => not found", done.stdout, re.M)
    if missing:
        raise FileNotFoundError(f"{path} needs {', '.join(missing)}, which is not here")
    return re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", done.stdout, re.M)


def add_with_libraries(archive, name, source, search):
    archive.program(name, source)
    for library in libraries_of(source, search):
        # The loader is found by its full name, all others by LD_LIBRARY_PATH.
        archive.program(library if "/ld-" in library else f"{LIBRARIES}/{os.path.basename(library)}", library)


def python_modules(script):
    """Name and file of each module that the script imports."""
    command = [sys.executable, "-S", "-B", str(INSIDE / script), "--modules"]
    env = {**os.environ, "PYTHONPATH": str(WIRE.parent)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=env, check=True)
    return json.loads(done.stdout)


def add_python(archive, search, script):
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = f"{PYTHON}/lib/{version}"
    add_with_libraries(archive, f"{PYTHON}/bin/python3", os.path.realpath(sys.executable), search)
    archive.entry(f"{library}/lib-dynload", 0o040755)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in python_modules(script).items():
            source = pathlib.Path(path)
            if INSIDE in source.parents or source == WIRE:
                continue  # added as they are, so that a traceback shows their lines
            if source.suffix != ".py":
                add_with_libraries(archive, f"{library}/lib-dynload/{source.name}", source, search)
                continue
            compiled = os.path.join(folder, "module.pyc")
            py_compile.compile(path, cfile=compiled, doraise=True)
            inner = name.replace(".", "/") + ("/__init__" if source.name == "__init__.py" else "")
            archive.file(f"{library}/{inner}.pyc", compiled)


def build(packages, server, module, script, arguments, cpus=None):
    """The image as bytes; `script` is the one of inside/ that runs, with these arguments, on these
    CPUs or on any."""
    archive = Archive()
    search = packages / "usr" / "lib" / "x86_64-linux-gnu"
    for folder in ("proc", "sys", "dev", "tmp", "run", "bin", "sbin", "usr/bin", "usr/sbin"):
        archive.entry(folder, 0o040755)
    archive.program("bin/busybox", packages / "bin" / "busybox")
    archive.program("init", INSIDE / "init")
    add_with_libraries(archive, "usr/bin/numactl", packages / "usr" / "bin" / "numactl", search)
    for name in ("redis-server", "redis-cli"):
        path = server.with_name(name) if name != "redis-server" else server
        if path.is_file():
            add_with_libraries(archive, f"usr/bin/{name}", path, search)
    add_with_libraries(archive, "module/libredis_numa.so", module, search)
    add_python(archive, search, script)
    for source in [*INSIDE.glob("*.py"), WIRE]:
        archive.file(f"tests/{source.name}", source)
    archive.entry("tests/arguments", 0o100644, "\n".join([script, *arguments]).encode())
    if cpus:
        archive.entry("tests/cpus", 0o100644, cpus.encode())
    return archive.whole()
