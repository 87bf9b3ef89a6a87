//! The kernel's files about nodes, CPUs and memory, read under a root of one's own choosing, so
//! that a test reads a tree that it wrote itself.
//!
//! ```text
//! sys/devices/system/node/{online,has_memory}          which nodes there are
//! .../nodeN/{cpulist,distance,meminfo}                 one node
//! .../nodeN/access{1,0}/initiators/{nodeI,read_*}      HMAT: what the nearest CPUs see
//! sys/devices/virtual/memory_tiering/memory_tierT/     the kernel's tiers
//! proc/{meminfo,zoneinfo}                              no NUMA at all; what the kernel keeps back
//! ```
//!
//! Nothing here fails: a file that is missing or makes no sense leaves its field unknown, and a
//! machine without any of them is one node with all memory. Nodes without memory are left out;
//! their CPUs count to the nearest node that has some, so a thread on them has a home.

use super::cpulist::parse_list;
use super::linux::os_page;
use super::tiers;
use super::topology::{NodeInfo, Topology, DISTANCE_LOCAL, DISTANCE_UNKNOWN};
use crate::ids::{Bytes, NodeId};
use std::fs;
use std::path::{Path, PathBuf};

/// What the files say.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) topology: Topology,
    /// Where each node's free memory is read.
    pub(super) memory: Vec<(NodeId, NodeMemory)>,
    /// Nodes that are left alone: a number too high, or there but not online.
    pub(super) skipped: Vec<usize>,
    /// Whether the kernel shows nodes at all.
    pub(super) has_numa: bool,
}

/// Reads the machine's shape.
pub(super) fn read(root: &Path) -> Shape {
    let files = Files::new(root);
    let numbers = files.nodes_with_memory();
    let skipped = files.skipped(&numbers);
    let nodes: Vec<NodeInfo> = numbers
        .iter()
        .filter_map(|&number| files.node(number, &numbers))
        .collect();
    if nodes.is_empty() {
        return files.without_numa();
    }
    let mut topology = Topology { nodes };
    files.adopt_cpus(&mut topology);
    let tiers = files.kernel_tiers(&topology);
    tiers::rank(&mut topology.nodes, &tiers);
    let memory = topology.ids().map(|id| (id, files.node_memory(id)));
    Shape {
        memory: memory.collect(),
        topology,
        skipped,
        has_numa: true,
    }
}

/// The CPUs that are online; those that the process may use where the kernel does not say.
pub(super) fn online_cpus(root: &Path) -> Vec<usize> {
    let listed = text(&root.join("sys/devices/system/cpu/online"));
    let listed = listed.and_then(|list| parse_list(&list).ok());
    listed.filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        (0..count).collect()
    })
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn number(path: &Path) -> Option<u32> {
    text(path)?.trim().parse().ok()
}

fn list(path: &Path) -> Option<Vec<usize>> {
    parse_list(&text(path)?).ok()
}

/// The amount on the line `<key>: <n> kB` of a meminfo file, a node's or the machine's.
fn kib_of(meminfo: &str, key: &str) -> Option<Bytes> {
    let line = meminfo.lines().find_map(|line| line.split_once(key));
    let amount = line?.1.strip_prefix(':')?.split_whitespace().next()?;
    amount.parse().ok().map(Bytes::kib)
}

struct Files<'a> {
    root: &'a Path,
    nodes: PathBuf,
}

impl<'a> Files<'a> {
    fn new(root: &'a Path) -> Self {
        let nodes = root.join("sys/devices/system/node");
        Self { root, nodes }
    }

    fn directory(&self, number: usize) -> PathBuf {
        self.nodes.join(format!("node{number}"))
    }

