//! The settings that are one of a few words. Each keeps its words beside it, so that a reply
//! shows exactly what a directive takes.

use crate::ids::NodeId;

/// Which node new bytes go to, by name; the placement floor gives each name its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PolicyName {
    /// Home, then the nearest node with room.
    #[default]
    LocalFirst,
    /// Even over the nodes, by a hash of the key.
    Interleaved,
    /// The next node each time.
    RoundRobin,
    /// Smooth weighted round-robin.
    Weighted,
    /// The node with the largest free share.
    PressureAware,
    /// Small values near, others on CPU-less nodes.
    CxlOptimized,
}

impl PolicyName {
    /// Every policy, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::LocalFirst,
        Self::Interleaved,
        Self::RoundRobin,
        Self::Weighted,
        Self::PressureAware,
        Self::CxlOptimized,
    ];

    /// The word that directives and replies use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalFirst => "local_first",
            Self::Interleaved => "interleaved",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::PressureAware => "pressure_aware",
            Self::CxlOptimized => "cxl_optimized",
        }
    }

    /// The policy of that name, in any case of letters; nothing where there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        by_word(&Self::ALL, |policy| policy.name(), name)
    }
}

/// What the module does with native keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NativeKeys {
    /// Nothing.
    Off,
    /// Watches them, moves none.
    Observe,
    /// Watches and places them.
    Manage,
}

impl NativeKeys {
    const ALL: [Self; 3] = [Self::Off, Self::Observe, Self::Manage];

    /// The word that directives and replies use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Manage => "manage",
        }
    }

    /// The mode of that name, in any case of letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        by_word(&Self::ALL, |mode| mode.name(), name)
    }
}

/// Which stock types act on NUMA types behind a client's plain commands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TransparentTypes(u8);

impl TransparentTypes {
    const NAMES: [&'static str; 5] = ["string", "list", "set", "zset", "hash"];
    /// No type.
    pub const NONE: Self = Self(0);
    /// All five types.
    pub const ALL: Self = Self((1 << Self::NAMES.len()) - 1);

    /// `none`, `all`, or type names with commas between; nothing for any other text.
    #[must_use]
    pub fn from_list(list: &str) -> Option<Self> {
        match list.to_ascii_lowercase().as_str() {
            "none" => Some(Self::NONE),
            "all" => Some(Self::ALL),
            names => names.split(',').try_fold(Self::NONE, |set, name| {
                let bit = Self::NAMES.iter().position(|known| *known == name)?;
                Some(Self(set.0 | 1 << bit))
            }),
        }
    }

    /// A bit for each type, in the order of the names.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The text that [`TransparentTypes::from_list`] takes.
    #[must_use]
    pub fn to_list(self) -> String {
        match self {
            Self::NONE => "none".to_owned(),
            Self::ALL => "all".to_owned(),
            Self(bits) => {
                let set = |(bit, _): &(usize, _)| bits & (1 << bit) != 0;
                let named = Self::NAMES.iter().enumerate().filter(set);
                named.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
            }
        }
    }
}

/// How the home node is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HomeSetting {
    /// The node that Redis's main thread runs on.
    Auto,
    /// That node, whatever the CPU.
    Node(NodeId),
}

/// The first of `all` whose word is `word`, in any case of letters.
fn by_word<T: Copy>(all: &[T], word_of: fn(T) -> &'static str, word: &str) -> Option<T> {
    let matches = |choice: &T| word_of(*choice).eq_ignore_ascii_case(word);
    all.iter().copied().find(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_finds_its_choice_again() {
        for policy in PolicyName::ALL {
            assert_eq!(PolicyName::from_name(policy.name()), Some(policy));
            let shouted = policy.name().to_uppercase();
            assert_eq!(PolicyName::from_name(&shouted), Some(policy));
        }
        for mode in NativeKeys::ALL {
            assert_eq!(NativeKeys::from_name(mode.name()), Some(mode));
        }
        assert_eq!(PolicyName::from_name("local-first "), None);
        assert_eq!(NativeKeys::from_name(""), None);
    }

    #[test]
    fn every_set_of_types_round_trips() {
        for bits in 0..=TransparentTypes::ALL.0 {
            let set = TransparentTypes(bits);
            assert_eq!(TransparentTypes::from_list(&set.to_list()), Some(set));
        }
        for junk in ["", "string,", "strings", "string list", "none,all"] {
            assert_eq!(TransparentTypes::from_list(junk), None, "{junk}");
        }
    }
}
