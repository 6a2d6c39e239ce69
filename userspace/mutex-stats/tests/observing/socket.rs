// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs hand events over a socket, and nothing that they send does any harm.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mutex_stats::diagnostics::Client;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Error;
use mutex_stats::diagnostics::Listener;
use mutex_stats::diagnostics::ListenerSettings;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Severity;
use mutex_stats::diagnostics::Source;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

struct Daemon {
    _folder: TempDir,
    path: PathBuf,
    recorder: Arc<Recorder>,
    listener: Option<Listener>,
}

fn daemon(settings: &ListenerSettings) -> Daemon {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("socket");
    let recorder = Arc::new(Recorder::new(100_000));
    let listener = Listener::start(&path, settings, recorder.clone()).expect("it can listen");
    Daemon { _folder: folder, path, recorder, listener: Some(listener) }
}

/// A slow machine gets all the time it needs.
const PATIENCE: Duration = Duration::from_secs(300);

impl Daemon {
    fn client(&self) -> Client {
        Client::with_timeout(&self.path, PATIENCE).expect("the daemon listens")
    }

    /// A connection without a client's manners.
    fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(&self.path).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        BufReader::new(stream)
    }

    fn listener(&self) -> &Listener {
        self.listener.as_ref().expect("it listens")
    }
}

fn answer(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).expect("there is an answer");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn info(message: &str) -> Entry {
    Entry::custom("test", Severity::Info, message)
}

