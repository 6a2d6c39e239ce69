// SPDX-License-Identifier: MIT OR Apache-2.0

//! The life of the daemon: it starts its parts, answers, reads its configuration again, and ends.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Severity;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::config::Config;
use crate::guard;
use crate::http::Server;
use crate::http::Site;
use crate::log;
use crate::own::Own;
use crate::part::Parts;
use crate::pid_file::PidFile;
use crate::service;

/// What the daemon as a whole is called among its parts.
const NAME: &str = "daemon";

/// How long parts may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until a signal says that it is enough. `ready` is called when everything works.
///
/// # Errors
///
/// Why it could not start.
pub fn run(file: Option<&Path>, is_background: bool, ready: impl FnOnce()) -> anyhow::Result<()> {
    let config = Config::find(file)?;
    // Before the log, which may be kept in the same folder.
    let pid_file = PidFile::take(&config.state_folder)?;
    let default_log = is_background.then(|| config.state_folder.join("mutexd.log"));
    let log = log::start(&config.log, default_log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let done = runtime.block_on(async {
        let mut daemon = match Daemon::start(file, config, log).await {
            Ok(daemon) => daemon,
            Err(error) => {
                tracing::error!("{error:#}");
                return Err(error);
            }
        };
        ready();
        daemon.serve().await;
        daemon.end().await;
        Ok(())
    });
    // A part that has not ended in time is left to the system.
    runtime.shutdown_background();
    drop(pid_file);
    done
}

struct Daemon {
    file: Option<PathBuf>,
    config: Config,
    log: log::Handle,
    own: Arc<Own>,
    parts: Parts,
    server: Server,
    signals: Signals,
    /// Tells what parts do not tell themselves.
    guard: JoinHandle<()>,
}

/// What the daemon listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

/// What a signal says.
enum Told {
    /// By the signal of that name.
    End(&'static str),
    Reload,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.interrupt.recv() => Told::End("SIGINT"),
            _ = self.reload.recv() => Told::Reload,
        }
    }

    /// Waits for the next one that ends the daemon.
    async fn end(&mut self) -> &'static str {
        loop {
            if let Told::End(name) = self.next().await {
                return name;
            }
        }
    }
}

impl Daemon {
    async fn start(file: Option<&Path>, config: Config, log: log::Handle) -> anyhow::Result<Self> {
        let signals = Signals::new()?;
        let own = Arc::new(Own::new(config.monitor.samples));
        let mut server = Server::new(own.clone());
        // Who cannot listen has nothing to start parts for.
        server.bind(&config.http).await?;
        let parts = start_parts(&config, &own).await?;
        let site = match Site::new(&config, &parts, &own, &server.next_addresses()) {
            Ok(site) => site,
            Err(error) => {
                end_parts(parts).await;
                return Err(error);
            }
        };
        server.serve(site);
        let addresses = server.addresses();
        let message = format!("mutexd is ready, and listens on {addresses}");
        let entry = Entry::custom("daemon_started", Severity::Info, message);
        own.journal.tell(NAME, entry.with("version", env!("CARGO_PKG_VERSION")));
        service::ready(&format!("listens on {addresses}"));
        let guard = guard::start(&parts, &own);
        Ok(Daemon {
            file: file.map(Path::to_owned),
            config,
            log,
            own,
            parts,
            server,
            signals,
            guard,
        })
    }

    /// Answers until it is enough.
    async fn serve(&mut self) {
        let watchdog = service::watchdog();
        loop {
            let alive = async {
                match watchdog {
                    Some(interval) => sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = self.signals.next() => match told {
                    Told::End(name) => {
                        let message = format!("mutexd ends: {name}");
                        let entry = Entry::custom("daemon_ends", Severity::Info, message);
                        self.own.journal.tell(NAME, entry);
                        return;
                    }
                    Told::Reload => {
                        service::reloading();
                        self.log.reopen();
                        self.reload().await;
                        service::ready(&format!("listens on {}", self.server.addresses()));
                    }
                },
                () = alive => self.tell_alive().await,
            }
        }
    }

    /// Tells the service manager that parts still answer.
    async fn tell_alive(&self) {
        let parts = self.parts.clone();
        let asked = tokio::task::spawn_blocking(move || {
            for part in parts.iter() {
                part.health();
            }
        });
        if timeout(PATIENCE, asked).await.is_ok() {
            service::alive();
        }
    }

    async fn reload(&mut self) {
        match self.change().await {
            Ok(()) => {
                self.own.reloads.fetch_add(1, Relaxed);
                let message = "the configuration was read again";
                let entry = Entry::custom("configuration_read", Severity::Info, message);
                self.own.journal.tell(NAME, entry);
            }
            Err(error) => {
                self.own.reload_errors.fetch_add(1, Relaxed);
                let message = format!("the configuration stays as it was: {error:#}");
                let entry = Entry::custom("configuration_refused", Severity::Error, message);
                self.own.journal.tell(NAME, entry);
            }
        }
    }

    async fn change(&mut self) -> anyhow::Result<()> {
        let config = Config::find(self.file.as_deref())?;
        Site::check(&config)?;
        for (setting, has_changed) in [
            ("state_folder", config.state_folder != self.config.state_folder),
            ("log.file", config.log.file != self.config.log.file),
            ("log.format", config.log.format != self.config.log.format),
            ("monitor.samples", config.monitor.samples != self.config.monitor.samples),
        ] {
            if has_changed {
                tracing::warn!("{setting} is read when mutexd starts; restart it");
            }
        }
        // What can fail comes first: nothing has changed until it has all been found right.
        self.server.bind(&config.http).await?;
        let (old, new, own) = (self.config.clone(), config.clone(), self.own.clone());
        self.guard.abort();
        let parts = std::mem::take(&mut self.parts);
        let changed = tokio::task::spawn_blocking(move || parts.change(&old, &new, &own));
        let (parts, errors) = changed.await?;
        self.parts = parts;
        let addresses = self.server.next_addresses();
        self.server.serve(Site::new(&config, &self.parts, &self.own, &addresses)?);
        self.guard = guard::start(&self.parts, &self.own);
        self.log.set(config.log.level);
        self.config = config;
        for error in errors {
            let entry = Entry::custom("part_fault", Severity::Error, format!("{error:#}"));
            self.own.journal.tell(NAME, entry);
        }
        Ok(())
    }

    async fn end(mut self) {
        service::stopping();
        self.guard.abort();
        let parts = std::mem::take(&mut self.parts);
        let ended = async {
            self.server.end().await;
            end_parts(parts).await;
        };
        tokio::select! {
            done = timeout(PATIENCE, ended) => if done.is_ok() {
                tracing::info!("mutexd has ended");
            } else {
                tracing::error!("a part has not ended after {} s", PATIENCE.as_secs());
            },
            name = self.signals.end() => tracing::warn!("mutexd ends at once: {name} again"),
        }
    }
}

async fn start_parts(config: &Config, own: &Arc<Own>) -> anyhow::Result<Parts> {
    let (config, own) = (config.clone(), own.clone());
    tokio::task::spawn_blocking(move || Parts::start(&config, &own)).await?
}

async fn end_parts(parts: Parts) {
    if let Err(error) = tokio::task::spawn_blocking(move || parts.shutdown()).await {
        tracing::error!("a part could not be ended: {error}");
    }
}
