//! Why a setting was refused, in two faces: to whoever typed it, with the offending word; about a
//! line of the directives file, without any of its content, since the file may be one that the
//! caller could not have read.

use super::table::Param;
use super::value::printable;
use super::BrokenRelation;
use std::fmt;

/// Why a parameter was not set. Nothing has changed then.
#[derive(Clone, PartialEq, Debug)]
pub enum SetError {
    /// There is no such parameter; the word that was given.
    UnknownParameter(String),
    /// There is no such placement policy; the word that was given.
    UnknownStrategy(String),
    /// The node is not a number.
    InvalidNode,
    /// The weight is not a number.
    InvalidWeight,
    /// This machine has no such node; the word that was given.
    NodeOutOfRange(String),
    /// The weight is out of its bounds.
    WeightOutOfRange,
    /// The word is not one that the parameter takes.
    Value {
        /// The parameter.
        param: &'static Param,
        /// The word that was given.
        value: String,
    },
    /// Too few or too many words.
    WordCount(&'static Param),
    /// The parameter is fixed once the module is loaded.
    LoadOnly(&'static Param),
    /// The parameter is taken as a load argument only, never from a file.
    ArgumentOnly(&'static Param),
    /// The value is in bounds but contradicts another setting.
    Relation(BrokenRelation),
}

impl fmt::Display for SetError {
    /// The reply to NUMACONFIG SET, without the `ERR` in front.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownParameter(name) => write!(f, "Unknown parameter: {}", printable(name)),
            Self::UnknownStrategy(name) => write!(f, "Unknown strategy name: {}", printable(name)),
            Self::NodeOutOfRange(node) => write!(f, "Node ID {} out of range", printable(node)),
            Self::Value { param, value } => match param.complaint {
                Some(complaint) => f.write_str(complaint),
                None => write!(
                    f,
                    "{} must be {}, got '{}'",
                    param.name,
                    param.bounds(),
                    printable(value)
                ),
            },
            Self::Relation(broken) => {
                let [one, other] = &broken.values;
                write!(f, "{} ({one}, {other})", broken.text)
            }
            other => f.write_str(&other.told(|param| param.name.to_owned())),
        }
    }
}

impl SetError {
    /// The reason without a word of what was given, parameters by their directives: for errors
    /// about a file.
    #[must_use]
    pub fn reason(&self) -> String {
        self.told(Param::directive)
    }

    fn told(&self, named: fn(&Param) -> String) -> String {
        match self {
            Self::UnknownParameter(_) => "unknown directive".to_owned(),
            Self::UnknownStrategy(_) => "Unknown strategy name".to_owned(),
            Self::InvalidNode => "Invalid node ID".to_owned(),
            Self::InvalidWeight => "Invalid weight".to_owned(),
            Self::NodeOutOfRange(_) => "Node ID out of range".to_owned(),
            Self::WeightOutOfRange => "Weight must be between 0 and 1000".to_owned(),
            Self::Value { param, .. } => format!("{} must be {}", named(param), param.bounds()),
            Self::WordCount(param) => format!("{} takes {}", named(param), param.operands()),
            Self::LoadOnly(param) => {
                let directive = param.directive();
                format!(
                    "{} can only be set when the module is loaded ({directive})",
                    named(param)
                )
            }
            Self::ArgumentOnly(param) => format!("{} can only be a load argument", named(param)),
            Self::Relation(broken) => broken.text.to_owned(),
        }
    }
}
