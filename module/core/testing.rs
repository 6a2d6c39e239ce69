// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Stand-ins for the kernel in tests.

use std::prelude::v1::*;
use std::sync::Mutex;
use std::sync::MutexGuard;

use crate::cpu::Cpu;
use crate::cpu::Pinned;

/// Some CPUs; being pinned to one is having it for oneself.
pub(crate) struct Cpus(Vec<Mutex<Cpu>>);

impl Cpus {
    pub(crate) fn new(count: usize) -> Self {
        Cpus(std::iter::repeat_with(Mutex::default).take(count).collect())
    }

    pub(crate) fn pin(&self, number: usize) -> PinnedTo<'_> {
        PinnedTo(self.0[number].lock().expect("no test panics while it is pinned"))
    }
}

pub(crate) struct PinnedTo<'a>(MutexGuard<'a, Cpu>);

impl Pinned for PinnedTo<'_> {
    fn cpu(&self) -> &Cpu {
        &self.0
    }
}
