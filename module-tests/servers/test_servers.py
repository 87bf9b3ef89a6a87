"""What stands between the packages of other servers and the harness that starts them."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

import debian  # noqa: E402  (the path is set just above)
import get  # noqa: E402

SERVER = get.PACKAGED["valkey-8"]


def packages(folder, names):
    """A folder of unpacked packages, whose programs tell what they were called with."""
    programs = folder / "usr" / "bin"
    programs.mkdir(parents=True)
    for name in names:
        (programs / f"{SERVER.prefix}-{name}").write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH|$*"\n')
        (programs / f"{SERVER.prefix}-{name}").chmod(0o755)


class Wrap(unittest.TestCase):
    def test_programs_run_by_their_harness_names_with_their_libraries_wherever_they_lie(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name) / "made"
            packages(folder, get.PROGRAMS)
            get.wrap(folder, SERVER)
            moved = folder.rename(pathlib.Path(name) / "moved here")
            link = pathlib.Path(name) / "redis-cli"
            link.symlink_to(moved / SERVER.name / "src" / "redis-cli")
            done = subprocess.run([link, "a b", "c"], stdout=subprocess.PIPE, text=True, check=True)
            libraries, _, words = done.stdout.strip().partition("|")
            self.assertEqual(words, "a b c")
            expected = (moved / "usr/lib/x86_64-linux-gnu").resolve()
            self.assertEqual(pathlib.Path(libraries).resolve(), expected)

    def test_packages_without_a_program_are_no_server(self):
        with tempfile.TemporaryDirectory() as name:
            packages(pathlib.Path(name), get.PROGRAMS[:-1])
            with self.assertRaises(debian.Unavailable):
                get.wrap(pathlib.Path(name), SERVER)


if __name__ == "__main__":
    unittest.main()
