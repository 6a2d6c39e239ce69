// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said of peers over HTTP, and what is told of them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use serde_json::json;

use crate::host::Answer;
use crate::host::Daemon;
use crate::host::Host;

const TOKEN: &str = "0123456789abcdef";
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const JSON: &str = "application/json";

fn announce(daemon: &Daemon, media_type: &str, body: &str) -> Answer {
    daemon.say(&format!(
        "POST /api/v1/peers/announcements HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A daemon that watches peers and asks for a token, without pings.
fn start(host: &Host) -> Daemon {
    host.write("token", TOKEN);
    let token = host.path("token");
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).expect("it is ours");
    let token = token.display();
    host.configure(&format!("token_file = \"{token}\"\n[peers]\nuse_ping_checks = false\n"));
    host.start()
}

fn ask(daemon: &Daemon, path: &str) -> Value {
    let token = format!("Bearer {TOKEN}");
    let answer = daemon.ask(&format!("/api/v1/peers{path}"), &[("authorization", &token)]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

#[test]
fn what_is_announced_shows_and_is_kept() {
    let host = Host::new();
    let daemon = start(&host);
    let created =
        json!({ "kind": "created", "public_key": KEY, "interface": "wg7", "name": "office" });
    let answer = announce(&daemon, "application/json; charset=utf-8", &created.to_string());
    assert_eq!((answer.status, &answer.json()["kept"]), (200, &json!(true)), "{answer:?}");
    let names = |path: &str| -> Vec<String> {
        let list = ask(&daemon, path);
        let peers = list["peers"].as_array().expect("it is a list").iter();
        peers.map(|peer| peer["name"].as_str().expect("it is text").to_owned()).collect()
    };
    let key = KEY.replace('=', "%3D");
    assert_eq!(names(""), ["office"]);
    assert_eq!(names(&format!("?public_key={key}&interface=wg7")), ["office"]);
    assert_eq!(names("?interface=wg8"), [""; 0]);
    let events = ask(&daemon, "/events");
    let last = &events["events"][0];
    assert_eq!((&last["kind"], &last["number"]), (&json!("peer_created"), &json!(1)), "{events}");
    assert_eq!(ask(&daemon, "/events?after=1")["events"], json!([]));
    assert_eq!(ask(&daemon, "/nodes")["nodes"], json!([]));
}

#[test]
fn what_is_no_announcement_is_refused() {
    let host = Host::new();
    let daemon = start(&host);
    let updated = json!({ "kind": "updated", "public_key": KEY, "name": "x" }).to_string();
    let long = json!({ "kind": "updated", "public_key": KEY, "name": "x".repeat(20_000) });
    let misspelt = json!({ "kind": "updated", "public_key": KEY, "nmae": "x" });
    let control = json!({ "kind": "updated", "public_key": KEY, "name": "x\u{7}" });
    for (media_type, body, status) in [
        ("text/plain", updated.as_str(), 415),
        ("application/jsonp", &updated, 415),
        (JSON, "", 400),
        (JSON, "{\"kind\": \"updated\", \"public_key\": \"short\"}", 400),
        (JSON, "{\"kind\": \"whatever\"}", 400),
        (JSON, &misspelt.to_string(), 400),
        (JSON, &control.to_string(), 400),
        (JSON, &long.to_string(), 413),
    ] {
        let answer = announce(&daemon, media_type, body);
        assert_eq!(answer.status, status, "{media_type} {body:.60}: {}", answer.body);
    }
    assert_eq!(ask(&daemon, "/events")["newest"], 0);
    let answer = daemon
        .ask("/api/v1/peers?public_key=short", &[("authorization", &format!("Bearer {TOKEN}"))]);
    assert_eq!(answer.status, 400, "{}", answer.body);

    // Who asks is not known.
    let host = Host::new();
    host.configure("allow_everyone = true\n[peers]\nuse_ping_checks = false\n");
    let answer = announce(&host.start(), JSON, &updated);
    assert_eq!(answer.status, 403, "{}", answer.body);
}

#[test]
fn an_announcement_changes_what_it_names_and_nothing_else() {
    let host = Host::new();
    let daemon = start(&host);
    let say = |mut what: Value| {
        what["public_key"] = json!(KEY);
        announce(&daemon, JSON, &what.to_string())
    };
    let last = || {
        let events = ask(&daemon, "/events");
        let last = events["events"].as_array().and_then(|all| all.last()).expect("there is one");
        (last["name"].clone(), last["check_alive_address"].clone())
    };
    let both = json!({ "kind": "updated", "name": "office", "check_alive_address": "192.0.2.1" });
    assert_eq!(say(both).status, 200);
    assert_eq!(last(), (json!("office"), json!("192.0.2.1")));
    let misspelt = json!({ "kind": "updated", "name": "home", "check_alive_adress": "192.0.2.2" });
    let answer = say(misspelt);
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("check_alive_adress"), "{}", answer.body);
    assert_eq!(last(), (json!("office"), json!("192.0.2.1")));
    assert_eq!(say(json!({ "kind": "updated", "name": "home" })).status, 200);
    assert_eq!(last(), (json!("home"), json!("192.0.2.1")));
    assert_eq!(say(json!({ "kind": "created", "interface": "wg7" })).status, 200);
    assert_eq!(last(), (json!("home"), json!("192.0.2.1")));
    assert_eq!(say(json!({ "kind": "updated", "check_alive_address": null })).status, 200);
    assert_eq!(last(), (json!("home"), Value::Null));
}

#[test]
fn a_list_of_peers_is_bounded_and_says_what_it_leaves_out() {
    let host = Host::new();
    let daemon = start(&host);
    for number in 0..5 {
        let key = KEY.replacen('A', ["A", "B", "C", "D", "E"][number], 1);
        let created = json!({ "kind": "created", "public_key": key, "interface": "wg7" });
        assert_eq!(announce(&daemon, JSON, &created.to_string()).status, 200);
    }
    let list = |question: &str| {
        let list = ask(&daemon, question);
        let keys = list["peers"].as_array().expect("it is a list").iter();
        let keys: Vec<_> =
            keys.map(|peer| peer["public_key"].to_string()[1..2].to_owned()).collect();
        (keys.concat(), list["total"].clone(), list["truncated"].clone())
    };
    let is = |keys: &str, truncated| (keys.to_owned(), json!(5), json!(truncated));
    assert_eq!(list(""), is("ABCDE", false));
    assert_eq!(list("?limit=2"), is("AB", true));
    assert_eq!(list("?limit=2&offset=2"), is("CD", true));
    assert_eq!(list("?limit=2&offset=4"), is("E", false));
    assert_eq!(list("?offset=9"), is("", false));
    assert_eq!(list("?limit=5&interface=wg7"), is("ABCDE", false));
    for wrong in ["limit=0", "limit=1001", "limit=-1", "offset=x"] {
        let token = format!("Bearer {TOKEN}");
        let answer = daemon.ask(&format!("/api/v1/peers?{wrong}"), &[("authorization", &token)]);
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.body);
    }
}
