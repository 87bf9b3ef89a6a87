//! `make bench-tiering`: what the tiering engine reaches, in a simulator that drives the module's
//! own floors, beside what well-known caches reach as placements.
//!
//! Settings, by environment:
//!
//! ```text
//! KEYS=1000000    keys of the made loads          ONLY="zipf shift"  these scenarios only
//! SEED=1          of the made loads               RATE=100000        requests a second
//! TRACES="..."    trace files (.xz or plain)      TRACE_NEAR=12.5    near share for them, percent
//! SAVED_NS=149    what a near hit saves           RIVALS=no          without the others
//! STRATEGY=composite-lru                          or benefit-cost: what is in slot 1
//! ```
//!
//! hits        near hits as a share of requests
//! oracle      hits as a share of what the best static placement has (a knapsack, where sizes vary)
//! moves       for 1,000 requests; a swap is two
//! work        ns of main thread for one request: the survey, deciding and moving
//! G           near hits x SAVED_NS - work, in ns for one request; rivals are charged their moves
//!             alone, at the price of the engine's

mod rivals;
mod scenarios;
mod trace;

use std::env;

/// The settings. See the head of the file.
pub(crate) struct Settings {
    pub(crate) keys: usize,
    pub(crate) seed: u64,
    pub(crate) rate: u64,
    pub(crate) saved_ns: f64,
    pub(crate) traces: Vec<String>,
    pub(crate) trace_near: f64,
    pub(crate) rivals: bool,
    pub(crate) by_benefit: bool,
    only: Vec<String>,
}

impl Settings {
    fn read() -> Result<Self, String> {
        let words = |name: &str| -> Vec<String> {
            let text = env::var(name).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        Ok(Self {
            keys: number("KEYS", 1_000_000)?,
            seed: number("SEED", 1)?,
            rate: number("RATE", 100_000)?,
            saved_ns: number("SAVED_NS", 149.0)?,
            traces: words("TRACES"),
            trace_near: number("TRACE_NEAR", 12.5)?,
            by_benefit: by_benefit()?,
            rivals: env::var("RIVALS").map_or(true, |word| word != "no"),
            only: words("ONLY"),
        })
    }

    /// Whether a scenario is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }
}

fn by_benefit() -> Result<bool, String> {
    match env::var("STRATEGY").as_deref() {
        Err(_) | Ok("composite-lru") => Ok(false),
        Ok("benefit-cost") => Ok(true),
        Ok(other) => Err(format!("STRATEGY={other} is no strategy for slot 1")),
    }
}

fn number<N: std::str::FromStr>(name: &str, default: N) -> Result<N, String> {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("{name}={text} is no number")),
        Err(_) => Ok(default),
    }
}

fn main() {
    let done = Settings::read().and_then(|settings| scenarios::run(&settings));
    if let Err(reason) = done {
        eprintln!("bench-tiering: {reason}");
        std::process::exit(1);
    }
}
