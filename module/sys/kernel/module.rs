// SPDX-License-Identifier: GPL-2.0-only

//! The module itself.

use core::cell::UnsafeCell;
use core::ffi::c_int;

use crate::error::Result;

/// The loaded module, as the kernel knows it.
pub struct ThisModule(());

/// What a module is: a value that is made when it is loaded and dropped when it is unloaded.
pub trait Module: Sized + Sync + Send {
    /// Loads it; an error refuses the load.
    fn init(module: &'static ThisModule) -> Result<Self>;
}

/// Ends here with an instruction that is undefined on purpose (`ud2`, `brk`): the kernel reports an
/// Oops with the place. objtool knows that nothing follows it.
pub(crate) fn trap() -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: The instruction raises an exception and does nothing else.
    unsafe {
        core::arch::asm!("ud2", options(noreturn, nomem, nostack))
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: As above; 0x800 is the kernel's number for BUG().
    unsafe {
        core::arch::asm!("brk #0x800", options(noreturn, nomem, nostack))
    };
}

static THIS_MODULE: ThisModule = ThisModule(());

/// Where [`module!`](crate::module!) keeps its module.
pub struct Place<T>(UnsafeCell<Option<T>>);

// SAFETY: Only loading and unloading reach it, which the kernel does one after the other.
unsafe impl<T: Module> Sync for Place<T> {}

impl<T: Module> Place<T> {
    /// Empty.
    pub const fn new() -> Self {
        Place(UnsafeCell::new(None))
    }

    /// Loads the module; 0 or an errno.
    ///
    /// # Safety
    ///
    /// Called once, by the kernel's module loader.
    pub unsafe fn load(&self) -> c_int {
        match T::init(&THIS_MODULE) {
            Ok(module) => {
                // SAFETY: By the contract of this function nobody else is here.
                unsafe { *self.0.get() = Some(module) };
                0
            }
            Err(error) => error.to_errno(),
        }
    }

    /// Drops the module.
    ///
    /// # Safety
    ///
    /// Called once after [`Place::load`], by the kernel's module loader.
    pub unsafe fn unload(&self) {
        // SAFETY: By the contract of this function nobody else is here.
        drop(unsafe { (*self.0.get()).take() });
    }
}

/// Declares the module: its type, and what `modinfo` shows. The entry points are called by
/// `runtime.c`; `name` is not used, for Kbuild knows it.
#[macro_export]
macro_rules! module {
    (
        type: $type:ty,
        name: $name:literal,
        authors: [$author:literal],
        description: $description:literal,
        license: $license:literal,
    ) => {
        static MODULE: $crate::module::Place<$type> = $crate::module::Place::new();

        /// # Safety
        ///
        /// Called once, by the kernel's module loader.
        #[no_mangle]
        unsafe extern "C" fn mutex_rust_init() -> ::core::ffi::c_int {
            // SAFETY: By the contract of this function.
            unsafe { MODULE.load() }
        }

        /// # Safety
        ///
        /// Called once after `mutex_rust_init`, by the kernel's module loader.
        #[no_mangle]
        unsafe extern "C" fn mutex_rust_exit() {
            // SAFETY: By the contract of this function.
            unsafe { MODULE.unload() };
        }

        $crate::module!(@info AUTHOR, concat!("author=", $author, "\0"));
        $crate::module!(@info DESCRIPTION, concat!("description=", $description, "\0"));
        $crate::module!(@info LICENSE, concat!("license=", $license, "\0"));
    };
    (@info $name:ident, $text:expr) => {
        #[used]
        #[link_section = ".modinfo"]
        static $name: [u8; $text.len()] = {
            let (mut bytes, mut i) = ([0; $text.len()], 0);
            while i < bytes.len() {
                bytes[i] = $text.as_bytes()[i];
                i += 1;
            }
            bytes
        };
    };
}
