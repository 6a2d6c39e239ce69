// SPDX-License-Identifier: MIT OR Apache-2.0

//! A fault that chance would not find in a lifetime and coverage finds in seconds: whoever runs this
//! target expects it to crash, or else nothing is proven by those that do not.
//!
//! If MUTEX_SEEDS names a folder, the inputs that the other targets begin with are written there.

#![no_main]

mod host;
mod seeds;

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("MUTEX_SEEDS") {
            seeds::write(folder.as_ref()).expect("the folder can be written to");
        }
    },
    |bytes: &[u8]| {
        let mut expected = b"MUTEX".iter();
        for byte in bytes {
            match expected.next() {
                Some(wanted) if wanted == byte => {}
                Some(_) => return,
                None => panic!("the seeded fault is found"),
            }
        }
    }
);
