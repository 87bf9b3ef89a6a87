//! What sort of value a parameter holds: how its words are read, checked and written back.
//!
//! A kind is data, a pair of functions onto a field of [`Config`] with the bounds beside them. One
//! reader and one writer for each kind serve load arguments, file, environment, NUMACONFIG and the
//! documentation's tests, so that a value cannot mean one thing here and another there.

use super::choices::PolicyName;
use super::error::SetError;
use super::table::Param;
use super::value::{fraction, integer, memory, memory_text, switch};
use super::Config;
use crate::ids::{Bytes, NodeId};

/// A field of [`Config`], read and written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<T> {
    pub(super) get: fn(&Config) -> T,
    pub(super) set: fn(&mut Config, T),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A boolean and the words it is shown with: no, yes.
    Switch(Field<bool>, [&'static str; 2]),
    /// A whole number and its bounds.
    Count(Field<u64>, u64, u64),
    /// An amount of memory and its bounds.
    Memory(Field<Bytes>, Bytes, Bytes),
    /// A fraction and its bounds.
    Fraction(Field<f64>, f64, f64),
    /// The placement policy.
    Policy,
    /// Any other word: how it is taken (false: refused), written, and what is expected.
    Word {
        take: fn(&mut Config, &str) -> bool,
        text: fn(&Config) -> String,
        expected: &'static str,
    },
    /// A weight for each node.
    NodeWeight,
    /// A limit in bytes for each node.
    NodeLimit,
}

/// The largest weight of a node.
const WEIGHT_MAX: i128 = 1000;

impl Kind {
    /// Whether the parameter holds one value for each node, not one for all.
    pub(super) const fn is_per_node(&self) -> bool {
        matches!(self, Self::NodeWeight | Self::NodeLimit)
    }

    /// Takes the words of `param` into `config`, which is untouched where they are refused. Nodes
    /// must be among `nodes` where the machine is known already.
    pub(super) fn take(
        &self,
        param: &'static Param,
        config: &mut Config,
        nodes: Option<&[NodeId]>,
        words: &[String],
    ) -> Result<(), SetError> {
        match (self, words) {
            (Self::NodeWeight, [node, weight]) => take_weight(config, nodes, node, weight),
            (Self::NodeLimit, [node, limit]) => take_limit(param, config, nodes, node, limit),
            (kind, [word]) if !kind.is_per_node() => {
                let taken = kind.take_word(config, word);
                taken.ok_or_else(|| kind.refusal(param, word))
            }
            _ => Err(SetError::WordCount(param)),
        }
    }

    fn refusal(&self, param: &'static Param, word: &str) -> SetError {
        let value = word.to_owned();
        match self {
            Self::Policy => SetError::UnknownStrategy(value),
            _ => SetError::Value { param, value },
        }
    }

    fn take_word(&self, config: &mut Config, word: &str) -> Option<()> {
        match *self {
            Self::Switch(field, _) => (field.set)(config, switch(word)?),
            Self::Count(field, min, max) => {
                let count = u64::try_from(integer(word)?).ok()?;
                (field.set)(config, within(count, min, max)?);
            }
            Self::Memory(field, min, max) => {
                (field.set)(config, within(memory(word)?, min, max)?);
            }
            Self::Fraction(field, min, max) => {
                (field.set)(config, within(fraction(word)?, min, max)?);
            }
            Self::Policy => config.policy = PolicyName::from_name(word)?,
            Self::Word { take, .. } => return take(config, word).then_some(()),
            Self::NodeWeight | Self::NodeLimit => return None,
        }
        Some(())
    }

    /// The value as the words that [`Kind::take`] reads back; one set of words for each node that
    /// has a value of its own, exactly one set for every other kind.
    pub(super) fn words(&self, config: &Config) -> Vec<Vec<String>> {
        let pair = |node: &NodeId, value: String| vec![node.to_string(), value];
        match *self {
            Self::NodeWeight => {
                let weights = config.node_weights.iter();
                weights.map(|(n, w)| pair(n, w.to_string())).collect()
            }
            Self::NodeLimit => {
                let limits = config.node_limits.iter();
                limits
                    .map(|(n, limit)| pair(n, memory_text(*limit)))
                    .collect()
            }
            _ => vec![vec![self.text(config)]],
        }
    }

    /// The value as one text; values for each node stand behind each other.
    pub(super) fn text(&self, config: &Config) -> String {
        match *self {
            Self::Switch(field, [no, yes]) => {
                let word = if (field.get)(config) { yes } else { no };
                word.to_owned()
            }
            Self::Count(field, ..) => (field.get)(config).to_string(),
            Self::Memory(field, ..) => memory_text((field.get)(config)),
            Self::Fraction(field, ..) => (field.get)(config).to_string(),
            Self::Policy => config.policy.name().to_owned(),
            Self::Word { text, .. } => text(config),
            Self::NodeWeight | Self::NodeLimit => {
                let words = self.words(config);
                let pairs: Vec<String> = words.iter().map(|pair| pair.join(" ")).collect();
                pairs.join(" ")
            }
        }
    }

    /// What a value must be, to follow "must be".
    pub(super) fn bounds(&self) -> String {
        match *self {
            Self::Switch(_, [no, yes]) => format!("{yes} or {no}"),
            Self::Count(_, min, max) => format!("between {min} and {max}"),
            Self::Memory(_, min, max) => {
                format!("between {} and {}", memory_text(min), memory_text(max))
            }
            Self::Fraction(_, min, max) => format!("between {min} and {max}"),
            Self::Policy => {
                let names = PolicyName::ALL.map(PolicyName::name);
                format!("one of {}", names.join(", "))
            }
            Self::Word { expected, .. } => expected.to_owned(),
            Self::NodeWeight => format!("a node and a weight between 0 and {WEIGHT_MAX}"),
            Self::NodeLimit => "a node and an amount of memory, 0 for none".to_owned(),
        }
    }
}

fn within<T: PartialOrd>(value: T, min: T, max: T) -> Option<T> {
    (min <= value && value <= max).then_some(value)
}

/// Sets a weight. The order of the checks is the order of the errors in the interface: form
/// before range, node before weight.
fn take_weight(
    config: &mut Config,
    nodes: Option<&[NodeId]>,
    node: &str,
    weight: &str,
) -> Result<(), SetError> {
    let number = integer(node).ok_or(SetError::InvalidNode)?;
    let weight = integer(weight).ok_or(SetError::InvalidWeight)?;
    let node = node_of(number, nodes).ok_or_else(|| SetError::NodeOutOfRange(node.to_owned()))?;
    let weight = within(weight, 0, WEIGHT_MAX).ok_or(SetError::WeightOutOfRange)?;
    config.node_weights.insert(node, weight as u32);
    Ok(())
}

/// Sets a limit; 0 takes it away.
fn take_limit(
    param: &'static Param,
    config: &mut Config,
    nodes: Option<&[NodeId]>,
    node: &str,
    limit: &str,
) -> Result<(), SetError> {
    let number = integer(node).ok_or(SetError::InvalidNode)?;
    let refusal = || SetError::Value {
        param,
        value: limit.to_owned(),
    };
    let bytes = memory(limit).ok_or_else(refusal)?;
    let node = node_of(number, nodes).ok_or_else(|| SetError::NodeOutOfRange(node.to_owned()))?;
    match bytes {
        Bytes::ZERO => config.node_limits.remove(&node),
        bytes => config.node_limits.insert(node, bytes),
    };
    Ok(())
}

/// The node of that number, if there can be one, and if it is among `nodes` where these are known.
pub(super) fn node_of(number: i128, nodes: Option<&[NodeId]>) -> Option<NodeId> {
    let node = NodeId::new(usize::try_from(number).ok()?)?;
    nodes
        .is_none_or(|known| known.contains(&node))
        .then_some(node)
}
