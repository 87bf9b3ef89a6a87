//! The strategy that moves nothing (slot 0).
//!
//! It shows that the runner is alive: a line at verbose level now and then, and a slot whose
//! executions count up. It is also the least that a strategy can be.

use super::{Plan, Strategy, StrategyError, View};
use crate::migrate::Budget;

/// Milliseconds between log lines.
const LOG_INTERVAL_MS: u64 = 10_000;

/// The strategy that moves nothing.
#[derive(Debug, Default)]
pub struct NoOp {
    executions: u64,
    next_line_ms: u64,
}

impl Strategy for NoOp {
    fn name(&self) -> &'static str {
        "no-op"
    }

    fn description(&self) -> &'static str {
        "Moves nothing; shows that the strategy runner is alive."
    }

    fn decide(&mut self, _view: &mut dyn View, _budget: &Budget) -> Result<Plan, StrategyError> {
        self.executions += 1;
        Ok(Plan::new())
    }

    fn log_line(&mut self, now_ms: u64) -> Option<String> {
        let due = self.executions > 0 && now_ms >= self.next_line_ms;
        due.then(|| {
            self.next_line_ms = now_ms.saturating_add(LOG_INTERVAL_MS);
            format!(
                "no-op strategy: {} runs, nothing moved by it",
                self.executions
            )
        })
    }
}
