"""What `make run` makes of redis-6.2.conf, ARGS and the machine."""

import importlib.machinery
import importlib.util
import os
import shlex
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def load(name):
    """A tool without the .py of a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), os.path.join(HERE, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


run_server = load("run-server")
CONF = "port 6379\n# loadmodule /other.so\nloadmodule target/release/libredis_numa.so a 1\nsave ''\n"


class RunServer(unittest.TestCase):
    def test_arguments_of_the_module_come_before_options(self):
        split = run_server.split_arguments("numa-a 'x y' --maxmemory 1gb numa-b")
        self.assertEqual(split, (["numa-a", "x y"], ["--maxmemory", "1gb", "numa-b"]))

    def test_only_the_modules_line_is_replaced(self):
        text = run_server.rewritten(CONF, "/a b/x.so", ["a", "1", "c", "2"], ["port 7000"])
        lines = text.splitlines()
        self.assertEqual(lines[:2], CONF.splitlines()[:2])
        self.assertEqual(shlex.split(lines[2]), ["loadmodule", "/a b/x.so", "a", "1", "c", "2"])
        self.assertEqual(lines[3], "save ''")
        self.assertEqual(lines[-1], "port 7000")

    def test_the_confs_arguments_are_kept(self):
        self.assertEqual(run_server.conf_arguments(CONF), ["a", "1"])
        with self.assertRaises(run_server.fetch.FetchError):
            run_server.conf_arguments("port 1\n")

    def test_one_node_is_simulated_unless_the_user_did(self):
        self.assertEqual(run_server.simulation([], 2, 1 << 33), [])
        self.assertEqual(run_server.simulation(["numa-simulate", "x"], 1, 1 << 33), [])
        self.assertEqual(run_server.simulation([], 1, 1 << 33)[0], "numa-simulate")


if __name__ == "__main__":
    unittest.main()
