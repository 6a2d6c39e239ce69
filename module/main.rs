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

use crate::books::Books;
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
    params: {
        max_connections: u32 {
            default: 65536,
            description: "Connections that are kept at once (16 to 16777216)",
        },
        max_fds: u32 {
            default: 65536,
            description: "Socket fds that are kept at once (16 to 16777216)",
        },
        max_alerts: u32 {
            default: 1000,
            description: "Alerts that are kept (1 to 1048576)",
        },
        timeout_tcp: u32 {
            default: 7440,
            description: "Seconds until an established TCP connection counts as ended (RFC 5382)",
        },
        timeout_tcp_opening: u32 {
            default: 120,
            description: "The same before its handshake is complete, or if only one end was ever heard",
        },
        timeout_tcp_closing: u32 {
            default: 240,
            description: "The same after the first FIN",
        },
        timeout_one_way: u32 {
            default: 30,
            description: "Seconds until UDP and others count as ended without an answer",
        },
        timeout_two_way: u32 {
            default: 180,
            description: "The same with an answer",
        },
        timeout_icmp: u32 {
            default: 30,
            description: "The same for ICMP and ICMPv6",
        },
        timeout_closed: u32 {
            default: 5,
            description: "Seconds that an ended connection stays visible",
        },
        timeout_fd: u32 {
            default: 60,
            description: "Seconds that a socket fd without connections stays visible",
        },
    },
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
        pr_info!(
            "counting, up to {} connections and {} fds\n",
            module_parameters::max_connections.value(),
            module_parameters::max_fds.value()
        );
        Ok(Module { _registered: Some(registered) })
    }
}