#[test]
fn a_program_records_and_root_or_the_same_user_asks() {
    let daemon = daemon(&ListenerSettings::default());
    let mut client = daemon.client();
    let entry = Entry::error("alice", "timed out", "handshake").with("attempt", 3);
    assert_eq!(client.record(entry.clone()).expect("it is recorded"), 1);
    assert_eq!(client.record(info("x")).expect("it is recorded"), 2);
    let kept = daemon.recorder.events(&Query::last(2)).expect("it is open");
    assert_eq!(kept[0].entry, entry);
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(kept[0].source, Source::Program { pid: std::process::id(), uid });

    assert_eq!(client.health().expect("it is open")["total_events"], 2);
    assert_eq!(client.statistics().expect("it is open")["total"]["events"], 2);
    let errors = Query { severity: Severity::Error, ..Query::last(9) };
    assert_eq!(client.events(&errors).expect("it is open"), [kept[0].to_json()]);

    let statistics = daemon.listener().statistics();
    assert_eq!((statistics.recorded, statistics.answered), (2, 3));
    assert_eq!((statistics.clients, statistics.total_clients), (1, 1));
    let mode = std::fs::metadata(&daemon.path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut families = Families::new(Vec::new(), Exposition::Prometheus);
    daemon.listener().write_metrics(&mut families).expect("a vector takes everything");
    let text = String::from_utf8(families.finish().expect("a vector")).expect("it is text");
    assert!(text.contains("mutex_diagnostics_socket_requests_total{outcome=\"recorded\"} 2\n"));
}

#[test]
fn what_may_not_be_is_refused_at_either_end() {
    let daemon = daemon(&ListenerSettings::default());
    let mut client = daemon.client();
    let error = client.record(info(&"x".repeat(5000))).expect_err("it is too long");
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    let mut raw = daemon.raw();
    let line = format!("{{\"record\":{{\"kind\":\"a\",\"message\":\"{}\"}}}}\n", "x".repeat(5000));
    raw.get_mut().write_all(line.as_bytes()).expect("it is taken");
    assert_eq!(answer(&mut raw)["error"], "the event's message has 5000 bytes, more than 4096");
    daemon.recorder.close().expect("it is open");
    let error = client.record(info("x")).expect_err("the recorder is closed");
    assert_eq!(error.to_string(), "the daemon has refused it: the recorder is closed");
    assert_eq!(daemon.listener().statistics().refused, 2);
}

#[test]
fn whatever_is_malformed_is_answered_and_counted() {
    let daemon = daemon(&ListenerSettings::default());
    let mut raw = daemon.raw();
    let long = vec![b'x'; 1 << 20];
    let wrong: [&[u8]; 7] =
        [b"", b"nonsense", b"\0\xff\xfe", b"{}", b"[1,2]", &long, br#"{"record":{"kind":"a"}"#];
    for line in wrong {
        let mut writer = raw.get_ref().try_clone().expect("there are fds");
        let bytes = [line, b"\n"].concat();
        let writing = thread::spawn(move || writer.write_all(&bytes).expect("it is taken"));
        assert_eq!(answer(&mut raw)["ok"], false);
        writing.join().expect("the writer does not panic");
    }
    raw.get_mut().write_all(b"{\"record\":{\"kind\":\"a\"}}\r\n").expect("it is taken");
    assert_eq!(answer(&mut raw)["number"], 1, "it goes on as before");
    assert_eq!(daemon.listener().statistics().malformed, 7);
    assert_eq!(daemon.recorder.statistics().expect("it is open").refused, 7);
}

#[test]
fn lines_may_come_in_pieces_and_in_heaps_and_the_last_one_without_an_end() {
    let daemon = daemon(&ListenerSettings::default());
    let mut raw = daemon.raw();
    for byte in b"{\"record\":{\"kind\":\"a\"}}\n" {
        raw.get_mut().write_all(&[*byte]).expect("it is taken");
    }
    assert_eq!(answer(&mut raw)["number"], 1);
    let heap = "{\"record\":{\"kind\":\"a\"}}\n".repeat(50) + "{\"record\":{\"kind\":\"b\"}}";
    raw.get_mut().write_all(heap.as_bytes()).expect("it is taken");
    raw.get_mut().shutdown(Shutdown::Write).expect("it is open");
    for number in 2..=52 {
        assert_eq!(answer(&mut raw)["number"], number);
    }
    assert_eq!(raw.read(&mut [0]).expect("it is closed in order"), 0);

    // Cut off in its midst, it is not recorded.
    let mut raw = daemon.raw();
    raw.get_mut().write_all(b"{\"record\":{\"kind\":\"a\"}").expect("it is taken");
    raw.get_mut().shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(answer(&mut raw)["ok"], false);
    assert_eq!(daemon.recorder.statistics().expect("it is open").total.events(), 52);
}

#[test]
fn who_does_not_read_is_not_listened_to_and_holds_nobody_up() {
    let daemon = daemon(&ListenerSettings::default());
    let deaf = daemon.raw();
    let mut stream = deaf.get_ref();
    stream.set_nonblocking(true).expect("it can be set");
    let line = b"{\"record\":{\"kind\":\"flood\"}}\n";
    let (mut sent, mut stalled) = (0u64, 0);
    // Until it takes nothing more for as long as another program is served a few times.
    let mut client = daemon.client();
    let mut rest: &[u8] = line;
    while stalled < 20 {
        match stream.write(rest) {
            Ok(count) => {
                rest = &rest[count..];
                stalled = 0;
                if rest.is_empty() {
                    sent += 1;
                    rest = line;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                client.record(info("meanwhile")).expect("others are served");
                stalled += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let flood = || daemon.recorder.statistics().expect("it is open").total.of_kind("flood");
    assert!(flood() < sent, "{sent} lines are too few to be held up");
    // It listens now: each line is answered, and none was lost.
    stream.set_nonblocking(false).expect("it can be set");
    let mut writer = stream.try_clone().expect("there are fds");
    let ending = thread::spawn(move || {
        writer.write_all(rest).expect("it is taken");
        writer.shutdown(Shutdown::Write).expect("it is open");
    });
    let answers = deaf.lines().map_while(Result::ok).count() as u64;
    ending.join().expect("the writer does not panic");
    let all = sent + 1;
    assert_eq!((answers, flood()), (all, all));
}

#[test]
fn who_goes_away_at_any_time_leaves_nothing_behind() {
    let daemon = daemon(&ListenerSettings::default());
    for cut in [0, 1, 10, 1000] {
        let mut raw = daemon.raw();
        let heap = "{\"get\":\"statistics\"}\n".repeat(1000);
        raw.get_mut().write_all(&heap.as_bytes()[..cut]).expect("it is taken");
    }
    let mut client = daemon.client();
    loop {
        client.record(info("x")).expect("it goes on");
        if daemon.listener().statistics().clients == 1 {
            break;
        }
    }
}

#[test]
fn there_are_so_many_programs_and_the_next_is_turned_away() {
    let settings = ListenerSettings { max_clients: 2, ..ListenerSettings::default() };
    let daemon = daemon(&settings);
    let mut clients = [daemon.client(), daemon.client()];
    for client in &mut clients {
        client.record(info("x")).expect("it is recorded");
    }
    let mut third = daemon.raw();
    assert_eq!(answer(&mut third)["error"], "too many programs are connected");
    assert_eq!(third.read(&mut [0]).expect("it is closed in order"), 0);
    assert_eq!(daemon.listener().statistics().turned_away, 1);
    let [first, _second] = clients;
    drop(first);
    // There is room as soon as the daemon has seen it go.
    while daemon.client().record(info("x")).is_err() {}
}

#[test]
fn a_client_finds_the_next_daemon() {
    let mut daemon = daemon(&ListenerSettings::default());
    let mut client = daemon.client();
    assert_eq!(client.record(info("x")).expect("it is recorded"), 1);
    let error =
        Listener::start(&daemon.path, &ListenerSettings::default(), daemon.recorder.clone())
            .expect_err("somebody listens there");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    daemon.listener = None;
    assert!(!daemon.path.exists(), "the socket goes with who listens");
    client.record(info("x")).expect_err("nobody listens");

    let next = Listener::start(&daemon.path, &ListenerSettings::default(), daemon.recorder.clone());
    let next = next.expect("it can listen");
    assert_eq!(client.record(info("x")).expect("it is recorded"), 2);
    // Somebody has put another file there: it stays.
    std::fs::remove_file(&daemon.path).expect("it is there");
    std::fs::write(&daemon.path, "mine").expect("it can be written");
    drop(next);
    assert!(daemon.path.exists());
    let error =
        Listener::start(&daemon.path, &ListenerSettings::default(), daemon.recorder.clone())
            .expect_err("it is no socket");
    assert!(error.to_string().ends_with("is no socket"), "{error}");
    // A socket that was left behind by who was killed.
    std::fs::remove_file(&daemon.path).expect("it is there");
    drop(UnixListener::bind(&daemon.path).expect("it can be made"));
    let third =
        Listener::start(&daemon.path, &ListenerSettings::default(), daemon.recorder.clone());
    drop(third.expect("it is replaced"));
}

#[test]
fn a_line_without_end_takes_no_memory_without_end() {
    let daemon = daemon(&ListenerSettings::default());
    let mut raw = daemon.raw();
    raw.get_mut().write_all(&vec![b' '; (64 << 10) + 1]).expect("it is taken");
    // It is answered before it has ended, and only once.
    assert_eq!(answer(&mut raw)["error"], "a request has at most 65536 bytes");
    raw.get_mut().write_all(&vec![b' '; 1 << 20]).expect("it is taken");
    raw.get_mut().write_all(b"\n{\"record\":{\"kind\":\"a\"}}\n").expect("it is taken");
    assert_eq!(answer(&mut raw)["number"], 1);
    // One that is as long as it may be is not too long.
    let request = b"{\"record\":{\"kind\":\"a\"}}";
    let line = [request.as_slice(), &vec![b' '; (64 << 10) - request.len()], b"\n"].concat();
    raw.get_mut().write_all(&line).expect("it is taken");
    assert_eq!(answer(&mut raw)["number"], 2);
    assert_eq!(daemon.listener().statistics().malformed, 1);
}

#[test]
fn an_answer_has_a_bound_and_says_what_it_leaves_out() {
    let daemon = daemon(&ListenerSettings::default());
    for number in 0..200 {
        let message = number.to_string() + &"x".repeat(4000);
        daemon.recorder.record(info(&message)).expect("it is open");
    }
    let events = daemon.client().events(&Query::last(200)).expect("it is open");
    assert!((60..66).contains(&events.len()), "{} events of 4 kB in 256 KiB", events.len());
    assert_eq!(events.last().expect("there are some")["number"], 200, "the newest are there");
    let mut raw = daemon.raw();
    raw.get_mut().write_all(b"{\"get\":\"events\",\"last\":200}\n").expect("it is taken");
    assert_eq!(answer(&mut raw)["left_out"], 200 - events.len());
}

/// Where the test below runs itself as somebody else.
const SOCKET: &str = "MUTEX_TEST_SOCKET";

#[test]
fn who_is_somebody_else_may_record_but_not_ask() {
    if let Some(path) = std::env::var_os(SOCKET) {
        let mut client = Client::with_timeout(path, PATIENCE).expect("the daemon listens");
        assert_eq!(client.record(info("mine")).expect("it is recorded"), 1);
        let why = "the daemon has refused it: only the daemon's own user and root may ask";
        assert_eq!(client.health().expect_err("it is not for all").to_string(), why);
        assert_eq!(client.events(&Query::last(1)).expect_err("nor are events").to_string(), why);
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("only root can be somebody else");
        return;
    }
    let daemon = daemon(&ListenerSettings { mode: 0o666, ..ListenerSettings::default() });
    let folder = daemon.path.parent().expect("it is in one");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, everybody).expect("it is ours");
    // Where this program is, somebody else may not be able to look.
    let program = folder.join("program");
    std::fs::copy(std::env::current_exe().expect("it runs"), &program).expect("there is room");
    let name = "socket::who_is_somebody_else_may_record_but_not_ask";
    let child = std::process::Command::new(&program)
        .args(["--exact", name, "--nocapture"])
        .current_dir("/")
        .env(SOCKET, &daemon.path)
        .uid(65534)
        .gid(65534)
        .output();
    let child = match child {
        // Root of a user namespace that has nobody else.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            println!("there is nobody else: {error}");
            return;
        }
        child => child.expect("it can be run"),
    };
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{child:?}");
    let kept = daemon.recorder.events(&Query::last(1)).expect("it is open");
    assert!(matches!(kept[0].source, Source::Program { uid: 65534, .. }), "{:?}", kept[0].source);
    assert_eq!(daemon.listener().statistics().refused, 2);
}

#[test]
fn a_client_takes_no_answer_for_that_to_another_question() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("socket");
    let socket = UnixListener::bind(&path).expect("it can be made");
    let daemon = thread::spawn(move || {
        let accept = || BufReader::new(socket.accept().expect("somebody comes").0);
        let mut line = String::new();
        // The first one says nothing until the client has given up on it.
        let mut silent = accept();
        silent.read_line(&mut line).expect("it asks");
        for answer in [
            "{\"ok\":true,\"number\":7}\n",
            "nonsense\n",
            "{\"ok\":true}\n",
            "[]\n",
            "{\"ok\":true,\"number\":8",
        ] {
            let mut stream = accept();
            stream.read_line(&mut line).expect("it asks");
            let _ = silent.get_mut().write_all(b"{\"ok\":true,\"number\":6}\n");
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    let mut client = Client::with_timeout(&path, Duration::from_millis(50)).expect("it is there");
    assert!(matches!(client.record(info("x")), Err(Error::Io(_))), "nobody answers");
    // On a slow machine the right answer can be too late, too, but the wrong one is never taken.
    match client.record(info("x")) {
        Ok(number) => assert_eq!(number, 7),
        Err(error) => assert!(matches!(error, Error::Io(_)), "{error}"),
    }
    drop(client);
    for why in ["expected ident", "there is no number", "neither yes nor no"] {
        let mut client = Client::with_timeout(&path, PATIENCE).expect("it is there");
        let error = client.record(info("x")).expect_err("it is no answer").to_string();
        assert!(error.contains(why), "{error}");
    }
    let mut client = Client::with_timeout(&path, PATIENCE).expect("it is there");
    let error = client.record(info("x")).expect_err("it is cut off").to_string();
    assert!(error.contains("went away"), "{error}");
    daemon.join().expect("it does not panic");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, in whatever pieces, each line is answered once.
    #[test]
    fn each_line_is_answered_whatever_it_is(
        pieces in prop::collection::vec(prop::collection::vec(
            prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => prop::sample::select(b"{}[]\":1e".to_vec())],
            0..200,
        ), 0..8),
    ) {
        let daemon = daemon(&ListenerSettings::default());
        let mut raw = daemon.raw();
        for piece in &pieces {
            raw.get_mut().write_all(piece).expect("it is taken");
        }
        raw.get_mut().shutdown(Shutdown::Write).expect("it is open");
        let all = pieces.concat();
        let ends = all.split(|byte| *byte == b'\n').count() - 1;
        let rest = usize::from(all.last().is_some_and(|byte| *byte != b'\n'));
        let answers = raw.lines().map_while(Result::ok).count();
        prop_assert_eq!(answers, ends + rest);
        let statistics = daemon.listener().statistics();
        let counted = statistics.malformed + statistics.refused + statistics.recorded + statistics.answered;
        prop_assert_eq!(counted, answers as u64);
        prop_assert_eq!(daemon.client().record(info("x")).is_ok(), true);
    }
}

#[test]
fn many_programs_at_once_lose_nothing() {
    let daemon = daemon(&ListenerSettings::default());
    let programs: Vec<_> = (0..16)
        .map(|_| {
            let mut client = daemon.client();
            let record = move |_| client.record(info("x")).expect("it is recorded");
            thread::spawn(move || (0..200).map(record).collect::<Vec<_>>())
        })
        .collect();
    let mut numbers: Vec<u64> =
        programs.into_iter().flat_map(|program| program.join().expect("none panics")).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=16 * 200), "each number is given once");
    assert_eq!(daemon.recorder.statistics().expect("it is open").total.events(), 16 * 200);
}
