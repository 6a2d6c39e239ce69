// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file that is shipped says what the program does.

use std::collections::BTreeMap;

use super::*;

const SHIPPED: &str = include_str!("../../mutexd.toml");

/// Settings of the shipped file: line, comment before it, and value as it is written.
fn shipped() -> BTreeMap<String, (usize, String, String)> {
    let mut settings = BTreeMap::new();
    let (mut section, mut comment) = (String::new(), String::new());
    for (index, line) in SHIPPED.lines().enumerate() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
            comment.clear();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let name = format!("{section}{key}");
            settings.insert(name, (index, std::mem::take(&mut comment), value.to_owned()));
        } else {
            comment.clear();
        }
    }
    settings
}

/// The shipped file with another value for one setting.
fn with(line: usize, value: &str) -> Result<Config, Problem> {
    let mut lines: Vec<String> = SHIPPED.lines().map(str::to_owned).collect();
    let (key, _) = lines[line].split_once(" = ").expect("it is a setting");
    lines[line] = format!("{key} = {value}");
    Config::parse(&lines.join("\n"))
}

fn names(prefix: &str, value: &toml::Value, all: &mut Vec<String>) {
    for (key, value) in value.as_table().expect("it is a section") {
        let name = format!("{prefix}{key}");
        if value.is_table() {
            names(&format!("{name}."), value, all);
        } else {
            all.push(name);
        }
    }
}

#[test]
fn the_shipped_file_is_the_defaults_and_names_every_setting() {
    assert_eq!(Config::parse(SHIPPED).expect("it is right"), Config::default());
    let mut all = Vec::new();
    let defaults = toml::Value::try_from(Config::default()).expect("it can be written");
    names("", &defaults, &mut all);
    all.sort();
    assert_eq!(shipped().into_keys().collect::<Vec<_>>(), all);
}

