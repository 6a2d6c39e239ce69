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
const INTERVAL: Duration = Duration::from_secs(1);

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
