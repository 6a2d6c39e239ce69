// SPDX-License-Identifier: GPL-2.0-only

//! What the tests in `kunit.c` need of Rust, and the tests of what is in Rust here.

use kernel::prelude::*;

use crate::Registered;

/// Registers all that the module does; gives an error pointer if that fails.
#[no_mangle]
extern "C" fn mutex_kunit_load() -> *mut c_void {
    let registered = Registered::new().and_then(|all| Ok(KBox::new(all, GFP_KERNEL)?));
    match registered {
        Ok(all) => KBox::into_raw(all).cast(),
        Err(error) => error.to_ptr(),
    }
}

/// # Safety
///
/// `loaded` is from `mutex_kunit_load`, and this is its last use.
#[no_mangle]
unsafe extern "C" fn mutex_kunit_unload(loaded: *mut c_void) {
    // SAFETY: By the contract of this function.
    drop(unsafe { KBox::from_raw(loaded.cast::<Registered>()) });
}

#[kunit_tests(mutex_places)]
mod tests {
    use core::sync::atomic::AtomicBool;
    use core::sync::atomic::AtomicU32;
    use core::sync::atomic::Ordering::SeqCst;

    use kernel::sync::Arc;
    use kernel::time::delay::fsleep;
    use kernel::time::Delta;
    use kernel::workqueue;

    use super::super::host;
    use super::super::percpu::PerCpu;
    use super::super::rcu::Places;
    use super::*;

    /// In place of `assert!`, which stops the thread where it is, so that nothing is dropped.
    macro_rules! ensure {
        ($condition:expr) => {
            if !$condition {
                pr_err!("line {}: false: {}\n", line!(), stringify!($condition));
                return Err(EINVAL);
            }
        };
    }

    /// Says when it goes.
    struct Value {
        number: u32,
        counter: Arc<Counter>,
    }

    /// What became of the values.
    struct Counter {
        gone: AtomicU32,
        /// How often a reader began to look at a value.
        looks: AtomicU32,
        /// A reader is looking at a value.
        looking: AtomicBool,
        /// How many readers have ended.
        left: AtomicU32,
        gone_before_it_was_left: AtomicBool,
    }

    impl Drop for Value {
        fn drop(&mut self) {
            if self.counter.looking.load(SeqCst) {
                self.counter.gone_before_it_was_left.store(true, SeqCst);
            }
            self.counter.gone.fetch_add(1, SeqCst);
        }
    }

    fn counter() -> Result<Arc<Counter>> {
        let counter = Counter {
            gone: AtomicU32::new(0),
            looks: AtomicU32::new(0),
            looking: AtomicBool::new(false),
            left: AtomicU32::new(0),
            gone_before_it_was_left: AtomicBool::new(false),
        };
        Ok(Arc::new(counter, GFP_KERNEL)?)
    }

    fn value(counter: &Arc<Counter>, number: u32) -> Result<Arc<Value>> {
        Ok(Arc::new(Value { number, counter: counter.clone() }, GFP_KERNEL)?)
    }

    fn numbers<const N: usize>(places: &Places<Value, N>) -> u32 {
        let mut digits = 0;
        places.for_each(|value| digits = digits * 10 + value.number);
        digits
    }

    fn wait_until(condition: impl Fn() -> bool) -> bool {
        for _ in 0..60_000 {
            if condition() {
                return true;
            }
            fsleep(Delta::from_millis(1));
        }
        false
    }

    #[test]
    fn values_go_once() -> Result {
        let counter = counter()?;
        let places = Places::<Value, 3>::new();
        ensure!(places.is_empty());
        for number in 1..=3 {
            ensure!(places.insert(value(&counter, number)?) == Some(number as usize - 1));
        }
        ensure!(numbers(&places) == 123);
        // There is no room, so it goes at once.
        ensure!(places.insert(value(&counter, 4)?) == None);
        ensure!(counter.gone.load(SeqCst) == 1);
        ensure!(places.taken() == 3);
        places.remove(1);
        ensure!(counter.gone.load(SeqCst) == 2);
        ensure!(numbers(&places) == 13);
        ensure!(places.get(1).is_none());
        ensure!(places.get(3).is_none());
        places.replace(0, value(&counter, 5)?);
        ensure!(counter.gone.load(SeqCst) == 3);
        ensure!(places.insert(value(&counter, 6)?) == Some(1));
        ensure!(numbers(&places) == 563);
        let kept = places.get(2).ok_or(ENOENT)?;
        drop(places);
        ensure!(counter.gone.load(SeqCst) == 5);
        ensure!(kept.number == 3);
        drop(kept);
        ensure!(counter.gone.load(SeqCst) == 6);
        Ok(())
    }

    #[test]
    fn values_stay_while_they_are_looked_at() -> Result {
        let counter = counter()?;
        let places = Arc::new(Places::<Value, 2>::new(), GFP_KERNEL)?;
        for round in 0..5 {
            ensure!(places.insert(value(&counter, round)?) == Some(0));
            let next = if round % 2 == 0 { None } else { Some(value(&counter, 9)?) };
            let (theirs, shared) = (places.clone(), counter.clone());
            let look = move || {
                theirs.for_each(|_| {
                    shared.looking.store(true, SeqCst);
                    shared.looks.fetch_add(1, SeqCst);
                    let begun = host::now_exact();
                    while host::now_exact() - begun < 50_000_000 {
                        core::hint::spin_loop();
                    }
                    shared.looking.store(false, SeqCst);
                });
                shared.left.fetch_add(1, SeqCst);
            };
            workqueue::system_long().try_spawn(GFP_KERNEL, look)?;
            let looked = wait_until(|| counter.looks.load(SeqCst) > round);
            if let Some(next) = next {
                places.replace(0, next);
            }
            places.remove(0);
            // The module may be unloaded after the test, so the closure has to end whatever failed.
            while counter.left.load(SeqCst) <= round {
                fsleep(Delta::from_millis(1));
            }
            ensure!(looked);
        }
        ensure!(counter.gone.load(SeqCst) == 7);
        ensure!(!counter.gone_before_it_was_left.load(SeqCst));
        Ok(())
    }

    #[test]
    fn who_is_pinned_has_its_own_area() -> Result {
        use mutex_core::cpu::Pinned;
        use mutex_core::engine::Cpus;

        let areas = PerCpu::new()?;
        {
            let outer = areas.pin();
            let inner = areas.pin();
            ensure!(core::ptr::eq(outer.cpu(), inner.cpu()));
            let mut found = 0;
            areas.for_each(|cpu| found += u32::from(core::ptr::eq(cpu, outer.cpu())));
            ensure!(found == 1);
        }
        let mut all = 0;
        areas.for_each(|_| all += 1);
        ensure!(areas.bytes() == all * size_of::<mutex_core::cpu::Cpu>());
        Ok(())
    }
}
