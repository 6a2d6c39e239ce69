// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way over NATS.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use async_nats::ConnectOptions;
use async_nats::Event as State;
use async_nats::client::PublishErrorKind;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::timeout;
use tracing::debug;
use tracing::info;
use tracing::warn;

use super::MOST_BYTES;
use super::Message;
use super::subject;
use super::subject::Subject;
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
                collector.fanout_trouble(error.to_string());
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
    prefix: String,
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
        if let (Some(user), Some(file)) = (&settings.user, &settings.password_file) {
            options = options.user_and_password(user.clone(), password(file)?);
        }
        let client =
            options.connect(settings.servers.as_slice()).await.map_err(io::Error::other)?;
        let prefix = settings.subject.clone();
        let [all, mine] = subject::subscriptions(&prefix, collector.node());
        let subscribe =
            async |subject: String| client.subscribe(subject).await.map_err(io::Error::other);
        let to_all = subscribe(all).await?;
        let to_me = subscribe(mine).await?;
        Ok(Connection {
            collector: Arc::clone(collector),
            messages: futures_util::stream::select(to_all, to_me),
            client,
            states,
            prefix,
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
                    Some(message) => self.take(&message.subject, &message.payload).await,
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
                        self.send(None, &hello).await;
                    }
                    self.collector.expire_nodes();
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
                let max_payload = self.client.server_info().max_payload;
                if let Some(hello) = self.collector.fanout_connected(max_payload) {
                    self.send(None, &hello).await;
                }
                self.send_events().await;
            }
            State::Disconnected | State::Closed => {
                self.connected = false;
                if self.collector.fanout_disconnected() {
                    warn!("the message server is gone: events wait until it is back");
                }
            }
            State::ServerError(error) => {
                warn!(%error, "the message server refuses something");
                self.collector.fanout_trouble(error.to_string());
            }
            State::ClientError(error) => {
                warn!(%error, "the connection to the message server fails");
                self.collector.fanout_trouble(error.to_string());
            }
            other => debug!(state = %other, "the connection to the message server"),
        }
    }

    async fn take(&mut self, subject: &str, payload: &[u8]) {
        let message = Some(payload)
            .filter(|payload| payload.len() <= MOST_BYTES)
            .and_then(|payload| serde_json::from_slice::<Message>(payload).ok());
        let (Some(on), Some(message)) = (Subject::parse(&self.prefix, subject), message) else {
            debug!(subject, "a message of another node is not understood");
            self.collector.fanout_malformed();
            return;
        };
        for (to, message) in self.collector.hear(&on, message) {
            self.send(to.as_deref(), &message).await;
        }
        self.send_events().await;
    }

    async fn send_events(&mut self) {
        // There is no next event while there is no connection.
        while let Some(message) = self.collector.next_event(UNDER_WAY) {
            self.send(None, &message).await;
        }
    }

    /// Says something to a node, or to all. An event that cannot be sent is not confirmed, so it is sent again.
    async fn send(&self, to: Option<&str>, message: &Message) {
        let node = self.collector.node();
        let subject = match to {
            Some(other) => subject::to_one(&self.prefix, node, other),
            None => subject::to_all(&self.prefix, node),
        };
        let Ok(payload) = serde_json::to_vec(message) else {
            return;
        };
        let bytes = payload.len();
        match timeout(PATIENCE, self.client.publish(subject, payload.into())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                warn!(bytes, to, "a message is larger than the message server takes (max_payload)");
                self.collector.fanout_unsent();
            }
            // There will be a connection again, which says so.
            Ok(Err(error)) => debug!(%error, "a message cannot be sent"),
            Err(_) => debug!("a message cannot be sent for long"),
        }
    }
}

/// The password of a file that nobody else may read.
fn password(file: &Path) -> io::Result<String> {
    let refused = |what: &str| Err(io::Error::other(format!("{}: {what}", file.display())));
    let metadata = fs::metadata(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    if metadata.mode() & 0o077 != 0 {
        return refused("others may read it; make it mode 0600");
    }
    let text = fs::read_to_string(file)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => refused("there is no password in it"),
        password => Ok(password.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_password_is_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        assert!(password(&file).is_err());
        let write = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            password(&file)
        };
        assert_eq!(write("secret \n", 0o600).unwrap(), "secret ");
        assert!(write("secret\n", 0o640).unwrap_err().to_string().contains("0600"));
        assert!(write("\n", 0o400).is_err());
    }
}
