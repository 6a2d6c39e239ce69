// SPDX-License-Identifier: MIT OR Apache-2.0

//! How everything fares.

use crate::Counts;
use crate::FanoutHealth;
use crate::StoreHealth;

/// How everything fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How many peers are known.
    pub peers: usize,
    /// Why the kernel does not tell, if it does not.
    pub kernel: Option<String>,
    /// Why no pings can be sent, if none can.
    pub pings: Option<String>,
    /// What became of the checks that were due.
    pub queue: Counts,
    /// The database, if there is to be one.
    pub database: Option<StoreHealth>,
    /// The fan-out, if there is to be one.
    pub fanout: Option<FanoutHealth>,
}

impl Health {
    /// What is wrong, one sentence each; nothing if all is well.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if let Some(kernel) = &self.kernel {
            troubles.push(format!("the kernel does not tell of WireGuard: {kernel}"));
        }
        if let Some(pings) = &self.pings {
            troubles.push(format!("pings cannot be sent: {pings}"));
        }
        if let Some(database) = &self.database {
            if let Some(trouble) = &database.trouble {
                let waiting = database.waiting;
                troubles
                    .push(format!("the database cannot be used: {trouble} ({waiting} rows wait)"));
            }
        }
        if let Some(fanout) = &self.fanout {
            if !fanout.connected {
                let waiting = fanout.waiting;
                troubles.push(format!("there is no message server ({waiting} events wait)"));
            }
            if let Some(trouble) = &fanout.trouble {
                troubles.push(format!("the message server refuses something: {trouble}"));
            }
        }
        troubles
    }
}
