// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be set while the module runs: `/proc/mutex/config`.

use mutex_core::config::Config;
use mutex_core::config::SETTINGS;
use mutex_core::config::Setting;

use crate::Error;
use crate::File;
use crate::Proc;
use crate::stats::check_format;

/// A setting as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name, one word.
    pub key: String,
    /// Its value in words: a number, or a severity.
    pub value: String,
}

impl Set {
    /// What this version knows of it: unit, default, range and what it is for.
    #[must_use]
    pub fn known(&self) -> Option<&'static Setting> {
        known(&self.key)
    }
}

fn known(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Understands the text of `config`. Settings that this version does not know are kept.
///
/// # Errors
///
/// [`Error::TextVersion`], and [`Error::Text`] for what is not `key value`.
pub fn parse_settings(text: &str) -> Result<Vec<Set>, Error> {
    let mut lines = text.lines().enumerate();
    check_format(lines.next().map(|(_, line)| line))?;
    lines
        .map(|(index, line)| {
            let (key, value) = line.split_once(' ').ok_or_else(|| {
                let what = format!("`{}` has no value", line.escape_debug());
                Error::Text { line: index + 1, what }
            })?;
            Ok(Set { key: key.to_owned(), value: value.to_owned() })
        })
        .collect()
}

/// Checks `key value` lines as the kernel would, so that there is a sentence instead of `EINVAL`.
///
/// # Errors
///
/// [`Error::Setting`].
pub fn check_settings(text: &str) -> Result<(), Error> {
    let refusal = Config::new().change(text.as_bytes());
    refusal.map_err(|refusal| Error::Setting(refusal.to_string()))
}

impl Proc {
    /// Reads what is set.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`] and of [`parse_settings`].
    pub fn settings(&self) -> Result<Vec<Set>, Error> {
        parse_settings(&self.text(File::Config)?)
    }

    /// Sets all of these or, if one is refused, none. Keys that this version does not know are left
    /// to the kernel.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`], and those of [`Proc::write`].
    pub fn set(&self, settings: &[Set]) -> Result<(), Error> {
        let line = |set: &Set| format!("{} {}\n", set.key, set.value);
        for set in settings.iter().filter(|set| set.known().is_some()) {
            check_settings(&line(set)).map_err(|error| match error {
                // There is one line, so its number says nothing.
                Error::Setting(what) => {
                    Error::Setting(what.strip_prefix("line 1: ").unwrap_or(&what).to_owned())
                }
                error => error,
            })?;
        }
        self.write(File::Config, &settings.iter().map(line).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> Set {
        Set { key: key.into(), value: value.into() }
    }

    #[test]
    fn the_kernels_text_is_understood() {
        let mut text = String::new();
        Config::new().text(&mut text).expect("a string takes everything");
        let settings = parse_settings(&text).expect("the text is the kernel's");
        assert_eq!(settings.len(), SETTINGS.len());
        assert_eq!(settings[0], set("timeout_tcp", "7440"));
        assert!(settings.iter().all(|set| set.known().is_some()));
        let later = parse_settings("format 1\nnew_key 5\n").expect("later keys are kept");
        assert_eq!((&later[0], later[0].known().is_some()), (&set("new_key", "5"), false));
        assert!(parse_settings("format 1\nword\n").is_err());
    }

    #[test]
    fn a_wrong_value_is_a_sentence_before_the_kernel_sees_it() {
        let folder = tempfile::tempdir().expect("there is room");
        std::fs::write(folder.path().join("config"), "").expect("there is room");
        let proc = Proc::new(folder.path());
        let error = |sets: &[Set]| proc.set(sets).expect_err("it is wrong").to_string();
        assert_eq!(
            error(&[set("timeout_tcp", "0")]),
            "the value of timeout_tcp is out of its range from 1 to 31536000"
        );
        assert_eq!(
            error(&[set("timeout_icmp", "5"), set("alert_global_latency_severity", "bad")]),
            "the value of alert_global_latency_severity is not info, warning, error or critical"
        );
        let written = || std::fs::read_to_string(folder.path().join("config")).expect("a file");
        assert_eq!(written(), "");
        proc.set(&[set("timeout_icmp", "5"), set("new_key", "x")]).expect("it is right");
        assert_eq!(written(), "timeout_icmp 5\nnew_key x\n");
    }
}
