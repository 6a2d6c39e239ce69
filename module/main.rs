// SPDX-License-Identifier: GPL-2.0-only

//! MUTEX: exact network accounting.
//!
//! `account` takes in what the kernel tells, `books` keeps it, `files` shows it, `watch` hands on what
//! happens; how it is counted
//! is in the crate `mutex_core`, and everything unsafe in `sys`.

mod account;
mod books;
mod config;
mod files;
mod sys;
mod watch;

use kernel::prelude::*;
use mutex_core::selftest;

use crate::books::Books;
use crate::sys::host;
use crate::sys::memory::Zeroed;
use crate::sys::netfilter::Hooks;
use crate::sys::probes::Probes;
use crate::sys::proc::Directory;
use crate::sys::work::Work;

module! {
    type: Module,
    name: "mutex",
    authors: ["The MUTEX authors"],
    description: "Exact network accounting",
    license: "GPL v2",
}

/// Computes what has known answers; a module that cannot is not to count anybody's traffic.
fn test_itself() -> Result {
    selftest::run(&mut Zeroed::new(selftest::ROOM)?).map_err(|part| {
        pr_err!("self-test: {} is computed wrongly by this build on this machine, so it is not loaded\n", part.name());
        ENODEV
    })
}

/// What the module has registered. Fields are dropped in their order, so first nobody
/// reads any more, then nothing is told and no packet comes, then nothing is swept, and then the books go.
struct Registered {
    _files: Directory<Books>,
    _probes: Probes<Books>,
    _hooks: Hooks<Books>,
    _sweep: Work<Books>,
}

impl Registered {
    fn new() -> Result<Self> {
        test_itself()?;
        let books = Books::new(config::engine()?)?;
        let sweep = Work::start(books.clone())?;
        let hooks = Hooks::register(books.clone()).inspect_err(|error| {
            pr_err!("the netfilter hooks can't be registered ({:?})\n", error);
        })?;
        let probes = Probes::register(books.clone()).inspect_err(|error| {
            pr_err!("the tracepoints can't be attached to ({:?})\n", error);
        })?;
        let files = files::create(books).inspect_err(|error| {
            pr_err!("/proc/mutex can't be made ({:?}); is there one already?\n", error);
        })?;
        Ok(Registered { _files: files, _probes: probes, _hooks: hooks, _sweep: sweep })
    }
}

/// The loaded module. The one that tests itself registers nothing but in its tests.
struct Module {
    _registered: Option<Registered>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if cfg!(mutex_kunit) {
            return Ok(Module { _registered: None });
        }
        let registered = Registered::new()?;
        let parameters = host::parameters();
        pr_info!(
            "counting, up to {} connections and {} fds\n",
            parameters.max_connections,
            parameters.max_fds
        );
        Ok(Module { _registered: Some(registered) })
    }
}
