"""Reading what inside/main.py says: which tests ended how, and which never came to an end."""

import dataclasses
import re

LINE = re.compile(r"^(ok|failed|skipped) ([\d.]+) (.+)$")


@dataclasses.dataclass
class Outcome:
    """How one test ended."""

    name: str
    ended: str
    seconds: float
    words: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Run:
    """What came of a run; `wrong` says why it is no whole run."""

    outcomes: list = dataclasses.field(default_factory=list)
    wrong: list = dataclasses.field(default_factory=list)

    def count(self, ended):
        return sum(outcome.ended == ended for outcome in self.outcomes)

    @property
    def failed(self):
        return self.count("failed") + len(self.wrong)


def read(text, why_ended):
    """The run that the text tells of. A run must name how many tests it has, and end: a guest that
    died half-way has failed, whatever it said before, and so has one that ran nothing."""
    run, planned, ended = Run(), None, False
    for line in text.replace("\r", "").splitlines():
        match = LINE.match(line)
        if match:
            run.outcomes.append(Outcome(match[3], match[1], float(match[2])))
        elif line.startswith("  | ") and run.outcomes:
            run.outcomes[-1].words.append(line[4:])
        elif line.startswith("plan ") and line[5:].isdigit():
            planned = int(line[5:])
        ended = ended or line == "end"
    if planned is None or not ended:
        run.wrong.append(f"the run did not come to its end: {why_ended}")
    elif planned == 0 or planned != len(run.outcomes):
        run.wrong.append(f"{planned} tests were planned, {len(run.outcomes)} ended")
    return run
