// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What processors share: the language's own atomics, or those of a model that tries every order.

#[cfg(not(loom))]
pub use core::hint;
#[cfg(not(loom))]
pub use core::sync::atomic;

#[cfg(loom)]
pub mod atomic;
#[cfg(loom)]
pub use loom::hint;
