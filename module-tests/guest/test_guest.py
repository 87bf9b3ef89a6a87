"""The host's side of `make test-numa`: sources, the image, and what counts as a whole run."""

import contextlib
import io
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

import console  # noqa: E402  (the path is set just above)
import image  # noqa: E402
import misses  # noqa: E402

WHOLE = "plan 2\nok 1.0 one\n  | 5 judgements\nfailed 2.5 two: why\n  | because\nend\n"


class Console(unittest.TestCase):
    def test_a_whole_run_is_counted(self):
        run = console.read(WHOLE, "status 0")
        self.assertEqual((run.count("ok"), run.failed, run.wrong), (1, 1, []))
        self.assertEqual(run.outcomes[1].name, "two: why")
        self.assertEqual(run.outcomes[1].words, ["because"])

    def test_a_guest_that_died_has_failed(self):
        for text in ("", "plan 2\nok 1.0 one\n", WHOLE.replace("end\n", ""), WHOLE.replace("plan 2\n", "")):
            self.assertGreaterEqual(console.read(text, "status 0").failed, 1, text)
            self.assertEqual(len(console.read(text, "status 0").wrong), 1, text)

    def test_a_run_that_lost_a_test_or_had_none_has_failed(self):
        for text in ("plan 2\nok 1.0 one\nend\n", "plan 0\nend\n"):
            self.assertEqual(console.read(text, "status 0").failed, 1, text)

    def test_the_serial_line_ends_lines_its_own_way(self):
        self.assertEqual(console.read(WHOLE.replace("\n", "\r\n"), "").count("ok"), 1)


class Image(unittest.TestCase):
    def test_entries_are_aligned_and_have_their_folders(self):
        archive = image.Archive()
        archive.entry("a/b/file", 0o100644, b"12345")
        archive.entry("a/b/other", 0o100644, b"")
        whole = archive.whole()
        self.assertEqual(len(whole) % 4, 0)
        self.assertEqual(sorted(archive.names), ["a", "a/b", "a/b/file", "a/b/other"])
        at, names = 0, []
        while at < len(whole):
            self.assertEqual(whole[at:at + 6], b"070701")
            size, length = (int(whole[at + o:at + o + 8], 16) for o in (54, 94))
            names.append(whole[at + 110:at + 110 + length - 1])
            at += -(-(110 + length) // 4) * 4 + -(-size // 4) * 4
        self.assertEqual(names, [b"a", b"a/b", b"a/b/file", b"a/b/other", b"TRAILER!!!"])

    def test_a_missing_library_is_named(self):
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(image.libraries_of(__file__, "/nonesuch"), [])


class Misses(unittest.TestCase):
    COUNTS = (
        "window 0 accesses 9 misses 9 0 0\nwindow 2 accesses 90 misses 20 4 6\n"
        "window 2 accesses 90 misses 20 4 6\npage 7f00 0 15\npage 7f01 2 5\npage 9 0 1\n"
        "window 1 accesses 80 misses 16 0 5\n"
    )

    def test_windows_are_counted_by_the_request_without_the_filling(self):
        windows, pages = misses.read_counts(self.COUNTS, 10)
        self.assertEqual([(w.near, w.far) for w in windows], [(2.0, 1.0), (2.0, 1.0), (1.6, 0.5)])
        self.assertEqual(windows[0].ns, 2 * 80 + 250)
        self.assertEqual(pages, [(0x7F00, 0, 15), (0x7F01, 2, 5), (9, 0, 1)])

    def test_a_row_has_settled_when_the_last_two_windows_of_its_warm_up_agree(self):
        windows, pages = misses.read_counts(self.COUNTS, 10)
        self.assertTrue(misses.Outcome("row", windows, pages, {}, [], 10).settled)
        self.assertFalse(misses.Outcome("row", windows[1:], pages, {}, [], 10).settled)
        windows[1].far += 0.05
        self.assertFalse(misses.Outcome("row", windows, pages, {}, [], 10).settled)

    def test_misses_are_told_by_mapping(self):
        told = '{"window": 1, "moves": 3, "moved_bytes": 10}\r\n{"maps": [[32512, 32514, ""], [8, 9, "x"]]}\n'
        facts, moves = misses.read_facts(told)
        windows, pages = misses.read_counts(self.COUNTS, 10)
        row = misses.Outcome("row", windows, pages, facts, moves, 10)
        self.assertEqual(misses.by_mapping(row), {"anonymous": 20, "other": 1})
        self.assertEqual(row.moves, [(3, 10)])

    def test_the_index_is_what_misses_on_pages_without_values(self):
        facts = {"value_pages": [[0x7F01, 0x7F03], [0x8000, 0x8001]]}
        _, pages = misses.read_counts(self.COUNTS, 10)
        row = misses.Outcome("row", [], pages, facts, [], 10)
        self.assertEqual(misses.of_index(row), (16, 16))
        facts["value_pages"] = [[0x7F00, 0x7F01]]
        self.assertEqual(misses.of_index(row), (6, 1))

    @unittest.skipUnless(shutil.which("cc"), "no C compiler here")
    def test_the_plugin_counts_accesses_of_known_outcome(self):
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/test"
            command = ["cc", "-Wall", "-Wextra", "-Werror", str(HERE / "plugin/test_misses.c"), "-o", program]
            subprocess.run(command, check=True)
            done = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
