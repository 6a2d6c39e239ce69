// SPDX-License-Identifier: MIT OR Apache-2.0

//! The help, for people to review in `expected/`.

use crate::host::Host;

#[test]
fn help_teaches() {
    let host = Host::new();
    assert_eq!(host.output(&["--help"]), include_str!("expected/help.txt"));
    for (command, help) in [
        ("stats", include_str!("expected/help-stats.txt")),
        ("connections", include_str!("expected/help-connections.txt")),
        ("fds", include_str!("expected/help-fds.txt")),
        ("alerts", include_str!("expected/help-alerts.txt")),
        ("events", include_str!("expected/help-events.txt")),
        ("meter", include_str!("expected/help-meter.txt")),
        ("aggregate", include_str!("expected/help-aggregate.txt")),
        ("diff", include_str!("expected/help-diff.txt")),
        ("config", include_str!("expected/help-config.txt")),
        ("record", include_str!("expected/help-record.txt")),
        ("replay", include_str!("expected/help-replay.txt")),
        ("history", include_str!("expected/help-history.txt")),
        ("diag", include_str!("expected/help-diag.txt")),
        ("page", include_str!("expected/help-page.txt")),
        ("report", include_str!("expected/help-report.txt")),
        ("top", include_str!("expected/help-top.txt")),
        ("check", include_str!("expected/help-check.txt")),
        ("doctor", include_str!("expected/help-doctor.txt")),
        ("completions", include_str!("expected/help-completions.txt")),
        ("man", include_str!("expected/help-man.txt")),
        ("export", include_str!("expected/help-export.txt")),
        ("convert", include_str!("expected/help-convert.txt")),
        ("audit", include_str!("expected/help-audit.txt")),
    ] {
        assert_eq!(host.output(&[command, "--help"]), help, "{command}");
        assert_eq!(host.output(&["help", command]), help, "{command}");
        assert!(help.contains("\nExamples:\n"), "{command}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = format!("mutexctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Host::new().output(&["--version"]), version);
}
