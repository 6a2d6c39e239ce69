// SPDX-License-Identifier: GPL-2.0-only

//! What `use kernel::prelude::*` brings.

pub use core::ffi::c_int;
pub use core::ffi::c_void;
pub use core::ffi::CStr;
pub use core::pin::Pin;

pub use kernel_macros::pin_data;

pub use crate::alloc::flags::GFP_KERNEL;
pub use crate::alloc::KBox;
pub use crate::alloc::KVVec;
pub use crate::alloc::KVec;
pub use crate::error::code::*;
pub use crate::error::Error;
pub use crate::error::Result;
pub use crate::module;
pub use crate::module::ThisModule;
pub use crate::pin_init;
pub use crate::pr_err;
pub use crate::pr_info;
pub use crate::pr_warn;
pub use crate::str::CStrExt as _;
