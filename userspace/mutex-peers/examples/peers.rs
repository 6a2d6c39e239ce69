// SPDX-License-Identifier: MIT OR Apache-2.0

//! Watches peers, and answers to lines on standard input: what is behind a daemon, without one.
//!
//! The argument is a file of settings (TOML). `metrics`, `peers`, `nodes`, `health`, `flush` and `announce {JSON}`
//! each give one line `answer JSON`; whatever happens meanwhile gives a line `event JSON`. The first two take keys, and
//! then leave out other peers. The end of standard input ends it.

use std::error::Error;
use std::io::BufRead;
use std::thread;

use mutex_peers::Event;
use mutex_peers::Peers;
use mutex_peers::Settings;
use mutex_stats::formats::Exposition;
use mutex_stats::formats::Families;
use serde_json::Value;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let path = std::env::args().nth(1).ok_or("which file of settings?")?;
    let settings: Settings = toml::from_str(&std::fs::read_to_string(path)?)?;
    let peers = Peers::start(settings)?;
    let mut events = peers.subscribe();
    let (tell, mut lines) = mpsc::channel(16);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if tell.blocking_send(line).is_err() {
                break;
            }
        }
    });
    loop {
        tokio::select! {
            event = events.recv() => tell_event(event)?,
            line = lines.recv() => match line {
                Some(line) => {
                    let answer = answer(&peers, &line).await;
                    // What happened before the answer is told before it.
                    while let Ok(event) = events.try_recv() {
                        tell_event(Ok(event))?;
                    }
                    println!("answer {answer}");
                }
                None => break,
            },
        }
    }
    Ok(peers.shutdown().await?)
}

fn tell_event(event: Result<Event, RecvError>) -> Result<(), Box<dyn Error>> {
    match event {
        Ok(event) => println!("event {}", serde_json::to_string(&event)?),
        Err(missed) => eprintln!("{missed}"),
    }
    Ok(())
}

async fn answer(peers: &Peers, line: &str) -> Value {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "metrics" => tokio::task::block_in_place(|| metrics(peers, rest)),
        "peers" => peers
            .peers()
            .into_iter()
            .filter(|peer| rest.is_empty() || rest.contains(&peer.id.public_key.to_string()))
            .map(|peer| json!(peer))
            .collect(),
        "nodes" => peers
            .other_nodes()
            .into_iter()
            .map(|(name, node)| {
                let peers = node.peers.into_iter();
                let peers: Value = peers.map(|(id, up)| (id.to_string(), json!(up))).collect();
                (name, peers)
            })
            .collect(),
        "health" => json!(peers.health().troubles()),
        "flush" => json!(peers.flush().await.err()),
        "announce" => match serde_json::from_str(rest) {
            Ok(announcement) => {
                json!(peers.announce(announcement).err().map(|refused| refused.to_string()))
            }
            Err(error) => json!(error.to_string()),
        },
        _ => json!("what?"),
    }
}

/// All metrics, of peers only those whose keys are named, if any is.
fn metrics(peers: &Peers, keys: &str) -> Value {
    let mut families = Families::new(Vec::new(), Exposition::Prometheus);
    let written = peers.write_metrics(&mut families).and_then(|()| families.finish());
    let text = written.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    let is_wanted = |line: &&str| {
        let key = line.split("peer=\"").nth(1).and_then(|rest| rest.split('"').next());
        keys.is_empty() || key.is_none_or(|key| keys.contains(key))
    };
    json!(text.lines().filter(is_wanted).fold(String::new(), |text, line| text + line + "\n"))
}
