// SPDX-License-Identifier: MIT OR Apache-2.0

//! The database, which follows the cache.
//!
//! A thread of its own writes whatever has come up, all of it in one transaction, and goes on while there is more. What
//! cannot be written waits, bounded, and is written when it can be: state as it is then, results and sessions
//! one by one. A file that is no database any more is put aside; one that is deleted under way is made again from
//! the open file, or else from the cache.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OptionalExtension;
use rusqlite::Transaction;
use rusqlite::params;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::Interface;
use crate::Moment;
use crate::Peer;
use crate::PeerId;
use crate::PeerSettings;
use crate::PublicKey;
use crate::SessionChange;
use crate::age::Age;
use crate::clock::nanoseconds;
use crate::prune::Pruner;
use crate::statements::Said;

/// The version of what is in the file.
const VERSION: i64 = 2;
pub(crate) const SCHEMA: &str = "
    CREATE TABLE interface (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
    -- A peer that is gone has no state; its results stay as long as they are to be kept.
    CREATE TABLE peer (id INTEGER PRIMARY KEY, interface TEXT NOT NULL, public_key TEXT NOT NULL, state TEXT,
        UNIQUE (interface, public_key));
    CREATE TABLE said (public_key TEXT PRIMARY KEY, name TEXT NOT NULL, check_alive_address TEXT,
        said_ns INTEGER NOT NULL, own INTEGER NOT NULL) WITHOUT ROWID;
    -- A result without a round trip was lost.
    CREATE TABLE ping (id INTEGER PRIMARY KEY, peer INTEGER NOT NULL, time_ns INTEGER NOT NULL, rtt_ns INTEGER);
    CREATE INDEX ping_of_peer ON ping (peer, id);
    CREATE TABLE session (id INTEGER PRIMARY KEY, peer INTEGER NOT NULL, time_ns INTEGER NOT NULL,
        change TEXT NOT NULL, handshake_ns INTEGER NOT NULL);
    CREATE INDEX session_of_peer ON session (peer, id);
";
/// What version 1 has not: which of what was said was said here.
const SINCE_1: &str = "ALTER TABLE said ADD COLUMN own INTEGER NOT NULL DEFAULT 0";
/// How long a lock of somebody else is waited for.
const BUSY: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again, at first and at the most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often it is looked for what is too old.
const PRUNE: Duration = Duration::from_secs(60);

/// Something to write.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Interface(String, String),
    ForgetInterface(String),
    Peer(PeerId, String),
    ForgetPeer(PeerId),
    Say(PublicKey, Said),
    Unsay(PublicKey),
    Rename { before: PeerId, after: PeerId },
    Ping(PingRow),
    Session(SessionRow),
}

impl Write {
    pub(crate) fn interface(interface: &Interface) -> Self {
        Write::Interface(interface.name.clone(), json(interface))
    }

    pub(crate) fn peer(peer: &Peer) -> Self {
        Write::Peer(peer.id.clone(), json(peer))
    }
}

/// A result of a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PingRow {
    pub id: PeerId,
    pub time_ns: u64,
    pub rtt_ns: Option<u64>,
}

/// What became of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub id: PeerId,
    pub time_ns: u64,
    pub change: SessionChange,
    pub handshake_ns: u64,
}

/// Results with their times, the oldest first.
pub(crate) type Results = Vec<(u64, Option<u64>)>;

/// What a database knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub interfaces: Vec<Interface>,
    pub peers: Vec<(Peer, Results)>,
    pub said: Vec<(PublicKey, Said)>,
}

/// How the database fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// What is wrong, if anything.
    pub trouble: Option<String>,
    /// Results and sessions that wait to be written.
    pub waiting: usize,
    /// Results and sessions that found no room to wait.
    pub lost: u64,
    /// Transactions that were written.
    pub commits: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Files that were no database any more and were put aside.
    pub corrupted: u64,
}

/// What the thread needs of its owner.
pub(crate) trait Owner: Send + 'static {
    /// The database was read, or cannot be now (`None`).
    fn loaded(&mut self, state: Option<State>);
    /// The database has nothing, or something else than it had: gives everything to `store`, once
    /// nothing else can be on its way there.
    fn replace(&mut self, with_results: bool, store: &Store);
    /// This moment.
    fn now(&self) -> Moment;
}

