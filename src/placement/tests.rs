//! What each policy promises, over 30,000 new values.

use super::*;
use crate::machine::NodeInfo;

const VALUES: u64 = 30_000;

fn id(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A machine of nodes in one line, each farther from node 0; the CPU-less ones named.
fn machine(count: usize, cpuless: &[usize]) -> Topology {
    let node = |n: usize| NodeInfo {
        id: id(n),
        cpus: if cpuless.contains(&n) {
            vec![]
        } else {
            vec![n]
        },
        capacity: Bytes::mib(1 << n),
        tier: n as u32,
        distances: (0..count)
            .map(|to| 10 + 10 * n.abs_diff(to) as u32)
            .collect(),
        latency_ns: vec![None; count],
        bandwidth_mbps: None,
        allowed: true,
    };
    Topology {
        nodes: (0..count).map(node).collect(),
    }
}

fn even(_: NodeId) -> u32 {
    100
}

fn roomy(_: NodeId) -> (Bytes, Bytes) {
    (Bytes::mib(100), Bytes::mib(100))
}

fn scene(topology: &Topology) -> Scene<'_> {
    Scene {
        topology,
        home: id(0),
        start: id(0),
        min_allocation_size: 1024,
        cxl_optimization: false,
        weights: &even,
        room: &roomy,
    }
}

/// How many of [`VALUES`] values of `size` bytes go to each node.
fn spread(policy: Policy, scene: &Scene<'_>, size: usize) -> Vec<u64> {
    let mut placement = Placement::new(policy);
    let mut counts = vec![0; NodeId::COUNT_MAX];
    for key in 0..VALUES {
        counts[placement.choose(scene, size, key).index()] += 1;
    }
    counts.truncate(scene.topology.nodes.len());
    counts
}

#[test]
fn names_are_read_back_and_unknown_ones_are_not_defaulted() {
    for policy in Policy::ALL {
        assert_eq!(Policy::from_name(policy.name()), Some(policy));
        assert_eq!(
            Policy::from_name(&policy.name().to_uppercase()),
            Some(policy)
        );
    }
    for unknown in ["", "local", "local_first ", "default", "cxl"] {
        assert_eq!(Policy::from_name(unknown), None);
    }
}

#[test]
fn local_first_stays_at_the_start_node() {
    let topology = machine(3, &[2]);
    let mut scene = scene(&topology);
    assert_eq!(spread(Policy::LocalFirst, &scene, 64), [VALUES, 0, 0]);
    scene.start = id(1);
    assert_eq!(spread(Policy::LocalFirst, &scene, 64), [0, VALUES, 0]);
}

#[test]
fn interleaved_is_even_and_the_same_for_the_same_key() {
    let topology = machine(3, &[2]);
    let scene = scene(&topology);
    // Four deviations of a fair choice among three: sqrt(30,000 * 1/3 * 2/3) = 82.
    for count in spread(Policy::Interleaved, &scene, 64) {
        assert!(count.abs_diff(VALUES / 3) < 4 * 82, "{count}");
    }
    let mut placement = Placement::new(Policy::Interleaved);
    let first = placement.choose(&scene, 64, 77);
    assert!((0..100).all(|_| placement.choose(&scene, 64, 77) == first));
}

#[test]
fn interleaved_mixes_weak_hashes() {
    let topology = machine(4, &[]);
    let scene = scene(&topology);
    let mut placement = Placement::new(Policy::Interleaved);
    let mut counts = [0_u64; 4];
    for key in 0..VALUES {
        counts[placement.choose(&scene, 64, key << 40).index()] += 1;
    }
    assert!(
        counts
            .iter()
            .all(|count| count.abs_diff(VALUES / 4) < 4 * 75),
        "{counts:?}"
    );
}

#[test]
fn round_robin_takes_turns() {
    let topology = machine(3, &[]);
    let scene = scene(&topology);
    assert_eq!(spread(Policy::RoundRobin, &scene, 64), [VALUES / 3; 3]);
    let mut placement = Placement::new(Policy::RoundRobin);
    let turns: Vec<_> = (0..4).map(|_| placement.choose(&scene, 64, 0)).collect();
    assert_eq!(turns, [id(0), id(1), id(2), id(0)]);
}

#[test]
fn weighted_is_exact() {
    let topology = machine(3, &[]);
    let mut scene = scene(&topology);
    let weights = |node: NodeId| [100, 50, 25][node.index()];
    scene.weights = &weights;
    for (count, weight) in spread(Policy::Weighted, &scene, 64)
        .into_iter()
        .zip([100, 50, 25])
    {
        let share = VALUES as f64 * f64::from(weight) / 175.0;
        assert!((count as f64 - share).abs() <= 1.0, "{count} of {share}");
    }
    let none = |_| 0;
    scene.weights = &none;
    assert_eq!(
        spread(Policy::Weighted, &scene, 64),
        [VALUES, 0, 0],
        "no weight: the start"
    );
}

#[test]
fn pressure_aware_takes_the_largest_free_share() {
    let topology = machine(3, &[]);
    let mut scene = scene(&topology);
    let room = |node: NodeId| {
        let free = [50, 30, 60][node.index()];
        (Bytes::mib(free), Bytes::mib([100, 40, 100][node.index()]))
    };
    scene.room = &room;
    assert_eq!(
        spread(Policy::PressureAware, &scene, 64),
        [0, VALUES, 0],
        "75 % of the smallest"
    );
    let full = |_| (Bytes::ZERO, Bytes::mib(10));
    scene.room = &full;
    assert_eq!(
        spread(Policy::PressureAware, &scene, 64),
        [VALUES, 0, 0],
        "of equals the nearest"
    );
    let gone = |node| match node {
        n if n == id(2) => (Bytes(1), Bytes::mib(10)),
        _ => (Bytes::ZERO, Bytes::ZERO),
    };
    scene.room = &gone;
    assert_eq!(
        spread(Policy::PressureAware, &scene, 64),
        [0, 0, VALUES],
        "no capacity, no share"
    );
}