#[test]
fn what_is_said_of_peers_is_their_defaults() {
    let is_setting = |line: &&str| {
        line.starts_with("#[")
            || line.starts_with('#') && line[1..].starts_with(|c: char| c.is_alphabetic())
    };
    let text: String = SHIPPED
        .lines()
        .filter(is_setting)
        .fold(String::new(), |text, line| text + &line[1..] + "\n");
    let config = Config::parse(&text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    let said = config.peers.expect("there is a section");
    assert_eq!(said, mutex_peers::Settings::default());
    // What has no default has no line of its own.
    let all = toml::Value::try_from(&said).expect("it can be written");
    let mut expected = Vec::new();
    names("", &all, &mut expected);
    for name in expected.iter().filter(|name| *name != "peers") {
        let key = name.rsplit('.').next().expect("it is not empty");
        assert!(text.contains(&format!("\n{key} = ")), "{name}");
    }
    let problem = Config::parse("[peers]\nping_check_workers = 0\n").expect_err("it is none");
    assert_eq!(
        problem.to_string(),
        "line 2: peers.ping_check_workers: it has to be from 1 to 1000"
    );
}

#[test]
fn every_setting_says_its_default_and_its_range() {
    for (name, (_, comment, value)) in shipped() {
        let shown = value.trim_matches('"');
        let shown = if shown.is_empty() || shown == "[]" { "none" } else { shown };
        assert!(comment.contains(&format!("Default: {shown}.")), "{name}: {comment}");
        assert!(comment.contains("Range: ") || comment.contains("One of: "), "{name}: {comment}");
    }
}

#[test]
fn ranges_are_what_the_shipped_file_says() {
    let mut count = 0;
    for (name, (line, comment, value)) in shipped() {
        let Some(range) = comment.split("Range: ").nth(1) else { continue };
        let Some((low, high)) = range.split_once('.').expect("it ends").0.split_once(" to ") else {
            continue;
        };
        if !low.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let quoted =
            |text: &str| if value.starts_with('"') { format!("\"{text}\"") } else { text.into() };
        let parts = |text: &str| -> (u64, String) {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            (digits.parse().expect("it is a number"), text[digits.len()..].to_owned())
        };
        for inside in [low, high] {
            assert!(with(line, &quoted(inside)).is_ok(), "{name} = {inside}");
        }
        let below = match parts(low) {
            (0, _) => None,
            (number, unit) if unit == "s" => Some(format!("{}ms", number * 1000 - 1)),
            (number, unit) => Some(format!("{}{unit}", number - 1)),
        };
        let (number, unit) = parts(high);
        for outside in below.into_iter().chain([format!("{}{unit}", number + 1)]) {
            let problem = with(line, &quoted(&outside)).expect_err(&outside).to_string();
            let start = format!("line {}: {name}: ", line + 1);
            assert!(problem.starts_with(&start), "{problem}");
            assert!(problem.contains(low) && problem.contains(high), "{problem}");
        }
        count += 1;
    }
    assert!(count > 8, "{count} ranges");
}

#[test]
fn problems_say_where_they_are_and_what_to_do() {
    for (text, expected) in [
        (
            "[http]\nrequest_timeout = \"5x\"\n",
            "line 2: http.request_timeout: \"5x\" is no duration; write a whole number and a unit: \
             ms, s, m, h or d, such as \"10s\"",
        ),
        (
            "[log]\n\nlevel = \"loud\"\n",
            "line 3: log.level: unknown variant \"loud\", expected one of \"error\", \"warning\", \
             \"info\", \"debug\", \"trace\"",
        ),
        (
            "[page]\nrow = 5\n",
            "line 2: page.row: unknown field \"row\", expected one of \"enabled\", \"interval\", \
             \"rows\", \"max_viewers\"",
        ),
        (
            "[http]\nlistening_address = [\n  \"127.0.0.1:1\",\n  \"localhost\",\n]\n",
            "http.listening_address: \"localhost\" is no address and port; write one such as \
             \"127.0.0.1:8787\" or \"[::1]:8787\"",
        ),
        (
            "[http]\nlistening_address = \":8787\"\n",
            "line 2: http.listening_address: [::]:8787 can be reached from other hosts; set \
             http.token_file with http.tls.certificate and http.tls.key, or http.tls.client_ca, or \
             http.allow_everyone = true if everyone may see everything",
        ),
        (
            "[http]\nlistening_address = \"192.0.2.1:80\"\ntoken_file = \"/t\"\n",
            "line 3: http.token_file: 192.0.2.1:80 can be reached from other hosts, and without \
             TLS the token can be read on its way there; set http.tls.certificate and \
             http.tls.key, or listen on loopback addresses only",
        ),
        (
            "[http]\nlistening_address = []\nsocket = \"\"\n",
            "line 2: http.listening_address: there is no address; name one, such as \
             \"127.0.0.1:8787\", or set http.socket",
        ),
        (
            "[http]\nsocket = \"sock\"\n",
            "line 2: http.socket: \"sock\" is no absolute path; begin it with /",
        ),
        (
            "[http.tls]\nkey = \"/k\"\n",
            "line 2: http.tls.key: a key needs its certificate; set http.tls.certificate",
        ),
        ("proc = \"mutex\"\n", "line 1: proc: \"mutex\" is no absolute path; begin it with /"),
        (
            "[monitor]\ndisks = [\"/\", \"srv\"]\n",
            "line 2: monitor.disks: \"srv\" is no absolute path; begin it with /",
        ),
        ("[http\n", "line 1: "),
    ] {
        let problem = Config::parse(text).expect_err(text).to_string();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn listening_elsewhere_takes_a_token_or_certificates() {
    let parse = |more: &str| {
        Config::parse(&format!("[http]\nlistening_address = [\"0.0.0.0:1\", \"[::1]:2\"]\n{more}"))
    };
    let tls = "[http.tls]\ncertificate = \"/c\"\nkey = \"/k\"";
    assert!(parse("").is_err());
    // Who is on the way to it could read it.
    assert!(parse("token_file = \"/t\"").is_err());
    assert!(parse("token_file = \"/t\"\nallow_everyone = true").is_err());
    assert!(parse(&format!("token_file = \"/t\"\n{tls}")).is_ok());
    assert!(parse("allow_everyone = true").is_ok());
    assert!(parse(tls).is_err());
    assert!(parse(&format!("{tls}\nclient_ca = \"/a\"")).is_ok());
    let loopback = "[http]\nlistening_address = [\"127.8.9.1:1\", \"[::1]:2\"]\n";
    assert!(Config::parse(&format!("{loopback}token_file = \"/t\"")).is_ok());
    assert!(Config::parse("[http]\nlistening_address = []\n").is_ok());
}

#[test]
fn metrics_that_name_somebody_are_private() {
    let is_private =
        |text: &str| Config::parse(text).unwrap_or_else(|it| panic!("{it}")).has_private_metrics();
    for open in ["", "[monitor]\nenabled = false\npeers = 5\n", "[history]\nenabled = true\n"] {
        assert!(!is_private(open), "{open}");
    }
    for private in [
        "[prometheus]\ntop_connections = 1\n",
        "[prometheus]\ntop_fds = 1\n",
        "[monitor]\npeers = 1\n",
        "[peers]\n",
    ] {
        assert!(is_private(private), "{private}");
    }
}

#[test]
fn no_file_is_the_defaults_unless_it_was_named() {
    let problem = Config::find(Some(Path::new("/nonexistent"))).expect_err("it is not there");
    assert_eq!(
        problem.to_string(),
        "/nonexistent: does not exist; name another file with --config"
    );
}
