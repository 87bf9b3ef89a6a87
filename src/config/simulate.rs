//! The text of `numa-simulate`: `<node>:<bytes>:<latency_ns>[:cpuless][,...]`.

use super::value::{integer, memory, memory_text};
use crate::ids::{Bytes, NodeId};
use crate::machine::SimNode;

/// What the text must look like, for error texts.
pub(super) const EXPECTED: &str = "<node>:<bytes>:<latency_ns>[:cpuless][,...]: nodes 0 to 63 \
     once each, 64kb or more, 1 to 1000000 ns, one node at least with CPUs; or empty for none";

const CAPACITY_MIN: Bytes = Bytes::kib(64);
const CAPACITY_MAX: Bytes = Bytes(1 << 50);
const LATENCY_NS_MAX: i128 = 1_000_000;

/// Reads a machine; the empty text is none. Nothing where the text breaks [`EXPECTED`].
pub(super) fn parse(text: &str) -> Option<Vec<SimNode>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut nodes: Vec<SimNode> = Vec::new();
    for part in text.split(',') {
        let node = parse_node(part)?;
        if nodes.iter().any(|earlier| earlier.id == node.id) {
            return None;
        }
        nodes.push(node);
    }
    nodes.sort_by_key(|node| node.id);
    nodes.iter().any(|node| !node.cpuless).then_some(nodes)
}

fn parse_node(part: &str) -> Option<SimNode> {
    let mut fields = part.split(':');
    let id = NodeId::new(usize::try_from(integer(fields.next()?)?).ok()?)?;
    let capacity = memory(fields.next()?)?;
    let latency_ns = integer(fields.next()?)?;
    let cpuless = match fields.next() {
        None => false,
        Some(word) => word.eq_ignore_ascii_case("cpuless").then_some(true)?,
    };
    let sound = fields.next().is_none()
        && (CAPACITY_MIN..=CAPACITY_MAX).contains(&capacity)
        && (1..=LATENCY_NS_MAX).contains(&latency_ns);
    sound.then_some(SimNode {
        id,
        capacity,
        latency_ns: u32::try_from(latency_ns).ok()?,
        cpuless,
    })
}

/// The text that [`parse`] reads back.
pub(super) fn text(nodes: &[SimNode]) -> String {
    let part = |node: &SimNode| {
        let capacity = memory_text(node.capacity);
        let tail = if node.cpuless { ":cpuless" } else { "" };
        format!("{}:{capacity}:{}{tail}", node.id, node.latency_ns)
    };
    nodes.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::config) fn machines() -> impl Strategy<Value = Vec<SimNode>> {
        let shape = (1u64 << 20..1 << 50, 1u32..1_000_000, any::<bool>());
        proptest::collection::btree_map(0usize..64, shape, 0..5).prop_map(|nodes| {
            let node = |(rank, (id, (capacity, latency_ns, cpuless)))| SimNode {
                id: NodeId::new(id).unwrap(),
                capacity: Bytes(capacity),
                latency_ns,
                cpuless: cpuless && rank > 0,
            };
            nodes.into_iter().enumerate().map(node).collect()
        })
    }

    #[test]
    fn a_two_tier_machine_is_read() {
        let nodes = parse("2:4gb:250:cpuless,0:64mb:90").unwrap();
        let shape: Vec<_> = nodes.iter().map(|n| (n.id.index(), n.cpuless)).collect();
        assert_eq!(shape, [(0, false), (2, true)]);
        assert_eq!(text(&nodes), "0:64mb:90,2:4gb:250:cpuless");
    }

    #[test]
    fn a_broken_machine_is_refused() {
        let broken = [
            ",",
            "0",
            "0:1gb",
            "0:1gb:",
            "0:1gb:0",
            "0:1gb:1000001",
            "0:1kb:90",
            "0:99999999gb:90",
            "64:1gb:90",
            "-1:1gb:90",
            "0:1gb:90:far",
            "0:1gb:90:cpuless",
            "0:1gb:90:cpuless:",
            "0:1gb:90,",
            "0:1gb:90,0:1gb:90",
            "0:1gb:90, 1:1gb:90",
        ];
        for text in broken {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn machines_round_trip(nodes in machines()) {
            prop_assert_eq!(parse(&text(&nodes)), Some(nodes));
        }

        #[test]
        fn junk_is_refused_without_harm(text in "[0-9a-z:,]{0,40}|\\PC*") {
            if let Some(nodes) = parse(&text) {
                prop_assert!(nodes.len() <= NodeId::COUNT_MAX);
            }
        }
    }
}
