// SPDX-License-Identifier: MIT OR Apache-2.0

//! The diagnostics recorder and the performance monitor, from outside.

mod exported;
mod kernel;
mod monitor;
mod recorder;
mod socket;

use mutex_core::wire::Wire;
use proptest::prelude::*;

/// Any record at all: whatever bytes it is made of.
fn any_record<T: Wire + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop::collection::vec(any::<u8>(), T::SIZE).prop_map(|bytes| T::take(&bytes).0)
}