/// What waits to be written. State is written as it is then; the rest in its order.
#[derive(Debug, Default)]
struct Batch {
    interfaces: HashMap<String, Option<String>>,
    peers: HashMap<PeerId, Option<String>>,
    said: HashMap<PublicKey, Option<Said>>,
    rows: VecDeque<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    Rename { before: PeerId, after: PeerId },
    Ping(PingRow),
    Session(SessionRow),
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
            && self.peers.is_empty()
            && self.said.is_empty()
            && self.rows.is_empty()
    }

    fn add(&mut self, write: Write) {
        match write {
            Write::Interface(name, state) => {
                self.interfaces.insert(name, Some(state));
            }
            Write::ForgetInterface(name) => {
                self.interfaces.insert(name, None);
            }
            Write::Peer(id, state) => {
                self.peers.insert(id, Some(state));
            }
            Write::ForgetPeer(id) => {
                self.peers.insert(id, None);
            }
            Write::Say(key, said) => {
                self.said.insert(key, Some(said));
            }
            Write::Unsay(key) => {
                self.said.insert(key, None);
            }
            Write::Rename { before, after } => {
                self.peers.remove(&before);
                self.rows.push_back(Row::Rename { before, after });
            }
            Write::Ping(row) => self.rows.push_back(Row::Ping(row)),
            Write::Session(row) => self.rows.push_back(Row::Session(row)),
        }
    }

    /// Takes in what came up later.
    fn absorb(&mut self, later: Batch) {
        self.interfaces.extend(later.interfaces);
        for row in &later.rows {
            if let Row::Rename { before, .. } = row {
                self.peers.remove(before);
            }
        }
        self.peers.extend(later.peers);
        self.said.extend(later.said);
        self.rows.extend(later.rows);
    }

    /// Keeps the newest rows; how many were left out.
    fn bound(&mut self, capacity: usize) -> u64 {
        let over = self.rows.len().saturating_sub(capacity);
        self.rows.drain(..over);
        over as u64
    }
}

#[derive(Debug, Default)]
struct Shared {
    pending: Batch,
    /// What the thread has taken and not written yet, in rows.
    taken: usize,
    pushed: u64,
    written: u64,
    attempts: u64,
    stop: bool,
    /// Somebody waits: it is tried now, whenever it would be.
    hurry: bool,
    health: StoreHealth,
}

/// A database that follows the cache.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    capacity: usize,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Store { capacity, shared: Arc::default() }
    }

    /// Starts the thread.
    pub(crate) fn start(
        &self,
        path: PathBuf,
        retention: Duration,
        samples: usize,
        owner: impl Owner,
    ) -> io::Result<JoinHandle<()>> {
        let mut writer = Writer {
            store: self.clone(),
            path,
            retention,
            samples,
            owner,
            open: None,
            loaded: false,
            replace: None,
            batch: Batch::default(),
            age: Age::default(),
            pruned_ns: None,
            pruner: Pruner::default(),
            prunes: false,
        };
        thread::Builder::new().name("peers-database".to_owned()).spawn(move || writer.run())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something to write, soon.
    pub(crate) fn push(&self, writes: Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        let mut shared = self.lock();
        shared.pushed += 1;
        for write in writes {
            shared.pending.add(write);
        }
        let lost = shared.pending.bound(self.capacity);
        shared.health.lost += lost;
        drop(shared);
        self.shared.1.notify_all();
    }

    /// Instead of all that waits.
    pub(crate) fn push_instead(&self, writes: Vec<Write>) {
        self.lock().pending = Batch::default();
        self.push(writes);
    }

    /// Waits until all that was pushed before is written, or an attempt to do so has failed.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(crate) fn flush(&self) -> Result<(), String> {
        let mut shared = self.lock();
        let (wanted, attempts) = (shared.pushed, shared.attempts);
        loop {
            if shared.written >= wanted {
                return Ok(());
            }
            // One that began before this was asked for may not have had all of it.
            if shared.attempts >= attempts + 2 || shared.stop {
                let trouble = shared.health.trouble.clone();
                return Err(trouble.unwrap_or_else(|| "the database is closed".to_owned()));
            }
            shared.hurry = true;
            self.shared.1.notify_all();
            shared = self
                .shared
                .1
                .wait_timeout(shared, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Writes what waits if that can be done, and ends the thread.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.shared.1.notify_all();
    }

    pub(crate) fn health(&self) -> StoreHealth {
        let shared = self.lock();
        StoreHealth { waiting: shared.pending.rows.len() + shared.taken, ..shared.health.clone() }
    }
}

/// What is wrong with the database.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is of version {0}, which is newer than this program")]
    Newer(i64),
    #[error("the file is gone, and could not be made again: {0}")]
    Gone(String),
}

