//! What this process may have: memory limits of its cgroups (version 1 and 2) and the nodes that
//! its cpuset and its memory policy allow.
//!
//! A limit anywhere above binds too, so headroom is the smallest over all levels from the
//! process's own group to the root. Page cache charged to a group does not count as used: the
//! kernel drops it before it kills.

use super::cpulist::{format_list, parse_list};
use super::topology::Topology;
use crate::ids::Bytes;
use std::fs;
use std::path::{Path, PathBuf};

/// A version 1 limit this high means none (the kernel writes the largest whole OS page).
const UNLIMITED: u64 = 1 << 62;

/// Whose files a level has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Two,
}

/// One cgroup with a memory controller.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Group {
    directory: PathBuf,
    version: Version,
}

impl Group {
    fn amount(&self, file: &str) -> Option<u64> {
        let text = fs::read_to_string(self.directory.join(file)).ok()?;
        text.trim()
            .parse()
            .ok()
            .filter(|&amount| amount < UNLIMITED)
    }

    /// The limit; nothing where there is none.
    fn limit(&self) -> Option<Bytes> {
        let limits: &[&str] = match self.version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        };
        let amounts = limits.iter().filter_map(|file| self.amount(file));
        amounts.min().map(Bytes)
    }

    fn used(&self) -> Bytes {
        let (usage, keys) = match self.version {
            Version::One => (
                "memory.usage_in_bytes",
                ["total_active_file", "total_inactive_file"],
            ),
            Version::Two => ("memory.current", ["active_file", "inactive_file"]),
        };
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let cache = stat.lines().filter_map(|line| {
            let (key, amount) = line.split_once(' ')?;
            let amount = amount.trim().parse().ok().filter(|_| keys.contains(&key));
            amount.map(Bytes)
        });
        Bytes(self.amount(usage).unwrap_or(0)) - cache.sum()
    }
}

/// The groups that bind this process, and the nodes that it may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cgroup {
    /// Groups that had a limit at load, so that room is cheap to ask for where there is none. A
    /// limit that is changed counts at once, one that is new from the next load on.
    limited: Vec<Group>,
    /// `Mems_allowed_list` of the process.
    allowed: Option<Vec<usize>>,
}

impl Cgroup {
    /// Reads `proc/self/{cgroup,mountinfo,status}` and the groups they name.
    pub(super) fn find(root: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(root.join("proc/self").join(file));
        let groups = read("cgroup").unwrap_or_default();
        let mounts = read("mountinfo").unwrap_or_default();
        let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
        let levels = |controller| levels(root, &groups, &mounts, controller);
        let limited = levels("memory").into_iter();
        Self {
            limited: limited.filter(|group| group.limit().is_some()).collect(),
            allowed: allowed(&read("status").unwrap_or_default(), &levels("cpuset")),
        }
    }

    /// What the cgroups still let the process have; [`Bytes::MAX`] without a limit.
    pub(super) fn headroom(&self) -> Bytes {
        let limits = self
            .limited
            .iter()
            .filter_map(|group| Some((group.limit()?, group)));
        let rooms = limits.map(|(limit, group)| limit - group.used());
        rooms.min().unwrap_or(Bytes::MAX)
    }

    /// Marks the nodes that the process may not use, and names them with cause and cure. Where
    /// that would leave none, nothing is marked: the lists and the machine do not fit together.
    pub(super) fn confine(&self, topology: &mut Topology, membind: Option<u64>) -> Option<String> {
        let by_cpuset = |node: usize| {
            self.allowed
                .as_ref()
                .is_none_or(|list| list.contains(&node))
        };
        let by_policy = |node: usize| membind.is_none_or(|mask| mask & (1 << node) != 0);
        let numbers: Vec<usize> = topology.ids().map(|id| id.index()).collect();
        let (open, shut): (Vec<usize>, Vec<usize>) = numbers
            .into_iter()
            .partition(|&node| by_cpuset(node) && by_policy(node));
        if open.is_empty() || shut.is_empty() {
            return None;
        }
        for node in &mut topology.nodes {
            node.allowed = open.contains(&node.id.index());
        }
        let cause = match shut.iter().all(|&node| by_cpuset(node)) {
            true => "start the server without numactl --membind",
            false => "widen cpuset.mems",
        };
        let shut = format_list(&shut);
        Some(format!("this process may not use node {shut}: {cause}"))
    }
}

