"""The sums behind the last line of `make test`."""

import unittest

from test_run_server import load

counting = load("test-all")


class Counting(unittest.TestCase):
    def test_cargo_lines_are_summed(self):
        lines = [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured",
        ]
        self.assertEqual(counting.count_cargo(lines), (15, 2))

    def test_unittest_failures_and_errors_are_taken_off(self):
        self.assertEqual(counting.count_unittest(["Ran 1 test in 0.1s", "", "OK"]), (1, 0))
        lines = ["Ran 9 tests in 0.001s", "", "FAILED (failures=1, errors=2)"]
        self.assertEqual(counting.count_unittest(lines), (6, 3))

    def test_the_last_server_line_counts(self):
        self.assertEqual(counting.count_server(["load: 1 passed, 0 failed", "7 passed, 1 failed"]), (7, 1))

    def test_a_step_that_breaks_without_a_failed_test_is_one_failure(self):
        self.assertEqual(counting.step_counts([], 2, counting.count_cargo), (0, 1))
        self.assertEqual(counting.step_counts(["7 passed, 3 failed"], 1, counting.count_server), (7, 3))


if __name__ == "__main__":
    unittest.main()
