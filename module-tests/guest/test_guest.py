"""The host's side of `make test-numa`: sources, the image, and what counts as a whole run."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tools")]

import console  # noqa: E402  (the path is set just above)
import get  # noqa: E402
import image  # noqa: E402

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


class Sources(unittest.TestCase):
    def own(self, name, text):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder) / "sources.list.d"
            place.mkdir()
            (place / name).write_text(text, encoding="utf-8")
            return get.with_backports(get.own_sources(pathlib.Path(folder)), "stable")

    def test_the_backports_suite_is_added_beside_the_machines_own(self):
        text = "# a\nTypes: deb\nURIs: http://mirror/debian\nSuites: stable stable-updates\nSigned-By: /k\n"
        made = self.own("a.sources", text)
        self.assertIn("URIs: http://mirror/debian\n", made)
        self.assertIn("Suites: stable stable-updates stable-backports\n", made)
        self.assertIn("Signed-By: /k\n", made)

    def test_one_line_sources_are_understood(self):
        made = self.own("a.list", "deb [arch=amd64 signed-by=/k] http://mirror/debian stable main contrib # x\n")
        self.assertIn("Suites: stable stable-backports\n", made)
        self.assertIn("Signed-By: /k\n", made)

    def test_sources_of_others_are_left_out(self):
        self.assertEqual(self.own("a.list", "deb http://other/node nodistro main\n#deb http://m stable main\n"), "")
        self.assertEqual(self.own("a.sources", "Enabled: no\nURIs: http://m\nSuites: stable\n"), "")


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


if __name__ == "__main__":
    unittest.main()