/// The nodes allowed by the process's status and by its cpuset group, where they say.
fn allowed(status: &str, cpusets: &[Group]) -> Option<Vec<usize>> {
    let status = status
        .lines()
        .find_map(|line| line.strip_prefix("Mems_allowed_list:"));
    let status = status.and_then(|list| parse_list(list).ok());
    let group = cpusets.first().and_then(|group| {
        let file = match group.version {
            Version::One => "cpuset.effective_mems",
            Version::Two => "cpuset.mems.effective",
        };
        parse_list(&fs::read_to_string(group.directory.join(file)).ok()?).ok()
    });
    let (status, group) = (
        status.filter(|l| !l.is_empty()),
        group.filter(|l| !l.is_empty()),
    );
    match (status, group) {
        (Some(mut status), Some(group)) => {
            status.retain(|node| group.contains(node));
            Some(status)
        }
        (status, group) => status.or(group),
    }
}

/// One line of mountinfo that shows a cgroup hierarchy.
struct Mount<'a> {
    /// The group that the mount point shows.
    group: &'a str,
    point: &'a str,
    version: Version,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (group, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let version = match right.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let options = right.nth(1).unwrap_or_default();
        Some(Self {
            group,
            point,
            version,
            options,
        })
    }
}

/// The groups of one controller, the process's own first, then each above it as far as the mount
/// shows. A controller is in one version only: version 1 where some hierarchy carries it.
fn levels(root: &Path, groups: &str, mounts: &[Mount<'_>], controller: &str) -> Vec<Group> {
    let carries = |list: &str| list.split(',').any(|name| name == controller);
    let lines = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let one = lines.clone().find(|(list, _)| carries(list));
    let two = lines.clone().find(|(list, _)| list.is_empty());
    let (version, path) = match (one, two) {
        (Some((_, path)), _) => (Version::One, path),
        (None, Some((_, path))) => (Version::Two, path),
        (None, None) => return Vec::new(),
    };
    let fits = |mount: &&Mount<'_>| match version {
        Version::One => mount.version == version && carries(mount.options),
        Version::Two => mount.version == version,
    };
    let Some(mount) = mounts.iter().find(fits) else {
        return Vec::new();
    };
    // A container may see its own group mounted as the root: only what is below that is a path.
    let below = Path::new(path)
        .strip_prefix(mount.group)
        .unwrap_or(Path::new(""));
    let top = root.join(mount.point.trim_start_matches('/'));
    let each = below.ancestors().map(|level| Group {
        directory: top.join(level),
        version,
    });
    each.collect()
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::super::fixture::Tree;
    use super::super::sysfs;
    use super::*;
    use crate::ids::NodeId;

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
    const V1: &str = "32 31 0:29 /docker/77 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n";

    fn process(groups: &str, mounts: &str) -> Tree {
        let tree = Tree::guest();
        tree.file("proc/self/cgroup", groups)
            .file("proc/self/mountinfo", mounts);
        tree
    }

    #[test]
    fn no_cgroup_is_no_limit() {
        let cgroup = Cgroup::find(Tree::new().root());
        assert_eq!(cgroup.headroom(), Bytes::MAX);
    }

    #[test]
    fn the_tightest_level_of_version_two_binds() {
        let tree = process("0::/pod/server\n", V2);
        tree.file("sys/fs/cgroup/pod/server/memory.max", "max\n")
            .file("sys/fs/cgroup/pod/server/memory.current", "1000\n")
            .file("sys/fs/cgroup/pod/memory.max", "10000\n")
            .file("sys/fs/cgroup/pod/memory.current", "7000\n");
        let cgroup = Cgroup::find(tree.root());
        assert_eq!(cgroup.headroom(), Bytes(3000));
        let stat = "anon 1\ninactive_file 1500\nactive_file 500\nfile 9\n";
        tree.file("sys/fs/cgroup/pod/memory.stat", stat);
        assert_eq!(cgroup.headroom(), Bytes(5000), "page cache is not used");
        tree.file("sys/fs/cgroup/pod/memory.max", "4000\n");
        assert_eq!(
            cgroup.headroom(),
            Bytes::ZERO,
            "a changed limit counts at once"
        );
        tree.file("sys/fs/cgroup/pod/memory.max", "max\n");
        assert_eq!(cgroup.headroom(), Bytes::MAX);
    }

    #[test]
    fn the_throttling_limit_of_version_two_counts() {
        let tree = process("0::/a\n", V2);
        tree.file("sys/fs/cgroup/a/memory.max", "9000\n")
            .file("sys/fs/cgroup/a/memory.high", "8000\n")
            .file("sys/fs/cgroup/a/memory.current", "5000\n");
        assert_eq!(Cgroup::find(tree.root()).headroom(), Bytes(3000));
    }

    #[test]
    fn version_one_below_a_containers_mount() {
        let tree = process("4:memory:/docker/77/in\n0::/\n", V1);
        let unlimited = "9223372036854771712\n";
        tree.file("sys/fs/cgroup/memory/in/memory.limit_in_bytes", unlimited)
            .file("sys/fs/cgroup/memory/memory.limit_in_bytes", "10000\n")
            .file("sys/fs/cgroup/memory/memory.usage_in_bytes", "4000\n")
            .file(
                "sys/fs/cgroup/memory/memory.stat",
                "cache 9\ntotal_inactive_file 100\n",
            );
        assert_eq!(Cgroup::find(tree.root()).headroom(), Bytes(6100));
    }

    fn confined(tree: &Tree, membind: Option<u64>) -> (Vec<usize>, Option<String>) {
        let mut topology = sysfs::read(tree.root()).topology;
        let line = Cgroup::find(tree.root()).confine(&mut topology, membind);
        (topology.usable().map(NodeId::index).collect(), line)
    }

    #[test]
    fn the_status_of_the_process_confines() {
        let tree = process("", "");
        tree.file(
            "proc/self/status",
            "Name:\tx\nMems_allowed:\t3\nMems_allowed_list:\t0-1\n",
        );
        let (usable, line) = confined(&tree, None);
        assert_eq!(usable, [0, 1]);
        assert_eq!(
            line.unwrap(),
            "this process may not use node 2: widen cpuset.mems"
        );
    }

    #[test]
    fn the_cpuset_group_confines() {
        let tree = process("3:cpuset:/s\n", V1);
        tree.file("sys/fs/cgroup/cpuset/s/cpuset.effective_mems", "0\n");
        assert_eq!(confined(&tree, None).0, [0]);
        let tree = process("0::/s\n", V2);
        tree.file("sys/fs/cgroup/s/cpuset.mems.effective", "0,2\n")
            .file("proc/self/status", "Mems_allowed_list:\t1-2\n");
        let (usable, line) = confined(&tree, None);
        assert_eq!(usable, [2]);
        assert!(line.unwrap().contains("node 0-1"));
    }

    #[test]
    fn membind_confines_and_names_its_own_cure() {
        let tree = process("", "");
        let (usable, line) = confined(&tree, Some(0b011));
        assert_eq!(usable, [0, 1]);
        assert!(line.unwrap().contains("numactl --membind"));
    }

    #[test]
    fn lists_that_fit_no_node_confine_nothing() {
        let tree = process("", "");
        tree.file("proc/self/status", "Mems_allowed_list:\t7\n");
        assert_eq!(confined(&tree, None), (vec![0, 1, 2], None));
        assert_eq!(confined(&Tree::guest(), None), (vec![0, 1, 2], None));
    }
}
