"""The pure parts of the demo."""

import array
import lzma
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import demo  # noqa: E402
import picture  # noqa: E402
import trace  # noqa: E402
import wire  # noqa: E402


class Trace(unittest.TestCase):
    def test_ids_are_big_endian(self):
        self.assertEqual(list(trace.decode(b"\0\0\0\1\0\0\1\0")), [1, 256])
        with self.assertRaises(ValueError):
            trace.decode(b"\0\0\0")

    def test_plain_and_packed_files_read_alike_and_stop_where_told(self):
        data = b"".join(n.to_bytes(4, "big") for n in (7, 8, 9))
        with tempfile.TemporaryDirectory() as folder:
            plain, packed = os.path.join(folder, "t"), os.path.join(folder, "t.xz")
            with open(plain, "wb") as file:
                file.write(data)
            with lzma.open(packed, "wb") as file:
                file.write(data)
            self.assertEqual(list(trace.read(plain)), [7, 8, 9])
            self.assertEqual(list(trace.read(packed, 2)), [7, 8])

    def test_the_made_trace_is_the_same_for_a_seed_and_skewed(self):
        ids = trace.zipf(1000, 20000, 3)
        self.assertEqual(ids, trace.zipf(1000, 20000, 3))
        self.assertNotEqual(ids, trace.zipf(1000, 20000, 4))
        # The best 125 of 1,000 keys have .72 of Zipf(.99): 5.41 of 7.50.
        self.assertAlmostEqual(trace.share(ids, trace.best_static(ids, 125)), 0.72, delta=0.02)

    def test_best_static_takes_the_most_requested(self):
        ids = array.array("I", [1, 1, 1, 2, 2, 3])
        self.assertEqual(trace.best_static(ids, 2), {1, 2})
        self.assertAlmostEqual(trace.share(ids, {1, 2}), 5 / 6)
        self.assertEqual(trace.share([], {1}), 0.0)

    def test_each_id_is_loaded_once_in_an_order_of_the_seed(self):
        order = trace.load_order([5, 5, 3, 9, 3] + list(range(100)), 1)
        self.assertEqual(sorted(order), list(range(100)))
        self.assertNotEqual(order, sorted(order))


class Sizes(unittest.TestCase):
    def test_a_block_is_header_and_value_in_whole_classes(self):
        self.assertEqual([demo.block_bytes(n) for n in (1, 240, 241)], [32, 256, 272])

    def test_near_is_an_eighth_in_whole_units(self):
        near = demo.near_capacity(100_000, 256)
        self.assertEqual(near % demo.UNIT_BYTES, 0)
        self.assertLessEqual(near, 100_000 * 256 // 8)
        self.assertGreater(near, 100_000 * 256 // 8 - demo.UNIT_BYTES)
        self.assertEqual(demo.near_capacity(1, 256), demo.UNIT_BYTES)


class Wire(unittest.TestCase):
    def test_commands_are_encoded(self):
        self.assertEqual(wire.encode("GET", b"k"), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")

    def test_replies_of_each_kind(self):
        reply, end = wire.parse(b"*4\r\n:5\r\n$2\r\nhi\r\n$-1\r\n+OK\r\n", 0)
        self.assertEqual((reply, end), ([5, b"hi", None, "OK"], 26))
        self.assertIsInstance(wire.parse(b"-ERR x\r\n", 0)[0], wire.ErrorReply)

    def test_a_cut_reply_is_incomplete_at_every_length(self):
        whole = b"*2\r\n:5\r\n$2\r\nhi\r\n"
        for length in range(len(whole)):
            with self.assertRaises(wire.Incomplete):
                wire.parse(whole[:length], 0)


class Picture(unittest.TestCase):
    def test_the_grid_has_every_level_of_every_node_named(self):
        nodes = picture.grid([[1, 0, 9, 99], [0, 7, 2, 20]])
        self.assertEqual(nodes, {0: [0] * 7 + [2], 1: [9] + [0] * 7})

    def test_more_keys_are_darker(self):
        shades = [picture.SHADES.index(picture.shade(n)) for n in (0, 1, 4, 1000, 10**9)]
        self.assertEqual(shades, sorted(shades))
        self.assertEqual((shades[0], shades[-1]), (0, len(picture.SHADES) - 1))

    def test_screen_and_line_are_ascii_and_name_the_figures(self):
        facts = dict(done=1, requests=2, static=0.8, share=0.5, moves=3, all_moves=4)
        nodes = picture.grid([[0, 7, 2, 20], [1, 0, 9, 99]])
        for text in ["\n".join(picture.screen(nodes, demo.NAMES, 1, facts)),
                     picture.line(nodes, demo.NAMES, 1, facts)]:
            self.assertTrue(text.isascii())
            self.assertIn("50.0%", text)
            self.assertIn("near", text)


class Summary(unittest.TestCase):
    def test_the_shares_are_of_the_counters_differences(self):
        ids = array.array("I", [1, 1, 2, 3, 1, 2])
        counts = (demo.Counts(100, 100, 7), demo.Counts(102, 102, 8), demo.Counts(104, 102, 10))
        ratio, lines = demo.summary(ids, {1}, 1, counts, 1.0)
        self.assertAlmostEqual(ratio, (4 / 6) / (3 / 6))
        text = "\n".join(lines)
        self.assertIn("0.6667  (last third 1.0000)", text)
        self.assertIn("500.00  (last third 1000.00)", text)

    def test_info_is_read_line_by_line(self):
        self.assertEqual(demo.info_fields(b"# Numa\r\na:1\r\nb:x:y\r\n"), {"a": "1", "b": "x:y"})


if __name__ == "__main__":
    unittest.main()
