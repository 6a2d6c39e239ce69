// SPDX-License-Identifier: GPL-2.0-only

//! The kernel as the rest of the module knows it. All of the module's unsafe code is here.

#[allow(clippy::all, dead_code, unreachable_pub)]
mod bindings;

pub(crate) mod host;
#[cfg(mutex_kunit)]
mod kunit;
pub(crate) mod memory;
pub(crate) mod netfilter;
pub(crate) mod percpu;
pub(crate) mod probes;
pub(crate) mod proc;
pub(crate) mod rcu;
pub(crate) mod work;
