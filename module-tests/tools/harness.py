"""Reading module-tests/tests.list and judging what Redis's test harness said."""

import dataclasses
import re

SECONDS_DEFAULT = 300
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NOTE = "[note]: "
STATUS = re.compile(r"^\[(ok|err|exception|skip|ignore|TIMEOUT)\]: ?(.*)$")
# How a line of the harness's own begins: it ends the text of a failure above it.
OTHER = re.compile(
    r"^(\[[^\]]+\]: |\[\d+/\d+ done\]|Testing |Cleanup: |Waiting for |Forcing |Killing |\s+The End$)"
)
CRASH = re.compile(
    r"=== (?:REDIS|VALKEY) BUG REPORT START|crashed by signal|=== ASSERTION FAILED|Guru Meditation"
    r"|has overflowed its stack|memory allocation of \d+ bytes failed|ERROR: AddressSanitizer"
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of tests.list: `<name> [solo] [crashes] [seconds=<n>]`."""

    name: str
    solo: bool = False  # timings: nothing else runs beside it
    crashes: bool = False  # crashes servers on purpose: crash reports are no failure
    seconds: int = SECONDS_DEFAULT  # the whole file may take that long


@dataclasses.dataclass
class Result:
    """What came of one file."""

    passed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)  # what the file has to say besides


def read_entry(words):
    """An entry of one line's words; raises ValueError naming the word that is wrong."""
    entry = Entry(words[0])
    for word in words[1:]:
        if word in ("solo", "crashes"):
            entry = dataclasses.replace(entry, **{word: True})
        elif re.fullmatch(r"seconds=[1-9]\d*", word):
            entry = dataclasses.replace(entry, seconds=int(word.partition("=")[2]))
        else:
            raise ValueError(f"tests.list: {words[0]}: unknown word {word}")
    return entry


def read_list(text):
    """The entries in order, and what is wrong with the list."""
    entries, faults = [], []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            entry = read_entry(words)
        except ValueError as error:
            faults.append(str(error))
            continue
        if any(other.name == entry.name for other in entries):
            faults.append(f"tests.list: {entry.name} stands there twice")
        else:
            entries.append(entry)
    return entries, faults


def compare(entries, files):
    """A file nobody runs is a test nobody has; a name without a file runs nothing."""
    names = [entry.name for entry in entries]
    unlisted = [f"module-tests/unit/{f}.tcl is not in tests.list" for f in files if f not in names]
    missing = [f"tests.list: {n} has no file module-tests/unit/{n}.tcl" for n in names if n not in files]
    return unlisted + missing


def read_output(output):
    """Passed, skipped and failed tests, each failure with the lines that belong to it."""
    result, open_failure = Result(), None
    # What comes after "The End" repeats the failures.
    body = re.split(r"^\s+The End\s*$", COLOUR.sub("", output), flags=re.M)[0]
    for line in body.splitlines():
        if line.startswith(NOTE):
            result.notes.append(line.removeprefix(NOTE))
        match = STATUS.match(line)
        if match and match[1] == "ok":
            result.passed += 1
        elif match and match[1] in ("skip", "ignore"):
            result.skipped += 1
        elif match:
            result.failures.append(match[2] or match[1])
        elif open_failure and not OTHER.match(line):
            result.failures[-1] += "\n" + line
            continue
        open_failure = bool(match) and match[1] in ("err", "exception", "TIMEOUT")
    return result


def crash_reports(logs):
    """The first line of each crash report in the servers' logs."""
    found = []
    for path, text in logs:
        match = CRASH.search(text)
        if match:
            line = text[match.start():].splitlines()[0]
            found.append(f"a server crashed: {path.parent.name}/{path.name}: {line}")
    return found


def judge(entry, output, status, logs):
    """The file's result: the harness's word, and what the harness does not notice."""
    result = read_output(output)
    if not entry.crashes:
        result.failures += crash_reports(logs)
    if status is None:
        result.failures.append(f"{entry.name}: no end within {entry.seconds} s, or output without end")
    elif status != 0 and not result.failures:
        tail = "\n".join(COLOUR.sub("", output).splitlines()[-15:])
        result.failures.append(f"{entry.name}: the harness ended with status {status}\n{tail}")
    elif "The End" not in output and not result.failures:
        result.failures.append(f"{entry.name}: the harness ended early")
    if result.passed + len(result.failures) == 0:
        result.failures.append(f"{entry.name}: ran no test")
    return result
