// SPDX-License-Identifier: MIT OR Apache-2.0

//! Listening and accepting. Everything has a bound: connections, the size of what is asked, and every wait.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::anyhow;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use mutex_stats::local_socket::SocketFile;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;

use super::access::Origin;
use super::patient::Patient;
use super::site::Site;
use crate::config::Http;
use crate::local;
use crate::own::Own;
use crate::reason;

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 16 << 10;

/// What is said to one too many, before a word of theirs is read.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
                      content-length: 0\r\n\r\n";

/// What is said to who may not ask over the local socket.
const FORBIDDEN: &[u8] =
    b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-type: application/json\r\n\
      content-length: 85\r\n\r\n\
      {\"error\":\"only root, mutexd's own user and members of http.group may ask over this\"}\n";

/// What answers, which changes with the configuration.
type Shared = Arc<RwLock<Arc<Site>>>;

/// The listening addresses, and who accepts on each.
pub struct Server {
    own: Arc<Own>,
    listeners: Vec<Listener>,
    /// Of the next configuration: not yet accepting.
    bound: Vec<(SocketAddr, TcpListener)>,
    /// Addresses of the next configuration that are listened to already.
    kept: Vec<SocketAddr>,
    local: Option<Local>,
    /// Of the next configuration; it accepts already, and has nobody yet who answers.
    next_local: NextLocal,
    site: Option<Shared>,
}

/// The local socket.
struct Local {
    path: PathBuf,
    file: SocketFile,
    task: JoinHandle<()>,
}

/// What becomes of the local socket with the next configuration.
#[derive(Default)]
enum NextLocal {
    /// There will be none.
    #[default]
    None,
    /// It stays, for that group.
    Kept(Option<u32>),
    Bound(PathBuf, UnixListener, SocketFile),
}

struct Listener {
    /// As it was asked for: port 0 is any.
    asked: SocketAddr,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub fn new(own: Arc<Own>) -> Self {
        Server {
            own,
            listeners: vec![],
            bound: vec![],
            kept: vec![],
            local: None,
            next_local: NextLocal::None,
            site: None,
        }
    }

    /// Listens where those settings say, in addition to where it listens now.
    ///
    /// # Errors
    ///
    /// The first address that cannot be had.
    pub async fn bind(&mut self, settings: &Http) -> anyhow::Result<()> {
        self.bound.clear();
        self.kept.clear();
        self.next_local = self.bind_local(settings)?;
        for &address in &settings.listening_address {
            if self.listeners.iter().any(|listener| listener.asked == address) {
                self.kept.push(address);
                continue;
            }
            let bound = TcpListener::bind(address).await.map_err(|error| {
                anyhow!(
                    "cannot listen on {address}: {}; set http.listening_address to an address \
                         of this host and a port that is free",
                    reason(&error)
                )
            });
            match bound {
                Ok(listener) => self.bound.push((address, listener)),
                Err(error) => {
                    self.bound.clear();
                    self.next_local = NextLocal::None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn bind_local(&self, settings: &Http) -> anyhow::Result<NextLocal> {
        let path = settings.socket.as_path();
        if path.as_os_str().is_empty() {
            return Ok(NextLocal::None);
        }
        let group = local::group("http.group", &settings.group)?;
        let is_it = |local: &Local| local.path == path && local.file.is_there();
        if self.local.as_ref().is_some_and(is_it) {
            return Ok(NextLocal::Kept(group));
        }
        let bound = SocketFile::listen(path, mode_for(group), group).and_then(|(socket, file)| {
            socket.set_nonblocking(true)?;
            Ok(NextLocal::Bound(path.to_owned(), UnixListener::from_std(socket)?, file))
        });
        bound.map_err(|error| local::cannot_listen("http", path, &error))
    }

    /// Where it will listen with the next configuration.
    pub fn next_addresses(&self) -> Vec<SocketAddr> {
        let kept = self.listeners.iter().filter(|listener| self.kept.contains(&listener.asked));
        let kept = kept.map(|listener| listener.address);
        let bound = self.bound.iter().filter_map(|(_, listener)| listener.local_addr().ok());
        kept.chain(bound).collect()
    }

    /// Answers with `site` from now on, where [`Server::bind`] said and nowhere else.
    pub fn serve(&mut self, site: Site) {
        let site = Arc::new(site);
        let shared = self.site.get_or_insert_with(|| Arc::new(RwLock::new(site.clone()))).clone();
        *shared.write().unwrap_or_else(PoisonError::into_inner) = site;
        let kept = std::mem::take(&mut self.kept);
        self.listeners.retain(|listener| {
            let is_kept = kept.contains(&listener.asked);
            if !is_kept {
                listener.task.abort();
            }
            is_kept
        });
        for (asked, listener) in self.bound.drain(..) {
            let address = listener.local_addr().unwrap_or(asked);
            let front = Front::new(Origin::Network, &self.own, &shared);
            let task = tokio::spawn(accept(listener, Arc::new(front)));
            self.listeners.push(Listener { asked, address, task });
        }
        match std::mem::take(&mut self.next_local) {
            NextLocal::Kept(group) => {
                let permitted =
                    self.local.as_ref().map(|local| local.file.permit(mode_for(group), group));
                if let Some(Err(error)) = permitted {
                    tracing::error!("http.group: cannot change who may ask: {}", reason(&error));
                }
            }
            next => {
                if let Some(local) = self.local.take() {
                    local.task.abort();
                }
                if let NextLocal::Bound(path, socket, file) = next {
                    let front = Front::new(Origin::Local, &self.own, &shared);
                    let task = tokio::spawn(accept_local(socket, Arc::new(front)));
                    self.local = Some(Local { path, file, task });
                }
            }
        }
    }

    /// Where it listens, as text.
    pub fn addresses(&self) -> String {
        let local = self.local.iter().map(|local| local.path.display().to_string());
        let addresses = self.listeners.iter().map(|listener| listener.address.to_string());
        addresses.chain(local).collect::<Vec<_>>().join(", ")
    }

    /// Accepts nobody any more, and lets answers that have begun end, for some seconds.
    pub async fn end(&mut self) {
        for listener in self.listeners.drain(..) {
            listener.task.abort();
        }
        if let Some(local) = self.local.take() {
            local.task.abort();
        }
        self.own.ending.send_replace(true);
        for _ in 0..100 {
            if self.own.connections.load(Relaxed) == 0 {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        tracing::debug!("somebody is still connected");
    }
}

/// The mode of the local socket: who may connect may ask everything.
fn mode_for(group: Option<u32>) -> u32 {
    if group.is_some() { 0o660 } else { 0o600 }
}

/// What every connection needs.
struct Front {
    origin: Origin,
    own: Arc<Own>,
    site: Shared,
    stop: watch::Receiver<bool>,
    /// Connections of this origin, which have a bound of their own: who may ask over the local socket is not kept away by
    /// who may connect to an address.
    connections: Arc<AtomicUsize>,
}

impl Front {
    fn new(origin: Origin, own: &Arc<Own>, site: &Shared) -> Self {
        let connections = match origin {
            Origin::Local => own.local_connections.clone(),
            Origin::Network => own.network_connections.clone(),
        };
        let stop = own.ending.subscribe();
        Front { origin, own: own.clone(), site: site.clone(), stop, connections }
    }

    fn site(&self) -> Arc<Site> {
        self.site.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => welcome(stream, peer, &front),
            Err(error) => {
                // Of this host's, such as too many open files; or of a client that is gone already.
                tracing::warn!("cannot accept a connection: {}", reason(&error));
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept_local(listener: UnixListener, front: Arc<Front>) {
    let own_uid = rustix::process::geteuid().as_raw();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                welcome_local(stream, uid, own_uid, &front);
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {}", reason(&error));
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Counts a connection while it lives.
struct Guest(Arc<Own>, Arc<AtomicUsize>);

impl Guest {
    /// If there is room for one more.
    fn new(front: &Front, most: usize) -> Option<Self> {
        let before = front.connections.fetch_add(1, Relaxed);
        front.own.connections.fetch_add(1, Relaxed);
        let guest = Guest(front.own.clone(), front.connections.clone());
        if before >= most {
            front.own.refused.fetch_add(1, Relaxed);
            return None;
        }
        Some(guest)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
        self.1.fetch_sub(1, Relaxed);
    }
}

/// Says one thing, and hangs up. There is room for it in an empty buffer.
fn turn_away(
    mut stream: impl AsyncWrite + Send + Unpin + 'static,
    site: &Site,
    what: &'static [u8],
) {
    let patience = site.request_timeout;
    tokio::spawn(async move { drop(timeout(patience, stream.write_all(what)).await) });
}

fn welcome(stream: TcpStream, peer: SocketAddr, front: &Arc<Front>) {
    let site = front.site();
    // What is written is whole; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let Some(guest) = Guest::new(front, site.max_connections) else {
        tracing::debug!("{peer} is one connection too many");
        turn_away(stream, &site, FULL);
        return;
    };
    let front = front.clone();
    tokio::spawn(async move {
        let _guest = guest;
        match &site.tls {
            None => serve(stream, &site, &front).await,
            Some(tls) => match timeout(site.request_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, &site, &front).await,
                Ok(Err(error)) => tracing::debug!("{peer}: {error}"),
                Err(_) => tracing::debug!("{peer}: TLS took too long"),
            },
        }
    });
}

/// The kernel has let in only who may write to the socket's file: with a group, its members too. Without one that is nobody
/// but root and this user, whatever has become of the file's mode meanwhile.
fn welcome_local(stream: UnixStream, uid: Option<u32>, own_uid: u32, front: &Arc<Front>) {
    let site = front.site();
    let is_owner = uid.is_some_and(|uid| uid == 0 || uid == own_uid);
    let is_member = site.has_group && uid.is_some();
    if !is_owner && !is_member {
        tracing::warn!(uid, "somebody who may not ask has connected to http.socket");
        turn_away(stream, &site, FORBIDDEN);
        return;
    }
    let Some(guest) = Guest::new(front, site.max_connections) else {
        tracing::debug!(uid, "one connection to http.socket is too many");
        turn_away(stream, &site, FULL);
        return;
    };
    let front = front.clone();
    tokio::spawn(async move {
        let _guest = guest;
        serve(stream, &site, &front).await;
    });
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, site: &Site, front: &Arc<Front>) {
    let service = service_fn(|request: hyper::Request<Incoming>| async {
        Ok::<_, Infallible>(front.site().answer(front.origin, request, &front.own).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(site.idle_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Patient::new(stream, site.request_timeout)), service);
    let mut connection = pin!(connection);
    let mut stop = front.stop.clone();
    let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
    let done = tokio::select! {
        done = connection.as_mut() => Some(done),
        () = stopped => None,
    };
    let done = if let Some(done) = done {
        done
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = done {
        tracing::debug!("a connection ended early: {error}");
    }
}
