// SPDX-License-Identifier: MIT OR Apache-2.0

//! Looks after the parts, and tells when one of them fails, or is as it should be again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Severity;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::own::Own;
use crate::part::Health;
use crate::part::Part;
use crate::part::Parts;
use crate::part::State;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Begins; aborted when there are other parts.
pub fn start(parts: &Parts, own: &Arc<Own>) -> JoinHandle<()> {
    let (parts, own) = (parts.clone(), own.clone());
    tokio::spawn(async move {
        let mut last = BTreeMap::new();
        loop {
            let (parts, own) = (parts.clone(), own.clone());
            let looked = tokio::task::spawn_blocking(move || {
                parts.iter().for_each(|part| look(&**part, &mut last, &own));
                last
            });
            last = looked.await.unwrap_or_default();
            sleep(INTERVAL).await;
        }
    })
}

/// Tells if a part is in another state than it was.
fn look(part: &dyn Part, last: &mut BTreeMap<&'static str, State>, own: &Own) {
    let Health { state, message } = part.health();
    let state = match state {
        State::Degraded if part.tells_trouble() => State::Healthy,
        state => state,
    };
    let before = last.insert(part.name(), state).unwrap_or(State::Healthy);
    if before != state {
        own.journal.tell(part.name(), entry(state, message));
    }
}

fn entry(state: State, message: String) -> Entry {
    match state {
        State::Healthy => Entry::custom("part_recovered", Severity::Info, message),
        State::Degraded => Entry::custom("part_degraded", Severity::Warning, message),
        State::Failed => Entry::custom("part_failed", Severity::Error, message),
    }
}

#[cfg(test)]
mod tests {
    use mutex_stats::diagnostics::Query;
    use mutex_stats::diagnostics::Recorder;

    use crate::own::locked;
    use crate::part::tests::Told;

    use super::*;

    /// What is recorded of a part that is in these states, one after the other.
    fn recorded(tells: bool, states: &[State]) -> Vec<String> {
        let own = Own::default();
        let recorder = Arc::new(Recorder::new(100));
        own.journal.open(recorder.clone());
        let part = Told::new("peers", tells, State::Healthy);
        let mut last = BTreeMap::new();
        for state in states {
            *locked(&part.state) = *state;
            look(&*part, &mut last, &own);
        }
        let kept = recorder.events(&Query::last(100)).expect("it is open");
        assert!(kept.iter().all(|kept| kept.component() == "peers"));
        let shown =
            |entry: &Entry| format!("{} {}: {}", entry.severity, entry.kind.name(), entry.message);
        kept.iter().map(|kept| shown(&kept.entry)).collect()
    }

    #[test]
    fn each_change_of_a_part_is_told_once() {
        use State::{Degraded, Failed, Healthy};
        let states = [Healthy, Degraded, Degraded, Failed, Failed, Healthy, Healthy];
        assert_eq!(
            recorded(false, &states),
            [
                "warning part_degraded: it is degraded",
                "error part_failed: it is failed",
                "info part_recovered: it is healthy",
            ]
        );
        // What a part tells by itself is not told again.
        assert_eq!(
            recorded(true, &states),
            ["error part_failed: it is failed", "info part_recovered: it is healthy"]
        );
        assert_eq!(recorded(true, &[Degraded, Healthy, Degraded]), [""; 0]);
    }
}
