// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever is written to `/proc/mutex/config` changes it as a whole or not at all; what a
//! configuration says of itself is that configuration again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mutex_core::config::Config;

fn text_of(config: &Config) -> String {
    let mut text = String::new();
    config.text(&mut text).expect("a string takes everything");
    text
}

/// The same without the line that says which format it is, which is not a setting.
fn settings_of(config: &Config) -> String {
    text_of(config)
        .lines()
        .filter(|line| !line.starts_with("format "))
        .fold(String::new(), |all, line| all + line + "\n")
}

fuzz_target!(|bytes: &[u8]| {
    let config = Config::new();
    let before = text_of(&config);
    match config.change(bytes) {
        Ok(()) => {
            let again = Config::new();
            for line in settings_of(&config).lines() {
                again.change(line.as_bytes()).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
            }
            assert_eq!(text_of(&again), text_of(&config));
        }
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty());
            assert_eq!(text_of(&config), before, "half a change");
        }
    }
});
