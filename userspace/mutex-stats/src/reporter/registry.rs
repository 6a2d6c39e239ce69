// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reporters by their GUIDs.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Release;

use rustix::event::EventfdFlags;
use rustix::event::eventfd;

use crate::Error;
use crate::reporter::Guid;
use crate::reporter::Reporter;

/// Reporters by their GUIDs. Any thread may register, unregister and look up at any time; each
/// [`Feed`](crate::reporter::Feed) of the registry takes notice at once.
///
/// ```
/// use std::sync::Arc;
///
/// use mutex_stats::reporter::{Guid, Metering, Registry};
///
/// let registry = Registry::new();
/// let guid = Guid::random()?;
/// registry.register(guid, Arc::new(Metering::new(|_| {})))?;
/// assert!(registry.lookup(guid).is_ok());
/// registry.unregister(guid)?;
/// assert!(registry.lookup(guid).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Registry {
    reporters: RwLock<BTreeMap<Guid, Registered>>,
    /// Changes with each change of the above, after it.
    generation: AtomicU64,
    /// What those wait on who want to know of changes.
    wakers: Mutex<Vec<Weak<OwnedFd>>>,
}

/// A reporter that is registered.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) reporter: Arc<dyn Reporter>,
    /// The generation that it came with.
    pub(super) since: u64,
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Registry {
    /// One without reporters.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The one that a program can share without handing it around.
    pub fn global() -> &'static Arc<Self> {
        static GLOBAL: OnceLock<Arc<Registry>> = OnceLock::new();
        GLOBAL.get_or_init(Registry::new)
    }

    /// Registers a reporter. Feeds that select it call it from their next event on.
    ///
    /// # Errors
    ///
    /// [`Error::ReporterRegistered`] if another one has that GUID; it stays.
    pub fn register(&self, guid: Guid, reporter: Arc<dyn Reporter>) -> Result<(), Error> {
        let mut reporters = self.reporters.write().unwrap_or_else(PoisonError::into_inner);
        if reporters.contains_key(&guid) {
            return Err(Error::ReporterRegistered(guid));
        }
        let since = self.generation() + 1;
        reporters.insert(guid, Registered { reporter, since });
        self.generation.store(since, Release);
        drop(reporters);
        self.wake();
        Ok(())
    }

    /// Unregisters a reporter and gives it back. Calls that are being made may still end after this;
    /// no feed begins another one. A feed that has nobody left to call closes its monitor.
    ///
    /// # Errors
    ///
    /// [`Error::ReporterUnknown`].
    pub fn unregister(&self, guid: Guid) -> Result<Arc<dyn Reporter>, Error> {
        let mut reporters = self.reporters.write().unwrap_or_else(PoisonError::into_inner);
        let removed = reporters.remove(&guid).ok_or(Error::ReporterUnknown(guid))?;
        self.generation.store(self.generation() + 1, Release);
        drop(reporters);
        self.wake();
        Ok(removed.reporter)
    }

    /// The reporter with that GUID.
    ///
    /// # Errors
    ///
    /// [`Error::ReporterUnknown`].
    pub fn lookup(&self, guid: Guid) -> Result<Arc<dyn Reporter>, Error> {
        let reporters = self.reporters.read().unwrap_or_else(PoisonError::into_inner);
        let found = reporters.get(&guid).ok_or(Error::ReporterUnknown(guid))?;
        Ok(Arc::clone(&found.reporter))
    }

    /// The GUIDs of all reporters, in order.
    #[must_use]
    pub fn guids(&self) -> Vec<Guid> {
        let reporters = self.reporters.read().unwrap_or_else(PoisonError::into_inner);
        reporters.keys().copied().collect()
    }

    /// Another number after each change.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Those that are selected, with the generation that they are of.
    pub(super) fn selected(&self, selection: &Selection) -> (Vec<Registered>, u64) {
        let reporters = self.reporters.read().unwrap_or_else(PoisonError::into_inner);
        let is_selected = |guid: &Guid| selection.has(*guid);
        let all = reporters.iter().filter(|(guid, _)| is_selected(guid));
        (all.map(|(_, registered)| registered.clone()).collect(), self.generation())
    }

    /// A file that becomes readable with each change, as long as somebody has it.
    pub(super) fn subscribe(&self) -> io::Result<Arc<OwnedFd>> {
        let waker = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.push(Arc::downgrade(&waker));
        Ok(waker)
    }

    fn wake(&self) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.retain(|waker| {
            let Some(waker) = waker.upgrade() else { return false };
            // It fails only when it is readable by far.
            let _ = rustix::io::write(&waker, &1u64.to_ne_bytes());
            true
        });
    }
}

/// Which reporters a feed calls: a setting, `all` or GUIDs with commas between them.
///
/// ```
/// use mutex_stats::reporter::Selection;
///
/// let setting = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
/// let selection: Selection = setting.parse()?;
/// assert_eq!(selection.to_string(), setting);
/// assert!("my-service".parse::<Selection>().is_err());
/// # Ok::<(), mutex_stats::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All that are registered.
    #[default]
    All,
    /// Those with one of these GUIDs, now or later.
    Only(Vec<Guid>),
}

impl Selection {
    /// Whether the reporter with that GUID is selected.
    #[must_use]
    pub fn has(&self, guid: Guid) -> bool {
        match self {
            Selection::All => true,
            Selection::Only(guids) => guids.contains(&guid),
        }
    }
}

