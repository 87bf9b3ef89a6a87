"""Which sources the packages come from."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import debian  # noqa: E402  (the path is set just above)


class Sources(unittest.TestCase):
    def own(self, name, text):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder) / "sources.list.d"
            place.mkdir()
            (place / name).write_text(text, encoding="utf-8")
            return debian.with_backports(debian.own_sources(pathlib.Path(folder)), "stable")

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


if __name__ == "__main__":
    unittest.main()
