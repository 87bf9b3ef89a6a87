//! Trees of kernel files that a test writes itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed at the end.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// An empty tree: a machine that shows nothing.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redis-numa-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file, and the directories above it.
    pub(super) fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// One online node with 1 GiB, a quarter of it free, another quarter page cache.
    pub(super) fn node(&self, number: usize, cpus: &str, distances: &str) -> &Self {
        let under = format!("sys/devices/system/node/node{number}");
        let amounts = [
            ("MemTotal", 1 << 20),
            ("MemFree", 1 << 18),
            ("Active(file)", 1 << 17),
            ("Inactive(file)", 1 << 17),
            ("SReclaimable", 0),
        ];
        let line = |(key, kib)| format!("Node {number} {key}:  {kib} kB\n");
        let meminfo: String = amounts.map(line).concat();
        self.file(&format!("{under}/cpulist"), &format!("{cpus}\n"))
            .file(&format!("{under}/distance"), &format!("{distances}\n"))
            .file(&format!("{under}/meminfo"), &meminfo)
    }

    /// Which nodes are online and have memory.
    pub(super) fn nodes_listed(&self, online: &str, with_memory: &str) -> &Self {
        let under = "sys/devices/system/node";
        self.file(&format!("{under}/online"), online)
            .file(&format!("{under}/has_memory"), with_memory)
    }

    /// HMAT's word on a node.
    pub(super) fn access(&self, number: usize, class: u32, from: &[usize], ns: u32) -> &Self {
        let under = format!("sys/devices/system/node/node{number}/access{class}/initiators");
        for initiator in from {
            self.file(&format!("{under}/node{initiator}/online"), "");
        }
        self.file(&format!("{under}/read_latency"), &format!("{ns}\n"))
            .file(&format!("{under}/read_bandwidth"), "25000\n")
    }

    /// A numa_maps with one touched OS page on node 0.
    pub(super) fn numa_maps(&self) -> &Self {
        let line = "7f0000000000 default anon=1 dirty=1 N0=1 kernelpagesize_kB=4\n";
        self.file("proc/self/numa_maps", line)
    }

    /// Two sockets of two CPUs.
    pub(super) fn two_sockets() -> Self {
        let tree = Self::new();
        tree.nodes_listed("0-1", "0-1").numa_maps();
        tree.node(0, "0-1", "10 21").node(1, "2-3", "21 10");
        tree
    }

    /// Two sockets and a CXL node, as a QEMU guest with HMAT shows them.
    pub(super) fn guest() -> Self {
        let tree = Self::new();
        tree.nodes_listed("0-2", "0-2").numa_maps();
        tree.node(0, "0-1", "10 21 28")
            .node(1, "2-3", "21 10 38")
            .node(2, "", "28 38 10");
        tree.access(0, 0, &[0], 80)
            .access(1, 0, &[1], 80)
            .access(2, 0, &[0], 250);
        let tiering = "sys/devices/virtual/memory_tiering";
        tree.file(&format!("{tiering}/memory_tier4/nodelist"), "0-1\n")
            .file(&format!("{tiering}/memory_tier56/nodelist"), "2\n");
        tree
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A tree left behind in the temporary directory harms nobody.
        let _ = fs::remove_dir_all(&self.root);
    }
}