impl Trouble {
    fn is_corruption(&self) -> bool {
        match self {
            Trouble::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            }
            // What is in a column is not what was written there.
            Trouble::Sqlite(
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..),
            ) => true,
            _ => false,
        }
    }
}

/// The thread.
struct Writer<O> {
    store: Store,
    path: PathBuf,
    retention: Duration,
    samples: usize,
    owner: O,
    /// The connection, and the file that it has open.
    open: Option<(Connection, (u64, u64))>,
    loaded: bool,
    /// The file does not have what it had: everything is to be written, with the results or without.
    replace: Option<bool>,
    batch: Batch,
    age: Age,
    /// When it was looked for what is too old, by the clock that nobody sets.
    pruned_ns: Option<u64>,
    pruner: Pruner,
    /// There may be more that is too old.
    prunes: bool,
}

impl<O: Owner> Writer<O> {
    fn run(&mut self) {
        let mut delay = RETRY.0;
        let mut next = Instant::now();
        loop {
            let (stop, written) = self.collect(next);
            match self.attempt(written) {
                Ok(()) => {
                    delay = RETRY.0;
                    next = Instant::now();
                }
                Err(trouble) => {
                    self.failed(&trouble);
                    next = Instant::now() + delay;
                    delay = (delay * 2).min(RETRY.1);
                }
            }
            self.store.shared.1.notify_all();
            if stop {
                return;
            }
        }
    }

    /// Waits until there is something to do, not before `next`, and takes what waits.
    fn collect(&mut self, next: Instant) -> (bool, u64) {
        let store = self.store.clone();
        let mut shared = store.lock();
        loop {
            let now = Instant::now();
            let has_work =
                !self.loaded || self.prunes || !self.batch.is_empty() || !shared.pending.is_empty();
            if shared.stop || (has_work && (now >= next || shared.hurry)) {
                break;
            }
            // A file that is deleted is missed even while there is nothing to write.
            let patience = if has_work { next - now } else { PRUNE };
            let (again, timeout) = store
                .shared
                .1
                .wait_timeout(shared, patience)
                .unwrap_or_else(PoisonError::into_inner);
            shared = again;
            if timeout.timed_out() {
                break;
            }
        }
        self.batch.absorb(std::mem::take(&mut shared.pending));
        let lost = self.batch.bound(store.capacity);
        shared.health.lost += lost;
        shared.taken = self.batch.rows.len();
        shared.hurry = false;
        (shared.stop, shared.pushed)
    }

    fn attempt(&mut self, written: u64) -> Result<(), Trouble> {
        self.check_file()?;
        if self.open.is_none() {
            self.open()?;
        }
        if let Some(with_results) = self.replace {
            // Nothing can come up while everything is taken, so nothing is written twice.
            self.batch = Batch::default();
            self.owner.replace(with_results, &self.store);
            let store = self.store.clone();
            self.batch = std::mem::take(&mut store.lock().pending);
        }
        let Some((connection, _)) = &mut self.open else {
            return Ok(());
        };
        let rows = self.batch.rows.len();
        if !self.batch.is_empty() {
            write(connection, &self.batch)?;
            self.replace = None;
            self.batch = Batch::default();
            let mut shared = self.store.lock();
            shared.health.commits += 1;
            shared.taken = 0;
        }
        let mut shared = self.store.lock();
        shared.written = shared.written.max(written);
        shared.attempts += 1;
        if shared.health.trouble.take().is_some() {
            info!(database = %self.path.display(), rows, "the database is used again, and has all that had waited");
        }
        drop(shared);
        let now = self.owner.now();
        let since_ns = |at| now.uptime_ns.saturating_sub(at);
        if self.prunes || self.pruned_ns.is_none_or(|at| since_ns(at) >= nanoseconds(PRUNE)) {
            // What waits to be written goes in between, so one step at a time.
            self.prunes = false;
            if self.age.is_certain(now) {
                let oldest = now.time_ns.saturating_sub(nanoseconds(self.retention));
                self.prunes =
                    self.pruner.step(connection, integer(oldest), integer(now.time_ns))?;
            }
            self.pruned_ns = Some(now.uptime_ns);
        }
        Ok(())
    }

