"""The judge of the server tests, itself judged."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(__file__))

import harness  # noqa: E402
import machine  # noqa: E402

END = "\n                   The End\n\nExecution time of different units:\n"
GOOD = "[ready]: 12\nTesting x\n[ok]: one\n[\x1b[0;32;49mok\x1b[0m]: two\n[1/1 done]: x (1 seconds)\n" + END
ENTRY = harness.Entry("x")


def failures(output, status=0, logs=(), entry=ENTRY):
    return harness.judge(entry, output, status, logs).failures


class Judge(unittest.TestCase):
    def test_good_output_counts_each_test(self):
        result = harness.judge(ENTRY, GOOD, 0, [])
        self.assertEqual((result.passed, result.failures), (2, []))

    def test_a_failure_is_counted_once_with_its_text(self):
        output = "[ok]: a\n[err]: b in f\nExpected 1\n  while 2\n[ok]: c\nstray" + END
        output += "*** [err]: b in f\nExpected 1\n[err]: b in f\n"
        result = harness.judge(ENTRY, output, 1, [])
        self.assertEqual(result.passed, 2)
        self.assertEqual(result.failures, ["b in f\nExpected 1\n  while 2"])

    def test_exception_and_harness_timeout_are_failures(self):
        self.assertEqual(failures("[exception]: boo\n", 1), ["boo"])
        self.assertEqual(len(failures("[TIMEOUT]: clients state report follows.\n", 1)), 1)

    def test_skipped_tests_are_no_passes(self):
        result = harness.judge(ENTRY, "[ok]: a\n[skip]: b\n[ignore]: c\n" + END, 0, [])
        self.assertEqual((result.passed, result.skipped), (1, 2))

    def test_a_note_is_kept_and_is_no_test(self):
        result = harness.judge(ENTRY, "[ok]: a\n[note]: 5 moves\n" + END, 0, [])
        self.assertEqual((result.passed, result.failures, result.notes), (1, [], ["5 moves"]))

    def test_hang_early_end_bad_status_and_no_test_are_failures(self):
        self.assertIn("no end within", failures(GOOD, None)[0])
        self.assertIn("ended early", failures("[ok]: a\n")[0])
        self.assertIn("status 2", failures(GOOD, 2)[0])
        self.assertIn("ran no test", failures(END)[0])

    def test_a_crash_report_is_a_failure_unless_meant(self):
        logs = [(pathlib.Path("server.1/stdout"), "x\n=== REDIS BUG REPORT START: y\nz")]
        self.assertIn("server.1/stdout: === REDIS BUG", failures(GOOD, 0, logs)[0])
        self.assertEqual(failures(GOOD, 0, logs, harness.Entry("x", crashes=True)), [])


class List(unittest.TestCase):
    def test_reads_names_and_words(self):
        entries, faults = harness.read_list("# c\na\nb solo seconds=9 # d\n\n")
        self.assertEqual(faults, [])
        self.assertEqual(entries, [harness.Entry("a"), harness.Entry("b", solo=True, seconds=9)])

    def test_unknown_words_and_doubles_are_faults(self):
        _, faults = harness.read_list("a fast\nb\nb\nc seconds=0\n")
        self.assertEqual(len(faults), 3)

    def test_files_and_list_must_agree(self):
        faults = harness.compare([harness.Entry("a"), harness.Entry("b")], ["b", "c"])
        self.assertEqual(len(faults), 2)


class Machine(unittest.TestCase):
    def test_kernel_lists(self):
        self.assertEqual(machine.ids_in("0-2,5\n"), [0, 1, 2, 5])
        self.assertEqual(machine.count_nodes(pathlib.Path("/nonesuch")), 1)

    def test_memory_is_capped_by_the_cgroup(self):
        with tempfile.TemporaryDirectory() as folder:
            meminfo, cgroup = pathlib.Path(folder, "meminfo"), pathlib.Path(folder, "max")
            meminfo.write_text("MemTotal:  2048 kB\n")
            self.assertEqual(machine.memory_bytes(meminfo, cgroup), 2 << 20)
            cgroup.write_text("max\n")
            self.assertEqual(machine.memory_bytes(meminfo, cgroup), 2 << 20)
            cgroup.write_text("1048576\n")
            self.assertEqual(machine.memory_bytes(meminfo, cgroup), 1 << 20)

    def test_the_tiers_leave_memory_over(self):
        self.assertEqual(
            machine.two_tiers(8 << 30), "0:1073741824:80,1:4294967296:250:cpuless"
        )


if __name__ == "__main__":
    unittest.main()
