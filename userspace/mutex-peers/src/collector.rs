// SPDX-License-Identifier: MIT OR Apache-2.0

//! What brings everything together: the kernel and the pings change the cache; the database, the event bus and the
//! fan-out follow it.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::broadcast;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::sleep_until;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::Announcement;
use crate::Clock;
use crate::Devices;
use crate::Event;
use crate::FanoutHealth;
use crate::Happening;
use crate::Health;
use crate::Moment;
use crate::PeerId;
use crate::Pinger;
use crate::RecentEvents;
use crate::Refused;
use crate::Settings;
use crate::cache::Cache;
use crate::cache::RefusedStatements;
use crate::fanout::Message;
use crate::fanout::Protocol;
use crate::fanout::Subject;
use crate::queue::Queue;
use crate::recent::Recent;
use crate::store;
use crate::store::Store;

/// How long after a reading that an announcement asked for the next such one may begin.
const REFRESH: Duration = Duration::from_millis(250);

/// All of it.
pub(crate) struct Collector {
    pub settings: Arc<Settings>,
    node: String,
    pub clock: Box<dyn Clock>,
    devices: Box<dyn Devices>,
    pinger: Box<dyn Pinger>,
    cache: Mutex<Cache>,
    pub queue: Queue,
    pub store: Option<Store>,
    pub bus: broadcast::Sender<Event>,
    recent: Mutex<Recent>,
    pub protocol: Option<Mutex<Protocol>>,
    /// There is something for other nodes.
    news: Notify,
    /// The kernel is to be asked now.
    refresh: Notify,
    reading: Mutex<Reading>,
    pings: Mutex<Option<String>>,
    /// Whether the database was read, or is known not to be readable now.
    ready: watch::Sender<bool>,
}

/// The last reading of the kernel.
#[derive(Debug, Default)]
struct Reading {
    /// When it was asked for, by the clock that nobody sets.
    asked_ns: u64,
    trouble: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    pub(crate) fn new(
        settings: Settings,
        clock: Box<dyn Clock>,
        devices: Box<dyn Devices>,
        pinger: Box<dyn Pinger>,
    ) -> Self {
        let node = settings.node.clone().unwrap_or_else(host_name);
        let settings = Arc::new(settings);
        let fanout = &settings.fanout;
        let epoch = clock.now().time_ns;
        Collector {
            cache: Mutex::new(Cache::new(Arc::clone(&settings), node.clone(), clock.boot())),
            queue: Queue::new(settings.ping_check_queue),
            store: settings.database.is_some().then(|| Store::new(settings.database_backlog)),
            bus: broadcast::Sender::new(settings.event_capacity),
            recent: Mutex::new(Recent::new(settings.event_capacity)),
            protocol: fanout
                .enabled
                .then(|| Mutex::new(Protocol::new(node.clone(), epoch, fanout))),
            news: Notify::new(),
            refresh: Notify::new(),
            reading: Mutex::default(),
            pings: Mutex::default(),
            ready: watch::Sender::new(settings.database.is_none()),
            node,
            clock,
            devices,
            pinger,
            settings,
        }
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// The cache, to look at. What changes it goes through [`Collector::change`].
    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        lock(&self.cache)
    }

    /// Changes the cache, and lets everything that follows it know, in the same order for all.
    fn change<T>(&self, change: impl FnOnce(&mut Cache, Moment) -> T) -> T {
        let now = self.clock.now();
        let mut cache = self.cache();
        let result = change(&mut cache, now);
        let writes = cache.take_writes();
        if let Some(store) = &self.store {
            store.push(writes);
        }
        let events = cache.take_events();
        let has_news = !events.is_empty();
        for event in events {
            log(&event);
            if let Some(protocol) = &self.protocol {
                lock(protocol).publish(event.clone());
            }
            self.tell(event);
        }
        drop(cache);
        if has_news {
            self.news.notify_one();
        }
        result
    }

