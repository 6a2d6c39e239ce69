// SPDX-License-Identifier: MIT OR Apache-2.0

//! Listening and accepting. Everything has a bound: connections, the size of what is asked, and every wait.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::anyhow;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;

use super::patient::Patient;
use super::site::Site;
use crate::config::Http;
use crate::own::Own;
use crate::reason;

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 16 << 10;

/// What is said to one too many, before a word of theirs is read.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
                      content-length: 0\r\n\r\n";

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
    site: Option<Shared>,
}

struct Listener {
    /// As it was asked for: port 0 is any.
    asked: SocketAddr,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub fn new(own: Arc<Own>) -> Self {
        Server { own, listeners: vec![], bound: vec![], kept: vec![], site: None }
    }

    /// Listens where those settings say, in addition to where it listens now.
    ///
    /// # Errors
    ///
    /// The first address that cannot be had.
    pub async fn bind(&mut self, settings: &Http) -> anyhow::Result<()> {
        self.bound.clear();
        self.kept.clear();
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
                    return Err(error);
                }
            }
        }
        Ok(())
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
            let front = Front {
                own: self.own.clone(),
                site: shared.clone(),
                stop: self.own.ending.subscribe(),
            };
            let task = tokio::spawn(accept(listener, Arc::new(front)));
            self.listeners.push(Listener { asked, address, task });
        }
    }

    /// Where it listens, as text.
    pub fn addresses(&self) -> String {
        let all: Vec<String> =
            self.listeners.iter().map(|listener| listener.address.to_string()).collect();
        all.join(", ")
    }

    /// Accepts nobody any more, and lets answers that have begun end, for some seconds.
    pub async fn end(&mut self) {
        for listener in self.listeners.drain(..) {
            listener.task.abort();
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

/// What every connection needs.
struct Front {
    own: Arc<Own>,
    site: Shared,
    stop: watch::Receiver<bool>,
}

impl Front {
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

/// Counts a connection while it lives.
struct Guest(Arc<Own>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

fn welcome(mut stream: TcpStream, peer: SocketAddr, front: &Arc<Front>) {
    let site = front.site();
    let before = front.own.connections.fetch_add(1, Relaxed);
    let guest = Guest(front.own.clone());
    // What is written is whole; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    if before >= site.max_connections {
        front.own.refused.fetch_add(1, Relaxed);
        tracing::debug!("{peer} is one connection too many");
        drop(guest);
        // There is room for it in an empty buffer.
        tokio::spawn(
            async move { drop(timeout(site.request_timeout, stream.write_all(FULL)).await) },
        );
        return;
    }
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

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, site: &Site, front: &Arc<Front>) {
    let service = service_fn(|request: hyper::Request<Incoming>| async {
        Ok::<_, Infallible>(front.site().answer(request, &front.own).await)
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
