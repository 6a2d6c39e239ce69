// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever is written to `/proc/mutex/events` is a filter or refused with a reason; what a filter
//! says of itself is that filter again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mutex_core::filter::Filter;
use mutex_core::filter::Subject;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Filter::parse(text) {
        Ok(filter) => {
            let said = filter.to_string();
            let again = Filter::parse(&said).unwrap_or_else(|error| panic!("{said}: {error}"));
            assert_eq!(again, filter, "{said}");
            for kind in 0..=5 {
                let subject = Subject::new(kind);
                assert_eq!(filter.matches(&subject), again.matches(&subject));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