#[test]
fn pressure_aware_fills_nodes_in_proportion() {
    let topology = machine(3, &[]);
    let used = std::cell::RefCell::new([0_u64; 3]);
    let capacity = [60_000, 30_000, 10_000];
    let room = |node: NodeId| {
        let capacity = capacity[node.index()];
        (
            Bytes(capacity - used.borrow()[node.index()]),
            Bytes(capacity),
        )
    };
    let mut scene = scene(&topology);
    scene.room = &room;
    let mut placement = Placement::new(Policy::PressureAware);
    for key in 0..VALUES {
        let node = placement.choose(&scene, 1, key);
        used.borrow_mut()[node.index()] += 1;
    }
    let used = used.borrow();
    assert!(used
        .iter()
        .zip([18_000, 9_000, 3_000])
        .all(|(&n, share)| n.abs_diff(share) <= 2));
}

#[test]
fn cxl_optimized_draws_the_line_at_the_size() {
    let topology = machine(3, &[2]);
    let scene = scene(&topology);
    assert_eq!(spread(Policy::CxlOptimized, &scene, 1023), [VALUES, 0, 0]);
    assert_eq!(spread(Policy::CxlOptimized, &scene, 1024), [0, 0, VALUES]);
}

#[test]
fn cxl_optimized_spreads_over_cpuless_nodes_or_takes_the_farthest() {
    let several = machine(4, &[1, 3]);
    let counts = spread(Policy::CxlOptimized, &scene(&several), 4096);
    assert_eq!(counts[0] + counts[2], 0);
    assert!(counts[1].abs_diff(VALUES / 2) < 4 * 87);
    let none = machine(3, &[]);
    assert_eq!(
        spread(Policy::CxlOptimized, &scene(&none), 4096),
        [0, 0, VALUES]
    );
    let one = machine(1, &[]);
    assert_eq!(spread(Policy::CxlOptimized, &scene(&one), 4096), [VALUES]);
}

#[test]
fn size_zero_draws_no_line() {
    let topology = machine(3, &[2]);
    let mut scene = scene(&topology);
    scene.min_allocation_size = 0;
    for size in [0, 1, 1 << 30] {
        assert_eq!(spread(Policy::CxlOptimized, &scene, size), [VALUES, 0, 0]);
    }
}

#[test]
fn cxl_optimization_keeps_small_values_off_cpuless_nodes() {
    let topology = machine(3, &[2]);
    let mut scene = scene(&topology);
    scene.cxl_optimization = true;
    for policy in [
        Policy::Interleaved,
        Policy::RoundRobin,
        Policy::Weighted,
        Policy::PressureAware,
    ] {
        assert_eq!(spread(policy, &scene, 100)[2], 0, "{policy:?}");
    }
    assert_eq!(spread(Policy::RoundRobin, &scene, 4096), [VALUES / 3; 3]);
    let only_cxl = machine(2, &[0, 1]);
    let scene = Scene {
        topology: &only_cxl,
        ..scene
    };
    assert_eq!(
        spread(Policy::RoundRobin, &scene, 100),
        [VALUES / 2; 2],
        "nothing else there"
    );
}

#[test]
fn forbidden_nodes_are_never_chosen() {
    for forbidden in 0..4 {
        let mut topology = machine(4, &[1, 3]);
        topology.nodes[forbidden].allowed = false;
        for policy in Policy::ALL {
            for (size, start) in [(10, 0), (5000, 0), (10, forbidden), (5000, forbidden)] {
                let mut scene = scene(&topology);
                (scene.start, scene.home) = (id(start), id(start));
                let counts = spread(policy, &scene, size);
                assert_eq!(counts[forbidden], 0, "{policy:?} size {size} start {start}");
            }
        }
        let placement = Placement::default();
        for first in 0..4 {
            let order = placement.order(&topology, id(first));
            assert_eq!(order.len(), 3);
            assert!(!order.contains(&id(forbidden)));
        }
    }
}

#[test]
fn order_is_nearest_first() {
    let topology = machine(4, &[]);
    let placement = Placement::default();
    for _ in 0..2 {
        assert_eq!(
            placement.order(&topology, id(0)),
            [id(0), id(1), id(2), id(3)]
        );
        assert_eq!(
            placement.order(&topology, id(3)),
            [id(3), id(2), id(1), id(0)]
        );
    }
}

#[test]
fn weights_default_from_bandwidth() {
    let mut topology = machine(3, &[]);
    assert_eq!(default_weight(&topology, id(1)), 100);
    for (node, mbps) in [(0, 200_000), (1, 100_000), (2, 20)] {
        topology.nodes[node].bandwidth_mbps = Some(mbps);
    }
    let weights: Vec<_> = (0..3).map(|n| default_weight(&topology, id(n))).collect();
    assert_eq!(weights, [100, 50, 1]);
    topology.nodes[2].bandwidth_mbps = None;
    assert_eq!(default_weight(&topology, id(2)), 100);
}

#[test]
fn a_new_policy_starts_from_its_beginning() {
    let topology = machine(3, &[]);
    let scene = scene(&topology);
    let mut placement = Placement::new(Policy::RoundRobin);
    placement.choose(&scene, 64, 0);
    placement.set_policy(Policy::RoundRobin);
    assert_eq!(placement.choose(&scene, 64, 0), id(0));
    assert_eq!(placement.policy(), Policy::RoundRobin);
}
