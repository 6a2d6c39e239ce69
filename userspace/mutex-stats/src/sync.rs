// SPDX-License-Identifier: MIT OR Apache-2.0

//! What threads share; models have their own in this place, to try every order.

pub(crate) use std::sync::Condvar;
pub(crate) use std::sync::Mutex;
