// SPDX-License-Identifier: GPL-2.0-only

//! Our own implementation of the part of the Rust-for-Linux `kernel` crate that MUTEX uses, for
//! kernels without `CONFIG_RUST` (`MUTEX_RUST=bundled`).
//!
//! Names, signatures and meaning are those of Rust-for-Linux, so the module's sources are the same
//! with both crates; <https://rust.docs.kernel.org/kernel/> documents them. Nothing here knows a
//! kernel structure: `runtime.c` does, compiled for the kernel at hand. What differs from
//! Rust-for-Linux is said at the item.

#![warn(missing_docs)]

pub mod alloc;
pub mod error;
#[allow(clippy::all, dead_code, missing_docs, non_camel_case_types, unreachable_pub)]
mod ffi;
pub mod init;
pub mod module;
pub mod prelude;
pub mod print;
pub mod str;
pub mod sync;
pub mod uaccess;

pub use module::Module;
pub use module::ThisModule;

/// A panic is a bug in the module: it ends in an instruction that the kernel reports as an Oops,
/// with the place in the code. `core` is compiled so that it formats no message.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    module::trap()
}