    /// The numbers of the nodes that are there, online or not.
    fn present(&self) -> Vec<usize> {
        let entries = fs::read_dir(&self.nodes).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let numbers = names.filter_map(|name| name.strip_prefix("node")?.parse().ok());
        let mut numbers: Vec<usize> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    /// The nodes to use: there, online, with memory, with a number that a [`NodeId`] holds.
    fn nodes_with_memory(&self) -> Vec<usize> {
        let online = list(&self.nodes.join("online"));
        let with_memory = list(&self.nodes.join("has_memory"));
        let listed = |numbers: &Option<Vec<usize>>, number: usize| {
            numbers
                .as_ref()
                .is_none_or(|numbers| numbers.contains(&number))
        };
        let mut numbers = self.present();
        numbers.retain(|&number| listed(&online, number) && listed(&with_memory, number));
        numbers.retain(|&number| NodeId::new(number).is_some());
        numbers.retain(|&number| self.capacity(number) > Bytes::ZERO);
        numbers
    }

    /// Nodes that are left alone although they have memory or would have some. Nodes that are
    /// merely possible are no news: firmware announces dozens that never come.
    fn skipped(&self, used: &[usize]) -> Vec<usize> {
        let online = list(&self.nodes.join("online"));
        let offline = |number: &usize| online.as_ref().is_some_and(|list| !list.contains(number));
        let mut numbers = self.present();
        numbers.retain(|number| !used.contains(number));
        numbers.retain(|number| offline(number) || self.capacity(*number) > Bytes::ZERO);
        numbers
    }

    fn capacity(&self, number: usize) -> Bytes {
        let meminfo = text(&self.directory(number).join("meminfo"));
        let total = meminfo.and_then(|meminfo| kib_of(&meminfo, "MemTotal"));
        total.unwrap_or(Bytes::ZERO)
    }

    fn node(&self, number: usize, used: &[usize]) -> Option<NodeInfo> {
        let directory = self.directory(number);
        let row = self.distances(number);
        let distances = used.iter().map(|to| {
            let usual = match *to == number {
                true => DISTANCE_LOCAL,
                false => DISTANCE_UNKNOWN,
            };
            row.iter()
                .find(|(node, _)| node == to)
                .map_or(usual, |(_, distance)| *distance)
        });
        let access = Access::read(&directory);
        Some(NodeInfo {
            id: NodeId::new(number)?,
            cpus: list(&directory.join("cpulist")).unwrap_or_default(),
            capacity: self.capacity(number),
            tier: 0,
            distances: distances.collect(),
            latency_ns: used.iter().map(|from| access.latency_from(*from)).collect(),
            bandwidth_mbps: access.bandwidth_mbps,
            allowed: true,
        })
    }

    /// The row of distances, each with its node: the kernel lists online nodes in order.
    fn distances(&self, number: usize) -> Vec<(usize, u32)> {
        let row = text(&self.directory(number).join("distance")).unwrap_or_default();
        let row: Vec<u32> = row.split_whitespace().flat_map(str::parse).collect();
        let online = list(&self.nodes.join("online")).unwrap_or_else(|| self.present());
        online.into_iter().zip(row).collect()
    }

    /// Gives the CPUs of nodes without memory to the nearest node that has some.
    fn adopt_cpus(&self, topology: &mut Topology) {
        for number in self.present() {
            let orphan = NodeId::new(number).is_none_or(|id| topology.node(id).is_none());
            let cpus = list(&self.directory(number).join("cpulist")).filter(|_| orphan);
            let row = self.distances(number);
            let way = |node: &NodeInfo| {
                let entry = row.iter().find(|(to, _)| *to == node.id.index());
                entry.map_or(DISTANCE_UNKNOWN, |(_, distance)| *distance)
            };
            let nearest = topology.nodes.iter_mut().min_by_key(|node| way(node));
            if let (Some(node), Some(cpus)) = (nearest, cpus) {
                node.cpus.extend(cpus);
                node.cpus.sort_unstable();
            }
        }
    }

    /// The kernel's number of each node's tier: the lower, the faster.
    fn kernel_tiers(&self, topology: &Topology) -> Vec<Option<u32>> {
        let directory = self.root.join("sys/devices/virtual/memory_tiering");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let tiers = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let tier: u32 = name.strip_prefix("memory_tier")?.parse().ok()?;
            Some((tier, list(&entry.path().join("nodelist"))?))
        });
        let tiers: Vec<(u32, Vec<usize>)> = tiers.collect();
        let tier_of = |id: NodeId| {
            let tier = tiers.iter().find(|(_, nodes)| nodes.contains(&id.index()));
            tier.map(|(tier, _)| *tier)
        };
        topology.ids().map(tier_of).collect()
    }

    fn node_memory(&self, id: NodeId) -> NodeMemory {
        let zoneinfo = text(&self.root.join("proc/zoneinfo")).unwrap_or_default();
        NodeMemory {
            meminfo: self.directory(id.index()).join("meminfo"),
            reserve: low_watermark(&zoneinfo, id),
        }
    }

    /// A kernel that shows no nodes: one node with all memory.
    fn without_numa(&self) -> Shape {
        let meminfo = self.root.join("proc/meminfo");
        let total = text(&meminfo).and_then(|meminfo| kib_of(&meminfo, "MemTotal"));
        let id = NodeId::FIRST;
        let zoneinfo = text(&self.root.join("proc/zoneinfo")).unwrap_or_default();
        let reserve = low_watermark(&zoneinfo, id);
        let topology = Topology {
            nodes: vec![NodeInfo {
                id,
                cpus: online_cpus(self.root),
                capacity: total.unwrap_or(Bytes::MAX),
                tier: 0,
                distances: vec![DISTANCE_LOCAL],
                latency_ns: vec![None],
                bandwidth_mbps: None,
                allowed: true,
            }],
        };
        Shape {
            topology,
            memory: vec![(id, NodeMemory { meminfo, reserve })],
            skipped: Vec::new(),
            has_numa: false,
        }
    }
}

