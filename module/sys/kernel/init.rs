// SPDX-License-Identifier: GPL-2.0-only

//! Values that are made where they are to be. Here they are moved there, which pinned fields allow:
//! what must not move has memory of its own.

use crate::error::Result;

/// What makes a value, or fails.
pub trait PinInit<T> {
    /// Makes it.
    fn make(self) -> Result<T>;
}

impl<T, F: FnOnce() -> Result<T>> PinInit<T> for F {
    fn make(self) -> Result<T> {
        self()
    }
}

/// What makes a struct: of fields that have their values, and of fields that something makes (`<-`).
#[macro_export]
macro_rules! pin_init {
    ($name:ident { $($fields:tt)* }) => {
        move || -> $crate::error::Result<$name> { $crate::pin_init!(@ $name [] $($fields)*) }
    };
    (@ $name:ident [$($done:tt)*]) => { Ok($name { $($done)* }) };
    (@ $name:ident [$($done:tt)*] $field:ident <- $init:expr $(, $($rest:tt)*)?) => {
        $crate::pin_init!(
            @ $name [$($done)* $field: $crate::init::PinInit::make($init)?,] $($($rest)*)?
        )
    };
    (@ $name:ident [$($done:tt)*] $field:ident $(, $($rest:tt)*)?) => {
        $crate::pin_init!(@ $name [$($done)* $field,] $($($rest)*)?)
    };
}
