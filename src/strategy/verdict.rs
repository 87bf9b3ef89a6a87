//! Why a key is where it is, and what the next pass would do with it, in words.
//!
//! The first rule that holds is the reason: what cannot move, what must not, who does not, and only
//! then how hot it is. Nothing is decided here; the rules are those that the mover and the
//! strategies keep, told in their order. Rejected: asking a strategy to plan for the one key, which
//! would have it forget or learn something by being asked.

use super::Bar;
use crate::ids::NodeId;
use crate::migrate::KeyInfo;

/// What is known around a key.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The node that the main thread runs on.
    pub home: NodeId,
    /// Why it cannot be moved at all.
    pub stays: Option<&'a str>,
    /// Why nothing moves now.
    pub rests: Option<&'a str>,
    /// Whether strategies may move keys by themselves.
    pub automatic: bool,
    /// What a far key must reach to be wanted at home; nothing where no strategy wants any.
    pub bar: Option<Bar>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The reason.
    pub why: String,
    /// Where the next pass would move it.
    pub next: Option<NodeId>,
}

/// See the head of the file.
#[must_use]
pub fn verdict(info: &KeyInfo, case: &Case<'_>) -> Verdict {
    let stay = |why: &str| Verdict {
        why: why.to_owned(),
        next: None,
    };
    if let Some(why) = case.stays {
        return stay(why);
    }
    if info.pinned {
        return stay("pinned to its node; NUMAMIGRATE KEY alone moves it");
    }
    if let Some(why) = case.rests {
        return stay(&format!("moves are {why}"));
    }
    if !case.automatic {
        return stay("no strategy moves keys: composite_lru_auto_migrate_enabled is no");
    }
    if info.node == case.home {
        return stay("at home; it leaves when hotter keys want its room");
    }
    match case.bar {
        None => stay("far, and no strategy wants a far key now"),
        Some(bar) if info.score >= bar.score && info.level >= bar.level => Verdict {
            why: "far, and hot enough to come home".to_owned(),
            next: Some(case.home),
        },
        Some(_) => stay("far, and not hot enough to come home"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::Score;
    use crate::ids::{Bytes, Level};
    use crate::migrate::{Kind, Plane};

    fn far(score: u16, level: u8) -> KeyInfo {
        KeyInfo {
            node: NodeId::new(1).unwrap(),
            bytes: Bytes(64),
            level: Level::clamped(level),
            score: Score(score),
            idle_ms: 0,
            accesses: 1,
            pinned: false,
            kind: Kind::String,
            plane: Plane::Numa,
        }
    }

    const FREE: Case<'_> = Case {
        home: NodeId::FIRST,
        stays: None,
        rests: None,
        automatic: true,
        bar: Some(Bar {
            score: Score(1000),
            level: Level::clamped(5),
        }),
    };

    fn next(info: &KeyInfo, case: &Case<'_>) -> Option<NodeId> {
        verdict(info, case).next
    }

    #[test]
    fn a_far_key_comes_home_when_it_reaches_the_bar_by_both() {
        assert_eq!(next(&far(1000, 5), &FREE), Some(NodeId::FIRST));
        assert_eq!(next(&far(999, 7), &FREE), None);
        assert_eq!(next(&far(5000, 4), &FREE), None);
        assert_eq!(next(&far(5000, 7), &Case { bar: None, ..FREE }), None);
    }

    #[test]
    fn what_cannot_or_must_not_move_is_named_before_heat() {
        let hot = far(5000, 7);
        let pinned = KeyInfo {
            pinned: true,
            ..hot
        };
        let home = KeyInfo {
            node: NodeId::FIRST,
            ..hot
        };
        let rests = Case {
            rests: Some("paused"),
            ..FREE
        };
        let manual = Case {
            automatic: false,
            ..FREE
        };
        for (info, case, word) in [
            (&pinned, &FREE, "pinned"),
            (
                &pinned,
                &Case {
                    stays: Some("a number"),
                    ..rests
                },
                "a number",
            ),
            (&hot, &rests, "moves are paused"),
            (&hot, &manual, "auto_migrate"),
            (&home, &FREE, "at home"),
        ] {
            let told = verdict(info, case);
            assert!(told.why.contains(word) && told.next.is_none(), "{told:?}");
        }
    }
}