    /// Tells who subscribes, and who asks later.
    fn tell(&self, event: Event) {
        lock(&self.recent).push(event.clone());
        // That nobody listens is no error.
        let _ = self.bus.send(event);
    }

    /// The first events after that number, so many at the most.
    pub(crate) fn recent(&self, after: u64, most: usize) -> RecentEvents {
        lock(&self.recent).after(after, most)
    }

    /// Asks the kernel for a scrape.
    pub(crate) fn collect_for_scrape(&self) {
        // Before the database was read, every peer would be new.
        if *self.ready.borrow() {
            self.collect();
        }
    }

    /// Asks the kernel. Who waits while somebody else does so takes what was asked for after it came.
    pub(crate) fn collect(&self) {
        let came_ns = self.clock.now().uptime_ns;
        let mut reading = lock(&self.reading);
        if reading.asked_ns > came_ns {
            return;
        }
        reading.asked_ns = self.clock.now().uptime_ns;
        match self.devices.read() {
            Ok(interfaces) => {
                if reading.trouble.take().is_some() {
                    info!("the kernel tells of WireGuard again");
                }
                self.change(|cache, now| cache.apply(&interfaces, now));
            }
            Err(error) => {
                let trouble = error.to_string();
                if reading.trouble.as_ref() != Some(&trouble) {
                    warn!(trouble, "the kernel does not tell of WireGuard: showing what is known");
                }
                reading.trouble = Some(trouble);
            }
        }
    }

    pub(crate) fn announce(&self, announcement: Announcement) -> Result<(), Refused> {
        self.change(|cache, now| cache.announce(announcement, now))?;
        self.refresh.notify_one();
        Ok(())
    }

