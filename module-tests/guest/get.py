"""QEMU, a kernel and the guest's few programs, as Debian packages, unpacked and never installed.

What is fetched (tools/debian.py says how) is unpacked in a folder of its own and renamed when it is
whole, so that an interrupted try leaves nothing that a later one could take for a guest.
"""

import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import debian  # noqa: E402  (the path is set just above)
import fetch  # noqa: E402

GUEST = fetch.TARGET / "guest"
PLACE = GUEST / "packages"
# The kernel crashes under QEMU before 10; kernels before 6.12 know no memory tiers.
QEMU, QEMU_FROM, QEMU_BELOW = "qemu-system-x86", "1:10.0", "1:12"
KERNEL, KERNEL_FROM, KERNEL_BELOW = "linux-image-cloud-amd64", "6.12", "6.19"
PROGRAMS = ["busybox-static", "numactl", "libnuma1"]


def download(apt):
    """Brings every package that is needed into apt's archives; what was chosen, as text."""
    apt("apt-get", "update", "-q")
    qemu = apt.newest(QEMU, QEMU_FROM, QEMU_BELOW)
    kernel = apt.newest(KERNEL, KERNEL_FROM, KERNEL_BELOW)
    apt.fetch(QEMU, qemu)
    depends = apt("apt-cache", "show", f"{KERNEL}={kernel}")
    image = re.search(r"^Depends: (linux-image-[^ ,]+)", depends, re.M)
    if not image:
        raise debian.Unavailable(f"{KERNEL} {kernel} names no kernel image")
    apt("apt-get", "download", image[1], *PROGRAMS)
    return f"{QEMU} {qemu}\n{image[1]} {kernel}\n"


def unpack(apt, folder):
    apt.unpack(folder)
    # Of the kernel's 100 MB only the image is of use: nothing in the guest is a module.
    for useless in ("usr/lib/modules", "lib/modules", "usr/share/doc"):
        shutil.rmtree(folder / useless, ignore_errors=True)


def packages():
    """The folder of the unpacked packages, fetched if need be."""
    if PLACE.is_dir():
        return PLACE
    debian.need_tools()
    GUEST.mkdir(parents=True, exist_ok=True)
    with fetch.locked("guest"):
        if PLACE.is_dir():
            return PLACE
        fetch.remove_half_made("guest")
        with fetch.fresh_dir("guest") as folder:
            fetch.say("fetching QEMU and a kernel with apt (50 MB, once)")
            apt = debian.Apt(folder / "apt")
            chosen = download(apt)
            root = folder / "root"
            unpack(apt, root)
            (root / "versions").write_text(chosen, encoding="ascii")
            os.rename(root, PLACE)
    return PLACE


if __name__ == "__main__":
    try:
        print(packages())
    except debian.Unavailable as reason:
        sys.exit(f"redis-numa: {reason}")
