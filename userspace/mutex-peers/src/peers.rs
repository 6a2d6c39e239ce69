// SPDX-License-Identifier: MIT OR Apache-2.0

//! The one entry for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use mutex_stats::formats::Families;
use tokio::sync::broadcast;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::task::spawn_blocking;

use crate::Announcement;
use crate::BadSetting;
use crate::Clock;
use crate::Devices;
use crate::Event;
use crate::Health;
use crate::Icmp;
use crate::Interface;
use crate::Netlink;
use crate::Peer;
use crate::PeerId;
use crate::Pinger;
use crate::RecentEvents;
use crate::Refused;
use crate::RemoteNode;
use crate::Settings;
use crate::SystemClock;
use crate::collector::Collector;
use crate::collector::start_store;
use crate::fanout;

/// Watches the peers of this host's WireGuard interfaces while it lives.
pub struct Peers {
    collector: Arc<Collector>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    database: Option<JoinHandle<()>>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be.
    #[error(transparent)]
    Settings(#[from] BadSetting),
    /// The system gives no thread.
    #[error("no thread for the database: {0}")]
    Thread(#[from] io::Error),
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("node", &self.collector.node()).finish_non_exhaustive()
    }
}

impl Peers {
    /// Starts in the background, and returns at once. Wants to be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`]. What fails later does not end it: see [`Peers::health`].
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_with(settings, SystemClock, Netlink, Icmp::default())
    }

    /// The same with other clocks, devices or pings.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start_with(
        settings: Settings,
        clock: impl Clock,
        devices: impl Devices,
        pinger: impl Pinger,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let collector = Arc::new(Collector::new(
            settings,
            Box::new(clock),
            Box::new(devices),
            Box::new(pinger),
        ));
        let (stop, stopped) = watch::channel(false);
        let database = start_store(&collector)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&collector).run(stopped.clone()));
        if collector.settings.use_ping_checks {
            for _ in 0..collector.settings.ping_check_workers {
                tasks.spawn(Arc::clone(&collector).work(stopped.clone()));
            }
        }
        if collector.settings.fanout.enabled {
            let settings = collector.settings.fanout.clone();
            tasks.spawn(fanout::run(Arc::clone(&collector), settings, stopped));
        }
        Ok(Peers { collector, stop, tasks, database })
    }

    /// The settings that it was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.collector.settings
    }

    /// Of the peers that are wanted those after the first `skip` ones, `most` at the most, as they were seen last; and how
    /// many are wanted.
    #[must_use]
    pub fn some_peers(
        &self,
        skip: usize,
        most: usize,
        is_wanted: impl Fn(&Peer) -> bool,
    ) -> (Vec<Peer>, usize) {
        let cache = self.collector.cache();
        let wanted = || cache.peers().filter(|peer| is_wanted(peer));
        (wanted().skip(skip).take(most).cloned().collect(), wanted().count())
    }

    /// All peers, as they were seen last.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.collector.cache().peers().cloned().collect()
    }

    /// One peer, as it was seen last.
    #[must_use]
    pub fn peer(&self, id: &PeerId) -> Option<Peer> {
        self.collector.cache().peer(id).cloned()
    }

    /// All interfaces, as they were seen last.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        self.collector.cache().interfaces().cloned().collect()
    }

    /// What is known of other nodes.
    #[must_use]
    pub fn other_nodes(&self) -> BTreeMap<String, RemoteNode> {
        let protocol = self.collector.protocol.as_ref();
        protocol.map_or_else(BTreeMap::new, |protocol| {
            protocol.lock().unwrap_or_else(PoisonError::into_inner).nodes().clone()
        })
    }

    /// Everything that happens from now on, here and at other nodes.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.collector.bus.subscribe()
    }

    /// What happened of late, here and at other nodes: the first events after the one with that number, so many at the
    /// most. As many are kept as [`Settings::event_capacity`] says.
    #[must_use]
    pub fn recent(&self, after: u64, most: usize) -> RecentEvents {
        self.collector.recent(after, most)
    }

    /// Says what somebody who configures peers does: it shows at once, and other nodes hear of it.
    ///
    /// # Errors
    ///
    /// [`Refused`]. Nothing has changed then.
    pub fn announce(&self, announcement: Announcement) -> Result<(), Refused> {
        self.collector.announce(announcement)
    }

    /// Asks the kernel now. It is asked at an interval anyway, and by [`Peers::write_metrics`].
    pub fn collect(&self) {
        self.collector.collect();
    }

    /// Makes what the metrics need for all peers; doing so again changes nothing.
    pub fn ensure_metrics(&self) {
        self.collector.cache().ensure_labels();
    }

    /// How everything fares.
    #[must_use]
    pub fn health(&self) -> Health {
        self.collector.health()
    }

    /// Writes all metrics. The kernel is asked before: a peer that it does not have any more has no metrics any more.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn write_metrics<W: io::Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        self.collector.collect_for_scrape();
        crate::metrics::write(&self.collector, families)
    }

    /// Waits until all that was seen before is in the database.
    ///
    /// # Errors
    ///
    /// What is wrong with the database.
    pub fn flush(&self) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let store = self.collector.store.clone();
        async move {
            let Some(store) = store else { return Ok(()) };
            let flushed = spawn_blocking(move || store.flush());
            flushed.await.unwrap_or_else(|error| Err(error.to_string()))
        }
    }

    /// Ends everything, after what was seen is in the database and with the message server.
    ///
    /// # Errors
    ///
    /// Why the database does not have everything. What it does not have is lost.
    pub async fn shutdown(mut self) -> Result<(), String> {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let flushed = self.flush().await;
        let database = self.database.take();
        let store = self.collector.store.clone();
        let ended = spawn_blocking(move || {
            if let Some(store) = store {
                store.stop();
            }
            database.map(JoinHandle::join)
        });
        match ended.await {
            Ok(Some(Err(_))) | Err(_) => Err("the database's thread broke off".to_owned()),
            Ok(_) => flushed,
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(store) = &self.collector.store {
            store.stop();
        }
    }
}
