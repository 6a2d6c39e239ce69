// SPDX-License-Identifier: MIT OR Apache-2.0

//! How bad something is.

use std::fmt;
use std::str::FromStr;

/// How bad something is, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Details for who looks for a fault.
    Debug,
    /// What is as it should be.
    Info,
    /// What does not disturb operation yet.
    Warning,
    /// What can disturb operation.
    Error,
    /// What needs somebody at once.
    Critical,
}

impl Severity {
    /// All of them, from the least.
    pub const ALL: [Severity; 5] =
        [Severity::Debug, Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }

    /// That of an alert, as its record has it. One of a later version is an error.
    #[must_use]
    pub fn of_alert(severity: u8) -> Self {
        let name = crate::severity_name(severity);
        Severity::ALL.into_iter().find(|known| known.name() == name).unwrap_or(Severity::Error)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Severity {
    type Err = String;

    /// In small or in capital letters; `warn` is `warning`, too.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let name = if name == "warn" { "warning" } else { &name };
        Severity::ALL.into_iter().find(|severity| severity.name() == name).ok_or_else(|| {
            let known = Severity::ALL.map(Severity::name).join(", ");
            let text: String = text.chars().take(40).flat_map(char::escape_debug).collect();
            format!("there is no severity `{text}`; there are {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_as_people_write_them() {
        for severity in Severity::ALL {
            assert_eq!(severity.name().parse(), Ok(severity));
            assert_eq!(severity.name().to_ascii_uppercase().parse(), Ok(severity));
        }
        assert_eq!("WARN".parse(), Ok(Severity::Warning));
        let error = "fatal\n".parse::<Severity>().expect_err("there is none");
        assert_eq!(
            error,
            "there is no severity `fatal\\n`; there are debug, info, warning, error, critical"
        );
    }

    #[test]
    fn alerts_have_the_same_names() {
        let of_alerts = [0, 1, 2, 3, 200].map(Severity::of_alert);
        let [_, info, warning, error, critical] = Severity::ALL;
        assert_eq!(of_alerts, [info, warning, error, critical, error]);
    }
}
