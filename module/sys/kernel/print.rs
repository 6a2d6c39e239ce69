// SPDX-License-Identifier: GPL-2.0-only

//! Lines in the kernel's log.

use core::fmt;
use core::fmt::Write;

use crate::ffi;

/// Maximum length of a line in bytes; longer lines are truncated.
const LINE_MAX: usize = 480;

struct Line {
    text: [u8; LINE_MAX],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.get_mut(self.length..).unwrap_or_default();
        let length = room.len().min(text.len());
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.length += length;
        Ok(())
    }
}

/// A level of the kernel's log.
#[derive(Clone, Copy)]
pub enum Level {
    /// `KERN_ERR`
    Error = ffi::MUTEX_LOG_ERROR as isize,
    /// `KERN_WARNING`
    Warning = ffi::MUTEX_LOG_WARNING as isize,
    /// `KERN_INFO`
    Info = ffi::MUTEX_LOG_INFO as isize,
}

/// Logs a line, which has to end in a newline. May be called anywhere.
#[doc(hidden)]
#[inline(never)]
pub fn print(level: Level, arguments: fmt::Arguments<'_>) {
    let mut line = Line { text: [0; LINE_MAX], length: 0 };
    // Writing to it never fails; what formats itself can, and then the line ends there.
    let _ = line.write_fmt(arguments);
    // SAFETY: So many bytes of the line are text.
    unsafe { ffi::mutex_runtime_log(level as u32, line.text.as_ptr(), line.length as u64) };
}

/// Logs an error.
#[macro_export]
macro_rules! pr_err {
    ($($arguments:tt)*) => {
        $crate::print::print($crate::print::Level::Error, ::core::format_args!($($arguments)*))
    };
}

/// Logs a warning.
#[macro_export]
macro_rules! pr_warn {
    ($($arguments:tt)*) => {
        $crate::print::print($crate::print::Level::Warning, ::core::format_args!($($arguments)*))
    };
}

/// Logs what is no fault.
#[macro_export]
macro_rules! pr_info {
    ($($arguments:tt)*) => {
        $crate::print::print($crate::print::Level::Info, ::core::format_args!($($arguments)*))
    };
}