    /// Asks the kernel at its interval and when something was announced, and puts peers into the queue at
    /// theirs, until it is to stop.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ready = self.ready.subscribe();
        tokio::select! {
            () = turned(&mut ready) => {}
            () = turned(&mut stop) => return,
        }
        let mut readings = interval(self.settings.data_collection_interval);
        readings.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.collect_apart().await;
        readings.reset();
        let mut last = Instant::now() - REFRESH;
        let mut checks = interval(self.settings.ping_check_interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = readings.tick() => self.collect_apart().await,
                () = self.refresh.notified() => {
                    // Other nodes can have it notified as often as they like.
                    tokio::select! {
                        () = sleep_until(last + REFRESH) => {}
                        () = turned(&mut stop) => return,
                    }
                    self.collect_apart().await;
                    last = Instant::now();
                }
                _ = checks.tick(), if self.settings.use_ping_checks => self.queue_checks(),
                () = turned(&mut stop) => return,
            }
        }
    }

    /// The kernel is asked by a thread that may wait.
    async fn collect_apart(self: &Arc<Self>) {
        let collector = Arc::clone(self);
        if let Err(error) = tokio::task::spawn_blocking(move || collector.collect()).await {
            warn!(%error, "asking the kernel was cut off");
        }
    }

    fn queue_checks(&self) {
        let trouble = self.pinger.check().err().map(|error| error.to_string());
        let mut known = lock(&self.pings);
        if *known != trouble {
            if let Some(trouble) = &trouble {
                warn!(
                    trouble,
                    "pings cannot be sent: net.ipv4.ping_group_range forbids it, and CAP_NET_RAW is not there"
                );
            } else {
                info!("pings can be sent again");
            }
        }
        known.clone_from(&trouble);
        drop(known);
        if trouble.is_some() {
            // That nobody answers would be a wrong word for what this host may not ask.
            return;
        }
        let ids = self.cache().to_ping();
        let total = ids.len();
        for id in ids {
            self.queue.push(id);
        }
        debug!(total, "ping checks are queued");
    }

    /// A ping worker, until it is to stop.
    pub(crate) async fn work(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let id = tokio::select! {
                id = self.queue.next() => id,
                () = turned(&mut stop) => return,
            };
            tokio::select! {
                () = self.ping(&id) => {}
                () = turned(&mut stop) => return,
            }
            self.queue.done(&id);
        }
    }

    async fn ping(&self, id: &PeerId) {
        let Some((target, index)) = self.cache().target(id) else {
            return;
        };
        let patience = self.settings.ping_check_timeout;
        let result = self.pinger.ping(&target, index, patience).await;
        let rtt_ns = match result {
            Ok(took) => Some(crate::clock::nanoseconds(took)),
            Err(error) => {
                debug!(peer = %id, address = %target.address, %error, "a ping was not answered");
                None
            }
        };
        let is_first = self.change(|cache, now| {
            let ever =
                |cache: &Cache| cache.peer(id).is_some_and(|peer| peer.pings.ever_succeeded());
            let before = ever(cache);
            cache.pinged(id, rtt_ns, now);
            !before && ever(cache)
        });
        if is_first {
            info!(peer = %id, address = %target.address,
                "a peer has answered for the first time: its address is shown from now on");
        }
    }

    pub(crate) async fn has_news(&self) {
        self.news.notified().await;
    }

    fn fanout<T>(&self, act: impl FnOnce(&mut Protocol) -> T) -> Option<T> {
        self.protocol.as_ref().map(|protocol| act(&mut lock(protocol)))
    }

    /// The next event for other nodes.
    pub(crate) fn next_event(&self, under_way: u64) -> Option<Message> {
        self.fanout(|protocol| protocol.next(under_way)).flatten()
    }

    pub(crate) fn send_again(&self) {
        self.fanout(Protocol::again);
    }

    pub(crate) fn overdue_hello(&self) -> Option<Message> {
        let now = self.clock.now();
        self.fanout(|protocol| protocol.overdue_hello(now)).flatten()
    }

    /// There is a server, which takes messages of that many bytes.
    pub(crate) fn fanout_connected(&self, max_payload: usize) -> Option<Message> {
        let now = self.clock.now();
        self.fanout(|protocol| protocol.connected(max_payload, now))
    }

    /// The server, or the way to it, refuses something.
    pub(crate) fn fanout_trouble(&self, trouble: String) {
        self.fanout(|protocol| protocol.troubled(trouble));
    }

    /// A message could not be sent.
    pub(crate) fn fanout_unsent(&self) {
        self.fanout(Protocol::unsent);
    }

    /// A message that is not one of another node's.
    pub(crate) fn fanout_malformed(&self) {
        self.fanout(Protocol::malformed);
    }

    /// Forgets nodes that were not heard from for long.
    pub(crate) fn expire_nodes(&self) {
        let now = self.clock.now();
        self.fanout(|protocol| protocol.expire(now));
    }

    /// Tells whether there was a connection.
    pub(crate) fn fanout_disconnected(&self) -> bool {
        self.fanout(Protocol::disconnected).unwrap_or(false)
    }

    pub(crate) fn fanout_waiting(&self) -> usize {
        self.fanout(|protocol| protocol.health().waiting).unwrap_or(0)
    }

    /// A message of another node, or an own one that comes back; what to say to it. It came on that subject.
    pub(crate) fn hear(
        &self,
        on: &Subject<'_>,
        message: Message,
    ) -> Vec<(Option<String>, Message)> {
        let now = self.clock.now();
        let heard = {
            // In the order in which everybody takes these locks.
            let cache = self.cache();
            let peers = || cache.as_events(now);
            self.fanout(|protocol| protocol.hear(on, message, peers, now)).unwrap_or_default()
        };
        if heard.events.is_empty() && heard.state.is_empty() {
            return heard.replies;
        }
        let touches = self.change(|cache, now| {
            let mut touches = false;
            for event in heard.events.iter().chain(&heard.state) {
                touches |= learn(cache, event, now);
            }
            touches
        });
        if touches {
            self.refresh.notify_one();
        }
        for event in heard.events {
            debug!(node = event.node, interface = event.interface, happening = ?event.happening, "heard of");
            self.tell(event);
        }
        heard.replies
    }

    pub(crate) fn health(&self) -> Health {
        let (peers, statements) = {
            let cache = self.cache();
            (cache.sizes().0, cache.refused())
        };
        Health {
            peers,
            kernel: lock(&self.reading).trouble.clone(),
            pings: lock(&self.pings).clone(),
            queue: self.queue.counts(),
            database: self.store.as_ref().map(Store::health),
            fanout: self.fanout(|protocol| protocol.health()).map(|health| {
                let RefusedStatements { ahead, no_room } = statements;
                FanoutHealth { statements_ahead: ahead, statements_no_room: no_room, ..health }
            }),
        }
    }
}