    fn failed(&mut self, trouble: &Trouble) {
        if trouble.is_corruption() {
            self.put_aside(trouble);
        } else if matches!(trouble, Trouble::Sqlite(_)) && self.open.is_some() {
            // What the connection remembers may be what is wrong.
            self.open = None;
        }
        if !self.loaded {
            self.owner.loaded(None);
        }
        let text = trouble.to_string();
        let mut shared = self.store.lock();
        shared.attempts += 1;
        shared.health.failures += 1;
        if shared.health.trouble.as_ref() != Some(&text) {
            warn!(database = %self.path.display(), trouble = text, "the database cannot be used: going on from memory");
        }
        shared.health.trouble = Some(text);
    }

    /// A file that is no database goes out of the way; what is in memory goes into a new one.
    fn put_aside(&mut self, trouble: &Trouble) {
        self.open = None;
        let seconds = self.owner.now().time_ns / 1_000_000_000;
        let aside = with_suffix(&self.path, &format!(".corrupt-{seconds}"));
        for suffix in ["-wal", "-shm"] {
            let _ = fs::rename(with_suffix(&self.path, suffix), with_suffix(&aside, suffix));
        }
        match fs::rename(&self.path, &aside) {
            Ok(()) => {
                error!(database = %self.path.display(), aside = %aside.display(), %trouble,
                    "the database is damaged: it was put aside, and a new one is made");
                self.replace = Some(true);
                self.store.lock().health.corrupted += 1;
            }
            Err(error) => {
                error!(database = %self.path.display(), %trouble, %error,
                    "the database is damaged, and cannot be put aside");
            }
        }
    }

    /// Whether the file that is open is still the one of that name.
    fn check_file(&mut self) -> Result<(), Trouble> {
        let Some((connection, file)) = &self.open else {
            return Ok(());
        };
        match identity(&self.path) {
            Ok(identity) if identity == *file => Ok(()),
            Ok(_) => {
                warn!(database = %self.path.display(), "the database is another file now: it is used as it is");
                self.open = None;
                self.replace = Some(false);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let saved = with_suffix(&self.path, ".saved");
                let _ = fs::remove_file(&saved);
                let into = saved.to_string_lossy();
                connection
                    .execute("VACUUM INTO ?1", [&into])
                    .map_err(|error| Trouble::Gone(error.to_string()))?;
                self.open = None;
                for suffix in ["-wal", "-shm"] {
                    let _ = fs::remove_file(with_suffix(&self.path, suffix));
                }
                fs::rename(&saved, &self.path)?;
                warn!(database = %self.path.display(), "the database was deleted: it was made again with all that it had");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open(&mut self) -> Result<(), Trouble> {
        let mut connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What was said to be written is on the disk, even if the power goes.
        connection.pragma_update(None, "synchronous", "FULL")?;
        match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()?;
                info!(database = %self.path.display(), "the database is new");
                // A database that was there before and is not now.
                if self.loaded {
                    self.replace = Some(true);
                }
            }
            1 => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SINCE_1)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()?;
            }
            VERSION => {}
            newer => return Err(Trouble::Newer(newer)),
        }
        if !self.loaded {
            let state = load(&connection, self.samples)?;
            self.owner.loaded(Some(state));
            self.loaded = true;
            self.replace = None;
        }
        self.open = Some((connection, identity(&self.path)?));
        self.pruner = Pruner::default();
        Ok(())
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn json<T: Serialize>(state: &T) -> String {
    serde_json::to_string(state).unwrap_or_else(|error| unreachable!("keys are text: {error}"))
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for row in &batch.rows {
        match row {
            Row::Rename { before, after } => rename(&transaction, before, after)?,
            Row::Ping(row) => {
                let peer = number_of(&transaction, &row.id)?;
                transaction
                    .prepare_cached("INSERT INTO ping (peer, time_ns, rtt_ns) VALUES (?1, ?2, ?3)")?
                    .execute(params![peer, integer(row.time_ns), row.rtt_ns.map(integer)])?;
            }
            Row::Session(row) => {
                let peer = number_of(&transaction, &row.id)?;
                transaction
                    .prepare_cached(
                        "INSERT INTO session (peer, time_ns, change, handshake_ns) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![
                        peer,
                        integer(row.time_ns),
                        json(&row.change).trim_matches('"'),
                        integer(row.handshake_ns)
                    ])?;
            }
        }
    }
    for (id, state) in &batch.peers {
        let peer = number_of(&transaction, id)?;
        transaction
            .prepare_cached("UPDATE peer SET state = ?2 WHERE id = ?1")?
            .execute(params![peer, state])?;
    }
    for (name, state) in &batch.interfaces {
        match state {
            Some(state) => transaction
                .prepare_cached("INSERT OR REPLACE INTO interface (name, state) VALUES (?1, ?2)")?
                .execute(params![name, state])?,
            None => transaction.execute("DELETE FROM interface WHERE name = ?1", [name])?,
        };
    }
    for (key, said) in &batch.said {
        match said {
            Some(said) => transaction.execute(
                "INSERT OR REPLACE INTO said (public_key, name, check_alive_address, said_ns, own)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    key.to_string(),
                    said.settings.name,
                    said.settings.check_alive_address.map(|address| address.to_string()),
                    integer(said.time_ns),
                    said.own
                ],
            )?,
            None => {
                transaction.execute("DELETE FROM said WHERE public_key = ?1", [key.to_string()])?
            }
        };
    }
    transaction.commit()
}

