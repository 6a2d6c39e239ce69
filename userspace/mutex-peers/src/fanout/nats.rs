// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way over NATS.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::ConnectOptions;
use async_nats::Event as State;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::timeout;
use tracing::debug;
use tracing::info;
use tracing::warn;

use super::Message;
use crate::Fanout;
use crate::collector::Collector;

/// Events that are under way at the same time, at the most.
const UNDER_WAY: u64 = 500;
/// How long something may take that the client does in memory.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a lost connection it is tried again, at the most.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether anything is stuck.
const LOOK: Duration = Duration::from_secs(1);
/// After how many looks without progress what is under way goes again.
const STUCK: u32 = 5;

/// Runs until it is to stop; connects again as long as it takes.
pub(crate) async fn run(
    collector: Arc<Collector>,
    settings: Fanout,
    mut stop: watch::Receiver<bool>,
) {
    let mut wait = RETRY / 8;
    while !*stop.borrow() {
        match Connection::new(&collector, &settings).await {
            Ok(mut connection) => connection.run(&mut stop).await,
            Err(error) => {
                if wait <= RETRY {
                    warn!(%error, "no way to the message server: trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.changed() => {}
                }
                wait = (wait * 2).min(Duration::from_secs(30));
            }
        }
    }
}

struct Connection {
    collector: Arc<Collector>,
    client: Client,
    states: mpsc::Receiver<State>,
    messages: futures_util::stream::Select<async_nats::Subscriber, async_nats::Subscriber>,
    all: String,
    one: String,
    connected: bool,
}

impl Connection {
    async fn new(collector: &Arc<Collector>, settings: &Fanout) -> io::Result<Self> {
        let (tell, states) = mpsc::channel(64);
        let mut options = ConnectOptions::new()
            .name("mutex-peers")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                let factor = u32::try_from(attempt).unwrap_or(u32::MAX);
                (RETRY / 20).saturating_mul(factor).min(RETRY)
            })
            .event_callback(move |state| {
                let tell = tell.clone();
                async move {
                    let _ = tell.send(state).await;
                }
            });
        if let Some(file) = &settings.credentials {
            options = options.credentials_file(file).await?;
        }
        let client =
            options.connect(settings.servers.as_slice()).await.map_err(io::Error::other)?;
        let all = format!("{}.all", settings.subject);
        let one = format!("{}.one.", settings.subject);
        let subscribe =
            async |subject: String| client.subscribe(subject).await.map_err(io::Error::other);
        let to_all = subscribe(all.clone()).await?;
        let to_me = subscribe(one.clone() + &token(collector.node())).await?;
        Ok(Connection {
            collector: Arc::clone(collector),
            messages: futures_util::stream::select(to_all, to_me),
            client,
            states,
            all,
            one,
            connected: false,
        })
    }

    async fn run(&mut self, stop: &mut watch::Receiver<bool>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut waited, mut waiting) = (0, 0);
        while !*stop.borrow() {
            tokio::select! {
                state = self.states.recv() => match state {
                    Some(state) => self.turned(&state).await,
                    None => return,
                },
                message = self.messages.next() => match message {
                    Some(message) => self.take(&message.payload).await,
                    None => return,
                },
                () = self.collector.has_news() => self.send_events().await,
                _ = looks.tick() => {
                    let now = self.collector.fanout_waiting();
                    waited = if self.connected && now > 0 && now >= waiting { waited + 1 } else { 0 };
                    waiting = now;
                    if waited >= STUCK {
                        waited = 0;
                        self.collector.send_again();
                    }
                    if let Some(hello) = self.collector.overdue_hello() {
                        self.send(self.all.clone(), &hello).await;
                    }
                    self.send_events().await;
                }
                _ = stop.changed() => {}
            }
        }
        self.send_events().await;
        let _ = timeout(PATIENCE, self.client.flush()).await;
    }

    async fn turned(&mut self, state: &State) {
        match state {
            State::Connected => {
                info!("the message server is there: telling other nodes about peers");
                self.connected = true;
                if let Some(hello) = self.collector.fanout_connected() {
                    self.send(self.all.clone(), &hello).await;
                }
                self.send_events().await;
            }
            State::Disconnected | State::Closed => {
                self.connected = false;
                if self.collector.fanout_disconnected() {
                    warn!("the message server is gone: events wait until it is back");
                }
            }
            State::ServerError(error) => warn!(%error, "the message server refuses something"),
            other => debug!(state = %other, "the connection to the message server"),
        }
    }

    async fn take(&mut self, payload: &[u8]) {
        let message = match serde_json::from_slice::<Message>(payload) {
            Ok(message) => message,
            Err(error) => {
                debug!(%error, "a message of another node is not understood");
                return;
            }
        };
        for (to, message) in self.collector.hear(message) {
            let subject = match to {
                Some(node) => self.one.clone() + &token(&node),
                None => self.all.clone(),
            };
            self.send(subject, &message).await;
        }
        self.send_events().await;
    }

    async fn send_events(&mut self) {
        // There is no next event while there is no connection.
        while let Some(message) = self.collector.next_event(UNDER_WAY) {
            self.send(self.all.clone(), &message).await;
        }
    }

    /// What cannot be sent is not confirmed, so it is sent again.
    async fn send(&self, subject: String, message: &Message) {
        if let Ok(payload) = serde_json::to_vec(message) {
            let _ = timeout(PATIENCE, self.client.publish(subject, payload.into())).await;
        }
    }
}

/// A name as a word of a subject.
fn token(name: &str) -> String {
    name.bytes().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}