impl From<Guid> for Selection {
    fn from(guid: Guid) -> Self {
        Selection::Only(vec![guid])
    }
}

/// [`Error::Guid`] for what is neither `all` nor GUIDs.
impl FromStr for Selection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.trim() == "all" {
            return Ok(Selection::All);
        }
        text.split(',').map(|guid| guid.trim().parse()).collect::<Result<_, _>>().map(Self::Only)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selection::Only(guids) = self else { return f.pad("all") };
        let guids: Vec<_> = guids.iter().map(Guid::to_string).collect();
        f.pad(&guids.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;
    use crate::Direction;
    use crate::Protocol;
    use crate::reporter::Endpoint;

    struct Nobody;

    impl Reporter for Nobody {
        fn on_packet(&self, _: Protocol, _: Direction, _: &Endpoint, _: &Endpoint, _: u64) {}
    }

    fn guid(number: u128) -> Guid {
        Guid::from_u128(number)
    }

    #[test]
    fn a_guid_has_one_reporter() {
        let registry = Registry::new();
        let error = |result: Result<(), Error>| result.expect_err("it is wrong").to_string();
        let one: Arc<dyn Reporter> = Arc::new(Nobody);
        registry.register(guid(1), Arc::clone(&one)).expect("it is free");
        let taken = "a reporter is registered as 00000000-0000-0000-0000-000000000001 already";
        assert_eq!(error(registry.register(guid(1), Arc::new(Nobody))), taken);
        let found = registry.lookup(guid(1)).expect("it is there");
        assert!(Arc::ptr_eq(&found, &one), "the first one stays");
        let unknown = "no reporter is registered as 00000000-0000-0000-0000-000000000002";
        assert_eq!(error(registry.lookup(guid(2)).map(drop)), unknown);
        assert_eq!(error(registry.unregister(guid(2)).map(drop)), unknown);
        assert_eq!(registry.guids(), [guid(1)]);
        let removed = registry.unregister(guid(1)).expect("it is there");
        assert!(Arc::ptr_eq(&removed, &one));
        assert!(registry.unregister(guid(1)).is_err() && registry.guids().is_empty());
        registry.register(guid(1), one).expect("it is free again");
    }

    #[test]
    fn the_global_one_is_one() {
        assert!(Arc::ptr_eq(Registry::global(), Registry::global()));
    }

    #[test]
    fn selected_are_those_that_a_setting_names() {
        let registry = Registry::new();
        for number in 1..=3 {
            registry.register(guid(number), Arc::new(Nobody)).expect("it is free");
        }
        let count = |setting: &str| {
            let selection = setting.parse().expect("it is one");
            registry.selected(&selection).0.len()
        };
        assert_eq!((count("all"), count(&guid(2).to_string())), (3, 1));
        assert_eq!(count(&format!("{}, {}", guid(3), guid(1))), 2);
        assert_eq!(count(&guid(9).to_string()), 0);
        for wrong in ["", "some", "all,all"] {
            assert!(wrong.parse::<Selection>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_subscribes_is_woken_by_each_change() {
        let registry = Registry::new();
        let waker = registry.subscribe().expect("there are files");
        let woken = || {
            let mut count = [0; 8];
            rustix::io::read(&waker, &mut count).is_ok().then(|| u64::from_ne_bytes(count))
        };
        assert_eq!(woken(), None);
        registry.register(guid(1), Arc::new(Nobody)).expect("it is free");
        assert_eq!(woken(), Some(1));
        let _ = registry.register(guid(1), Arc::new(Nobody));
        assert_eq!(woken(), None);
        registry.unregister(guid(1)).expect("it is there");
        assert_eq!(woken(), Some(1));
    }

    #[test]
    fn threads_register_and_unregister_at_once() {
        let registry = Registry::new();
        thread::scope(|scope| {
            for number in 0..8 {
                let registry = &registry;
                scope.spawn(move || {
                    for turn in 0..200 {
                        let mine = guid(number * 1_000 + turn);
                        registry.register(mine, Arc::new(Nobody)).expect("it is mine");
                        assert!(registry.register(mine, Arc::new(Nobody)).is_err());
                        registry.lookup(mine).expect("it is there");
                        if turn % 2 == 0 {
                            registry.unregister(mine).expect("it is there");
                        }
                        // Everybody's: one wins.
                        let _ = registry.register(guid(u128::MAX), Arc::new(Nobody));
                        let _ = registry.unregister(guid(u128::MAX));
                    }
                });
            }
        });
        let left = registry.guids();
        assert_eq!(left.iter().filter(|guid| guid.as_u128() != u128::MAX).count(), 8 * 100);
    }

    proptest! {
        #[test]
        fn settings_are_read_again(guids: Vec<u128>) {
            let selection = Selection::Only(guids.into_iter().map(guid).collect());
            if selection != Selection::Only(Vec::new()) {
                prop_assert_eq!(selection.to_string().parse::<Selection>().ok(), Some(selection));
            }
        }

        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0u128..4), 0..40)) {
            let registry = Registry::new();
            let mut expected = std::collections::BTreeSet::new();
            for (add, number) in steps {
                if add {
                    let added = registry.register(guid(number), Arc::new(Nobody)).is_ok();
                    prop_assert_eq!(added, expected.insert(guid(number)));
                } else {
                    let removed = registry.unregister(guid(number)).is_ok();
                    prop_assert_eq!(removed, expected.remove(&guid(number)));
                }
                prop_assert_eq!(registry.guids(), expected.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
