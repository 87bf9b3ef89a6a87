"""QEMU, a kernel and the guest's few programs, as Debian packages, unpacked and never installed.

apt is given a configuration and folders of its own under target/guest: the machine's own package
state is read, not written, and an ordinary user can do it. Where packages come from is the
machine's business: its own Debian sources are copied, with the backports suite beside each. What
is fetched is unpacked in a folder of its own and renamed when it is whole, so that an interrupted
try leaves nothing that a later one could take for a guest.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))

import fetch  # noqa: E402  (the path is set just above)

GUEST = fetch.TARGET / "guest"
PLACE = GUEST / "packages"
# The kernel crashes under QEMU before 10; kernels before 6.12 know no memory tiers.
QEMU, QEMU_FROM, QEMU_BELOW = "qemu-system-x86", "1:10.0", "1:12"
KERNEL, KERNEL_FROM, KERNEL_BELOW = "linux-image-cloud-amd64", "6.12", "6.19"
PROGRAMS = ["busybox-static", "numactl", "libnuma1"]


class Unavailable(Exception):
    """Why the packages cannot be had here: the tests are skipped then."""


def stanzas(text):
    """The stanzas of a .sources file as dictionaries; comments and folded keys left out."""
    for block in re.split(r"\n\s*\n", text):
        fields = dict(
            (key.strip().lower(), value.strip())
            for key, _, value in (
                line.partition(":") for line in block.splitlines() if re.match(r"[A-Za-z-]+:", line)
            )
        )
        if fields and fields.get("enabled", "yes") != "no":
            yield fields


def one_line(line):
    """A line of a .list file as a stanza; nothing where it names no binary packages."""
    match = re.match(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)", line.strip())
    if not match:
        return None
    suite, *components = match["rest"].partition("#")[0].split()
    options = dict(o.partition("=")[::2] for o in (match["options"] or "").split())
    found = {"uris": match["uri"], "suites": suite, "components": " ".join(components)}
    if "signed-by" in options:
        found["signed-by"] = options["signed-by"]
    return found


def own_sources(folder=pathlib.Path("/etc/apt")):
    """Every source that this machine's apt reads."""
    for path in sorted([folder / "sources.list", *folder.glob("sources.list.d/*")]):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            continue
        if path.suffix == ".sources":
            yield from stanzas(text)
        elif path.suffix == ".list":
            yield from filter(None, map(one_line, text.splitlines()))


def with_backports(sources, codename):
    """The distribution's main sources, each suite <codename> with <codename>-backports added."""
    text = []
    for source in sources:
        suites = source.get("suites", "").split()
        if codename not in suites:
            continue
        both = list(dict.fromkeys([*suites, f"{codename}-backports"]))
        lines = ["Types: deb", f"URIs: {source['uris']}", f"Suites: {' '.join(both)}", "Components: main"]
        if "signed-by" in source:
            lines.append(f"Signed-By: {source['signed-by']}")
        text.append("\n".join(lines) + "\n")
    return "\n".join(text)


def codename(path=pathlib.Path("/etc/os-release")):
    match = re.search(r"^VERSION_CODENAME=\"?([\w-]+)", path.read_text(encoding="utf-8"), re.M)
    return match[1] if match else ""