/// Waits until it is true, or nobody is there any more who could say so.
async fn turned(switch: &mut watch::Receiver<bool>) {
    drop(switch.wait_for(|is_on| *is_on).await);
}

/// What another node's event says of peers that may be here too; whether the kernel should be asked.
fn learn(cache: &mut Cache, event: &Event, now: Moment) -> bool {
    match &event.happening {
        Happening::PeerCreated { public_key, facts }
        | Happening::PeerUpdated { public_key, facts } => {
            cache.told(&event.node, *public_key, facts, now);
            true
        }
        Happening::PeerReidentified { before, public_key, facts } => {
            cache.told_new_key(&event.node, *before, *public_key, now);
            cache.told(&event.node, *public_key, facts, now);
            true
        }
        Happening::PeerRemoved { .. } => true,
        Happening::ConnectionChanged { .. }
        | Happening::SessionChanged { .. }
        | Happening::InterfaceAppeared
        | Happening::InterfaceVanished => false,
    }
}

fn log(event: &Event) {
    let interface = &event.interface;
    match &event.happening {
        Happening::PeerCreated { public_key, .. } => {
            info!(peer = %public_key, interface, "a peer is new");
        }
        Happening::PeerUpdated { public_key, .. } => {
            debug!(peer = %public_key, interface, "a peer has changed");
        }
        Happening::PeerReidentified { before, public_key, .. } => {
            info!(%before, peer = %public_key, interface, "a peer has another key");
        }
        Happening::PeerRemoved { public_key } => {
            info!(peer = %public_key, interface, "a peer is gone");
        }
        Happening::ConnectionChanged { public_key, connected } => {
            info!(peer = %public_key, interface, connected, "a peer's connection has changed");
        }
        Happening::SessionChanged { public_key, change } => {
            info!(peer = %public_key, interface, ?change, "a peer's session has changed");
        }
        Happening::InterfaceAppeared => info!(interface, "an interface is new"),
        Happening::InterfaceVanished => info!(interface, "an interface is gone"),
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What the database's thread needs of the collector.
pub(crate) struct StoreOwner(pub Arc<Collector>);

impl store::Owner for StoreOwner {
    fn loaded(&mut self, state: Option<store::State>) {
        if let Some(state) = state {
            let (peers, said) = (state.peers.len(), state.said.len());
            self.0.change(|cache, now| cache.restore(state, now));
            info!(peers, said, "the database was read");
        }
        self.0.ready.send_replace(true);
    }

    fn replace(&mut self, with_results: bool, store: &Store) {
        let cache = self.0.cache();
        store.push_instead(cache.everything(with_results));
    }

    fn now(&self) -> Moment {
        self.0.clock.now()
    }
}

/// Starts the database's thread.
pub(crate) fn start_store(
    collector: &Arc<Collector>,
) -> io::Result<Option<std::thread::JoinHandle<()>>> {
    let (Some(store), Some(path)) = (&collector.store, &collector.settings.database) else {
        return Ok(None);
    };
    let settings = &collector.settings;
    let owner = StoreOwner(Arc::clone(collector));
    store
        .start(path.clone(), settings.ping_check_retention, settings.ping_check_samples, owner)
        .map(Some)
}