/// What HMAT says of a node, from its nearest CPUs. Class 1 counts CPUs only, class 0 any
/// initiator (a GPU too), so class 1 is asked first.
#[derive(Default)]
struct Access {
    initiators: Vec<usize>,
    latency_ns: Option<u32>,
    bandwidth_mbps: Option<u32>,
}

impl Access {
    fn read(node: &Path) -> Self {
        let classes = ["access1", "access0"].into_iter();
        let mut found = classes.map(|class| Self::read_class(&node.join(class).join("initiators")));
        let found = found.find(|access| access.latency_ns.is_some());
        found.unwrap_or_default()
    }

    fn read_class(directory: &Path) -> Self {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let nodes = names.filter_map(|name| name.strip_prefix("node")?.parse().ok());
        let known = |file| number(&directory.join(file)).filter(|&value| value > 0);
        Self {
            initiators: nodes.collect(),
            latency_ns: known("read_latency"),
            bandwidth_mbps: known("read_bandwidth"),
        }
    }

    fn latency_from(&self, node: usize) -> Option<u32> {
        self.latency_ns.filter(|_| self.initiators.contains(&node))
    }
}

/// Free memory of one node.
///
/// What is to be had is what the kernel would find before it swaps: free OS pages, plus the page
/// cache and reclaimable slabs, minus what it keeps back (its `MemAvailable`, for one node).
/// Rejected: free pages alone. On a server that has been up for a day the page cache fills every
/// node, and each would look full for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NodeMemory {
    meminfo: PathBuf,
    /// The sum of the low watermarks of the node's zones: below it the kernel goes elsewhere.
    reserve: Bytes,
}

impl NodeMemory {
    /// What the node holds now, where the kernel says.
    pub(super) fn total(&self) -> Option<Bytes> {
        kib_of(&text(&self.meminfo)?, "MemTotal")
    }

