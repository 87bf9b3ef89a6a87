//! Why placement is weaker than it should be, in one line: each cause with its cure.
//!
//! Pure: what was found goes in, the line for the log and INFO comes out. The module serves in
//! every case; the worst (no `mbind`) leaves bytes where the kernel likes.

use super::cpulist::format_list;
use super::linux::Probe;
use super::sysfs::Shape;

/// What was found at load.
pub(super) struct Found<'a> {
    pub(super) probe: &'a Probe,
    pub(super) shape: &'a Shape,
    /// The nodes that the process may not use, and why.
    pub(super) restriction: Option<String>,
    /// Why `numa_maps` cannot be read.
    pub(super) totals_error: Option<String>,
}

impl Found<'_> {
    /// The line; nothing where all is well.
    pub(super) fn line(self) -> Option<String> {
        let causes = [
            self.count_of_nodes(),
            self.binding(),
            self.verifying(),
            self.totals(),
            self.skipped(),
            self.restriction,
        ];
        let causes: Vec<String> = causes.into_iter().flatten().collect();
        (!causes.is_empty()).then(|| causes.join("; "))
    }

    fn count_of_nodes(&self) -> Option<String> {
        if !self.shape.has_numa {
            return Some(
                "the kernel shows no NUMA nodes, all memory counts as node 0: mount /sys, or \
                 use a kernel with CONFIG_NUMA"
                    .to_owned(),
            );
        }
        let single = self.shape.topology.nodes.len() == 1;
        single.then(|| {
            "this machine has one memory node, so every key is near: numa-simulate tries more"
                .to_owned()
        })
    }

    fn binding(&self) -> Option<String> {
        let error = self.probe.bind_error.as_ref()?;
        Some(format!(
            "mbind is refused ({error}), bytes lie where the kernel puts them: allow mbind in the \
             container's seccomp profile (docker: --cap-add SYS_NICE)"
        ))
    }

    fn verifying(&self) -> Option<String> {
        let error = self.probe.query_error.as_ref()?;
        Some(format!(
            "move_pages is refused ({error}), placement is believed and not verified: allow \
             move_pages in the container's seccomp profile"
        ))
    }

    fn totals(&self) -> Option<String> {
        let error = self.totals_error.as_ref()?;
        Some(format!(
            "/proc/self/numa_maps cannot be read ({error}), per-node totals of the process are \
             unknown: mount /proc, or use a kernel with CONFIG_NUMA"
        ))
    }

    fn skipped(&self) -> Option<String> {
        let nodes = &self.shape.skipped;
        (!nodes.is_empty()).then(|| {
            let nodes = format_list(nodes);
            format!("node {nodes} is left alone: bring it online, under a number below 64")
        })
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::super::fixture::Tree;
    use super::super::sysfs;
    use super::*;

    fn line(tree: &Tree, probe: &Probe) -> Option<String> {
        let shape = sysfs::read(tree.root());
        let found = Found {
            probe,
            shape: &shape,
            restriction: None,
            totals_error: None,
        };
        found.line()
    }

    #[test]
    fn all_well_is_no_line() {
        assert_eq!(line(&Tree::guest(), &Probe::GOOD), None);
    }

    #[test]
    fn one_node_points_to_the_simulation() {
        let tree = Tree::new();
        tree.node(0, "0", "10");
        assert!(line(&tree, &Probe::GOOD).unwrap().contains("numa-simulate"));
    }

    #[test]
    fn a_machine_without_nodes_says_so() {
        let line = line(&Tree::new(), &Probe::GOOD).unwrap();
        assert!(line.contains("shows no NUMA nodes"), "{line}");
    }

    #[test]
    fn every_cause_stands_with_its_cure_in_one_line() {
        let tree = Tree::two_sockets();
        tree.nodes_listed("0-1,99", "0-1,99");
        tree.node(99, "", "30 30 10");
        let shape = sysfs::read(tree.root());
        let probe = Probe {
            bind_error: Some("Operation not permitted".to_owned()),
            query_error: Some("Function not implemented".to_owned()),
            membind: None,
        };
        let found = Found {
            probe: &probe,
            shape: &shape,
            restriction: Some("this process may not use node 1: widen cpuset.mems".to_owned()),
            totals_error: Some("No such file or directory".to_owned()),
        };
        let line = found.line().unwrap();
        for word in [
            "mbind is refused (Operation not permitted)",
            "SYS_NICE",
            "move_pages is refused (Function not implemented)",
            "numa_maps cannot be read (No such file",
            "node 99 is left alone",
            "widen cpuset.mems",
        ] {
            assert!(line.contains(word), "{word} in {line}");
        }
        assert!(!line.contains('\n'));
    }
}
