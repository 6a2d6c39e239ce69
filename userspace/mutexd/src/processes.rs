// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host's processes, by which is completed and corrected what the kernel module says of them.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use mutex_stats::Holders;

use crate::own::locked;

/// How old may be what is known of them.
const AGE: Duration = Duration::from_secs(5);

/// What is known of them, which all that show commands share.
#[derive(Default)]
pub struct Processes(Mutex<Option<(Instant, PathBuf, Arc<Holders>)>>);

impl Processes {
    /// What is known of the processes beside the folder with the kernel module's files, as they are in `/proc`.
    pub fn beside(&self, proc: &Path) -> Arc<Holders> {
        let folder = proc.parent().unwrap_or(proc);
        let mut known = locked(&self.0);
        match &*known {
            Some((time, path, holders)) if time.elapsed() < AGE && path == folder => {
                holders.clone()
            }
            _ => {
                let holders = Arc::new(Holders::when_needed(folder));
                *known = Some((Instant::now(), folder.to_owned(), holders.clone()));
                holders
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_shared_for_a_while() {
        let processes = Processes::default();
        let first = processes.beside(Path::new("/proc/mutex"));
        assert!(Arc::ptr_eq(&first, &processes.beside(Path::new("/proc/mutex"))));
        assert!(!Arc::ptr_eq(&first, &processes.beside(Path::new("/tmp/mutex"))));
        let old = Instant::now().checked_sub(AGE).expect("the clock is not so young");
        if let Some((time, ..)) = &mut *locked(&processes.0) {
            *time = old;
        }
        let second = processes.beside(Path::new("/tmp/mutex"));
        assert!(Arc::ptr_eq(&second, &processes.beside(Path::new("/tmp/mutex"))));
    }
}