class Apt:
    """apt with state of its own in `folder`."""

    def __init__(self, folder):
        self.folder, self.suite = folder, f"{codename()}-backports"
        sources = with_backports(own_sources(), codename())
        if not sources:
            raise Unavailable("apt has no source for this distribution's main packages")
        for name in ("parts", "lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "parts" / "guest.sources").write_text(sources, encoding="utf-8")
        settings = {
            "Dir::State::lists": folder / "lists",
            "Dir::Cache::archives": folder / "archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": folder / "parts",
            "Debug::NoLocking": 1,
            "APT::Sandbox::User": "",
            "APT::Update::Post-Invoke-Success": "",
            "Acquire::Retries": 3,
        }
        lines = [f'{name} "{value}";\n' for name, value in settings.items()]
        lines.append("#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n")
        (folder / "apt.conf").write_text("".join(lines), encoding="utf-8")

    def __call__(self, tool, *words, may_fail=False):
        """The output of an apt tool."""
        env = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}
        done = subprocess.run(
            [tool, *words], env=env, cwd=self.folder / "archives", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        if done.returncode != 0 and not may_fail:
            last = (done.stdout.strip().splitlines() or ["no word"])[-1]
            raise Unavailable(f"{tool} {words[0]}: {last}")
        return done.stdout

    def newest(self, package, at_least, below):
        """The newest version within the range."""
        rows = self("apt-cache", "madison", package).splitlines()
        versions = [row.split("|")[1].strip() for row in rows if row.count("|") == 2]
        good = [v for v in versions if compare(v, "ge", at_least) and compare(v, "lt", below)]
        if not good:
            raise Unavailable(f"no {package} from {at_least} and below {below} (there is {versions})")
        best = good[0]
        for version in good[1:]:
            best = version if compare(version, "gt", best) else best
        return best


def compare(one, relation, other):
    return subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0


def download(apt):
    """Brings every package that is needed into apt's archives; what was chosen, as text."""
    apt("apt-get", "update", "-q")
    qemu = apt.newest(QEMU, QEMU_FROM, QEMU_BELOW)
    kernel = apt.newest(KERNEL, KERNEL_FROM, KERNEL_BELOW)
    # QEMU with those of its libraries that this machine does not have, or has too old.
    common = ["install", "-y", "--no-install-recommends", "--download-only", "-t", apt.suite]
    apt("apt-get", *common, f"{QEMU}={qemu}")
    have = {path.name for path in (apt.folder / "archives").glob("*.deb")}
    if not any(name.startswith(f"{QEMU}_") for name in have):
        apt("apt-get", "download", f"{QEMU}={qemu}")  # it is installed: its files are wanted still
    depends = apt("apt-cache", "show", f"{KERNEL}={kernel}")
    image = re.search(r"^Depends: (linux-image-[^ ,]+)", depends, re.M)
    if not image:
        raise Unavailable(f"{KERNEL} {kernel} names no kernel image")
    apt("apt-get", "download", image[1], *PROGRAMS)
    return f"{QEMU} {qemu}\n{image[1]} {kernel}\n"


def unpack(apt, folder):
    for package in sorted((apt.folder / "archives").glob("*.deb")):
        done = subprocess.run(["dpkg", "-x", str(package), str(folder)], check=False)
        if done.returncode != 0:
            raise Unavailable(f"{package.name} does not unpack")
    # Of the kernel's 100 MB only the image is of use: nothing in the guest is a module.
    for useless in ("usr/lib/modules", "lib/modules", "usr/share/doc"):
        shutil.rmtree(folder / useless, ignore_errors=True)


def packages():
    """The folder of the unpacked packages, fetched if need be."""
    if PLACE.is_dir():
        return PLACE
    for tool in ("apt-get", "apt-cache", "dpkg"):
        if not shutil.which(tool):
            raise Unavailable(f"no {tool} here")
    arch = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=False)
    if arch.stdout.strip() != "amd64":
        raise Unavailable(f"the guest is amd64, this machine is {arch.stdout.strip()}")
    GUEST.mkdir(parents=True, exist_ok=True)
    with fetch.locked("guest"):
        if PLACE.is_dir():
            return PLACE
        fetch.remove_half_made("guest")
        with fetch.fresh_dir("guest") as folder:
            fetch.say("fetching QEMU and a kernel with apt (50 MB, once)")
            apt = Apt(folder / "apt")
            chosen = download(apt)
            root = folder / "root"
            unpack(apt, root)
            (root / "versions").write_text(chosen, encoding="ascii")
            os.rename(root, PLACE)
    return PLACE


if __name__ == "__main__":
    try:
        print(packages())
    except Unavailable as reason:
        sys.exit(f"redis-numa: {reason}")
