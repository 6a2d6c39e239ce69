// SPDX-License-Identifier: MIT OR Apache-2.0

//! The link to the live page.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::thread;
use std::thread::JoinHandle;

use crate::host::Host;

const URL: &str = "http://127.0.0.1:8787/login?code=0123456789abcdef";

/// A daemon that answers once, and gives the first line of the question.
fn daemon(host: &Host, answer: &str) -> JoinHandle<String> {
    let listener = UnixListener::bind(host.path("http.sock")).expect("there is room");
    let answer = answer.to_owned();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut lines = BufReader::new(stream.try_clone().expect("it is open")).lines();
        let first = lines.next().expect("there is a line").expect("it is text");
        lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
        stream.write_all(answer.as_bytes()).expect("somebody reads");
        first
    })
}

fn json(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn the_link_is_printed_and_a_browser_opens_it_unseen_by_others() {
    let host = Host::new();
    let body = format!("{{\"schema_version\":1,\"url\":\"{URL}\"}}");
    let answers = daemon(&host, &json("200 OK", &body));
    let browser = host.path("browser");
    let script =
        "#!/bin/sh\nprintf %s \"$*\" >words\nstat -c %a \"$1\" >mode\nexec cp \"$1\" led\n";
    host.write("browser", script);
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
    let mut command = host.command(&["page", "--socket", "http.sock"]);
    command.env("BROWSER", &browser).env("XDG_RUNTIME_DIR", host.path("."));
    let ran = command.output().expect("the tool starts");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("{URL}\n"));
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()), (Some(0), ""));
    assert_eq!(answers.join().expect("it has answered"), "POST /api/v1/login HTTP/1.0");
    let read = |name: &str| String::from_utf8(host.read(name)).expect("it is text");
    assert!(read("led").contains(&format!("content=\"0;url={URL}\"")), "{}", read("led"));
    // Every user of the host sees what a program is called with.
    assert!(!read("words").contains("code"), "{}", read("words"));
    assert_eq!(read("mode"), "600\n");
    assert!(!std::path::Path::new(&read("words")).exists(), "the file is left");
}

#[test]
fn who_may_not_ask_is_told_so() {
    let host = Host::new();
    let page = ["page", "--socket", "http.sock", "--no-browser"];
    let sentence = "cannot ask mutexd at http.sock: No such file or directory; is it running, with \
                    http.socket = \"http.sock\"?";
    host.fails(&page, sentence);
    let refused = json("403 Forbidden", "{\"error\":\"it is not for you\"}");
    let answers = daemon(&host, &refused);
    host.fails(&page, "mutexd has refused to answer: it is not for you");
    answers.join().expect("it has answered");
    std::fs::remove_file(host.path("http.sock")).expect("it is there");
    let answers = daemon(&host, &json("200 OK", "{\"url\":\"file:///etc/passwd\"}"));
    host.fails(&page, "mutexd's answer has no link");
    answers.join().expect("it has answered");
}