    /// What is to be had now, where the kernel says.
    pub(super) fn available(&self) -> Option<Bytes> {
        let meminfo = text(&self.meminfo)?;
        let of = |key| kib_of(&meminfo, key).unwrap_or(Bytes::ZERO);
        let cache = of("Active(file)") + of("Inactive(file)");
        let slabs = of("SReclaimable");
        let free = kib_of(&meminfo, "MemFree")?;
        Some(free + self.reclaimable(cache) + self.reclaimable(slabs) - self.reserve)
    }

    /// The kernel holds on to the smaller of half and the watermark.
    fn reclaimable(&self, amount: Bytes) -> Bytes {
        amount - amount.percent(50).min(self.reserve)
    }
}

/// Sums `low <n>` (OS pages) over the zones of the node in `/proc/zoneinfo`.
fn low_watermark(zoneinfo: &str, node: NodeId) -> Bytes {
    let mut here = false;
    let mut pages = 0;
    for line in zoneinfo.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Node"), Some(number)) => {
                here = number.trim_end_matches(',') == node.to_string();
            }
            (Some("low"), Some(count)) if here => pages += count.parse().unwrap_or(0),
            _ => {}
        }
    }
    Bytes(os_page().0.saturating_mul(pages))
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::super::fixture::Tree;
    use super::*;

    fn id(number: usize) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn tiers_of(shape: &Shape) -> Vec<u32> {
        shape.topology.nodes.iter().map(|node| node.tier).collect()
    }

    #[test]
    fn two_sockets_are_two_nodes_of_one_tier() {
        let tree = Tree::two_sockets();
        let shape = read(tree.root());
        let [first, second] = &shape.topology.nodes[..] else {
            panic!("{shape:?}");
        };
        assert_eq!((first.id, second.id), (id(0), id(1)));
        assert_eq!(
            (&first.cpus[..], &second.cpus[..]),
            (&[0, 1][..], &[2, 3][..])
        );
        assert_eq!(first.distances, [10, 21]);
        assert_eq!(second.distances, [21, 10]);
        assert_eq!(first.capacity, Bytes::mib(1024));
        assert_eq!(first.latency_ns, [None, None]);
        assert_eq!(tiers_of(&shape), [0, 0]);
        assert_eq!(shape.topology.nearest_first(id(1)), [id(1), id(0)]);
        assert!(shape.has_numa && shape.skipped.is_empty());
    }

    #[test]
    fn the_guest_has_two_tiers_and_a_cpuless_node() {
        let tree = Tree::guest();
        let shape = read(tree.root());
        let topology = &shape.topology;
        assert_eq!(tiers_of(&shape), [0, 0, 1]);
        assert_eq!(topology.cpuless().collect::<Vec<_>>(), [id(2)]);
        assert_eq!(topology.latency_ns(id(0), id(0)), Some(80));
        assert_eq!(topology.latency_ns(id(0), id(2)), Some(250));
        assert_eq!(
            topology.latency_ns(id(1), id(2)),
            None,
            "only the nearest CPUs are told"
        );
        assert_eq!(topology.estimated_latency_ns(id(1), id(2)), 250 * 38 / 28);
        assert_eq!(topology.nodes[2].bandwidth_mbps, Some(25_000));
        assert_eq!(topology.nearest_first(id(0)), [id(0), id(1), id(2)]);
        assert_eq!(topology.farthest(id(1)), id(2));
    }

    #[test]
    fn without_kernel_tiers_distance_ranks() {
        let tree = Tree::guest();
        fs::remove_dir_all(tree.root().join("sys/devices/virtual")).unwrap();
        assert_eq!(tiers_of(&read(tree.root())), [0, 0, 1]);
    }

    #[test]
    fn what_cpus_see_outranks_what_devices_see() {
        let tree = Tree::two_sockets();
        tree.access(0, 0, &[1], 60).access(0, 1, &[0], 90);
        let shape = read(tree.root());
        assert_eq!(shape.topology.nodes[0].latency_ns, [Some(90), None]);
        tree.access(0, 1, &[0], 0);
        let shape = read(tree.root());
        assert_eq!(
            shape.topology.nodes[0].latency_ns,
            [None, Some(60)],
            "0 is no latency"
        );
    }

    #[test]
    fn numbers_with_gaps_keep_their_distances() {
        let tree = Tree::new();
        tree.nodes_listed("0,4,9", "0,9");
        tree.node(0, "0-1", "10 15 30").node(9, "", "30 35 10");
        tree.node(4, "2-3", "15 10 35");
        let under = "sys/devices/system/node/node4/meminfo";
        tree.file(under, "Node 4 MemTotal: 0 kB\n");
        let shape = read(tree.root());
        assert_eq!(shape.topology.ids().collect::<Vec<_>>(), [id(0), id(9)]);
        assert_eq!(shape.topology.distance(id(0), id(9)), 30);
        assert_eq!(
            shape.topology.nodes[0].cpus,
            [0, 1, 2, 3],
            "node 4 has no memory"
        );
        assert!(shape.skipped.is_empty());
    }

    #[test]
    fn high_and_offline_nodes_are_skipped_and_told() {
        let tree = Tree::two_sockets();
        tree.nodes_listed("0,70", "0-1,70");
        tree.node(70, "", "30 10");
        let shape = read(tree.root());
        assert_eq!(shape.topology.ids().collect::<Vec<_>>(), [id(0)]);
        assert_eq!(shape.skipped, [1, 70]);
    }

    #[test]
    fn missing_files_leave_one_node_with_all_memory() {
        let tree = Tree::new();
        tree.file("proc/meminfo", "MemTotal:  2048 kB\nMemFree:  1024 kB\n");
        tree.file("sys/devices/system/cpu/online", "0-3\n");
        let shape = read(tree.root());
        let [node] = &shape.topology.nodes[..] else {
            panic!("{shape:?}");
        };
        assert_eq!((node.id, node.capacity), (id(0), Bytes::mib(2)));
        assert_eq!(node.cpus, [0, 1, 2, 3]);
        assert_eq!(shape.memory[0].1.available(), Some(Bytes::mib(1)));
        assert!(!shape.has_numa);
    }

    #[test]
    fn nothing_at_all_is_still_a_machine() {
        let shape = read(Tree::new().root());
        assert_eq!(shape.topology.nodes.len(), 1);
        assert!(!shape.topology.nodes[0].cpus.is_empty());
        assert_eq!(shape.memory[0].1.available(), None);
    }

    #[test]
    fn nonsense_in_files_leaves_fields_unknown() {
        let tree = Tree::two_sockets();
        tree.node(1, "a-b", "far farther");
        let shape = read(tree.root());
        assert!(shape.topology.nodes[1].cpus.is_empty());
        assert_eq!(shape.topology.distance(id(1), id(0)), DISTANCE_UNKNOWN);
        assert_eq!(shape.topology.distance(id(1), id(1)), DISTANCE_LOCAL);
    }

    #[test]
    fn page_cache_is_to_be_had_and_the_reserve_is_not() {
        let tree = Tree::two_sockets();
        let zones =
            "Node 0, zone    DMA\n  pages free 100\n        min      1\n        low      10\n\
                     Node 1, zone Normal\n        low      4\n        high     9\n\
                     Node 0, zone Normal\n        low      20\n";
        tree.file("proc/zoneinfo", zones);
        assert_eq!(low_watermark(zones, id(0)), Bytes(30 * os_page().0));
        assert_eq!(low_watermark(zones, id(1)), Bytes(4 * os_page().0));
        let shape = read(tree.root());
        // A quarter free, a quarter page cache; the reserve is kept of both.
        let expected = Bytes::mib(512) - Bytes(60 * os_page().0);
        assert_eq!(shape.memory[0].1.available(), Some(expected));
    }
}
