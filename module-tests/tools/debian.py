"""Programs as Debian packages, unpacked and never installed.

apt is given a configuration and folders of its own under target/: the machine's own package state
is read, not written, and an ordinary user can do it. Where packages come from is the machine's
business: its own Debian sources are copied, with the backports suite beside each.
"""

import os
import pathlib
import re
import shutil
import subprocess


class Unavailable(Exception):
    """Why packages cannot be had here, in one sentence."""


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
        (folder / "parts" / "own.sources").write_text(sources, encoding="utf-8")
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

    def fetch(self, package, version):
        """The package, with those of the libraries it needs that this machine does not have, or has
        too old."""
        common = ["install", "-y", "--no-install-recommends", "--download-only", "-t", self.suite]
        self("apt-get", *common, f"{package}={version}")
        if not any(path.name.startswith(f"{package}_") for path in self.archives()):
            self("apt-get", "download", f"{package}={version}")  # it is installed: its files are wanted still

    def archives(self):
        return sorted((self.folder / "archives").glob("*.deb"))

    def unpack(self, folder):
        """Unpacks all that was fetched."""
        for package in self.archives():
            done = subprocess.run(["dpkg", "-x", str(package), str(folder)], check=False)
            if done.returncode != 0:
                raise Unavailable(f"{package.name} does not unpack")


def compare(one, relation, other):
    return subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0


def need_tools():
    """Says what is missing where apt cannot be used, or its packages would not run here."""
    for tool in ("apt-get", "apt-cache", "dpkg"):
        if not shutil.which(tool):
            raise Unavailable(f"no {tool} here")
    arch = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, text=True, check=False)
    if arch.stdout.strip() != "amd64":
        raise Unavailable(f"the packages are for amd64, this machine is {arch.stdout.strip()}")