/// The number of a peer's row, which is made if it is not there.
fn number_of(transaction: &Transaction<'_>, id: &PeerId) -> rusqlite::Result<i64> {
    let key = id.public_key.to_string();
    let found = transaction
        .prepare_cached("SELECT id FROM peer WHERE interface = ?1 AND public_key = ?2")?
        .query_row(params![id.interface, key], |row| row.get(0))
        .optional()?;
    if let Some(number) = found {
        return Ok(number);
    }
    transaction
        .prepare_cached("INSERT INTO peer (interface, public_key) VALUES (?1, ?2)")?
        .execute(params![id.interface, key])?;
    Ok(transaction.last_insert_rowid())
}

fn rename(transaction: &Transaction<'_>, before: &PeerId, after: &PeerId) -> rusqlite::Result<()> {
    let (old, new) = (number_of(transaction, before)?, number_of(transaction, after)?);
    for table in ["ping", "session"] {
        transaction
            .execute(&format!("UPDATE {table} SET peer = ?2 WHERE peer = ?1"), [old, new])?;
    }
    transaction.execute("DELETE FROM peer WHERE id = ?1", [old])?;
    Ok(())
}

fn load(connection: &Connection, samples: usize) -> rusqlite::Result<State> {
    let mut state = State::default();
    let mut query = connection.prepare("SELECT state FROM interface")?;
    for row in query.query_map([], |row| row.get::<_, String>(0))? {
        state.interfaces.extend(parse(&row?));
    }
    let mut query = connection.prepare("SELECT id, state FROM peer WHERE state IS NOT NULL")?;
    let mut newest = connection
        .prepare("SELECT time_ns, rtt_ns FROM ping WHERE peer = ?1 ORDER BY id DESC LIMIT ?2")?;
    for row in query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))? {
        let (number, text) = row?;
        if let Some(peer) = parse(&text) {
            let results = newest.query_map(params![number, integer(samples as u64)], |row| {
                Ok((unsigned(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(unsigned)))
            })?;
            let mut results = results.collect::<rusqlite::Result<Results>>()?;
            results.reverse();
            state.peers.push((peer, results));
        }
    }
    let mut query = connection
        .prepare("SELECT public_key, name, check_alive_address, said_ns, own FROM said")?;
    let rows = query.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get(1)?,
            row.get::<_, Option<String>>(2)?,
            row.get::<_, i64>(3)?,
            row.get(4)?,
        ))
    })?;
    for row in rows {
        let (key, name, address, said_ns, own) = row?;
        if let Ok(key) = key.parse() {
            let check_alive_address = address.and_then(|address| address.parse().ok());
            let settings = PeerSettings { name, check_alive_address };
            let time_ns = unsigned(said_ns);
            state.said.push((key, Said { settings, time_ns, own, told_by: String::new() }));
        }
    }
    Ok(state)
}

fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text)
        .inspect_err(
            |error| warn!(%error, "a line of the database is not understood, and left out"),
        )
        .ok()
}
