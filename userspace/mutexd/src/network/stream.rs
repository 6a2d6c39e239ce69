// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the live page is told as it happens: server-sent events, for a bounded number of viewers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use axum::body::Body;
use axum::body::Bytes;
use axum::body::HttpBody;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Frame;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use super::Network;
use super::glance::Glance;
use crate::http::failure;
use crate::http::of_type;
use crate::own::Own;

/// Pieces that may wait for a viewer; who has not taken them misses the next ones.
const WAITING: usize = 4;

/// Points that a viewer is told of at most when it begins: as many as the page shows.
const SHOWN: usize = 300;

/// The last look at the image, which all viewers share.
#[derive(Default)]
pub struct Shared(Option<(Instant, Arc<str>)>);

/// Counts a viewer while it looks.
struct Viewer(Arc<Own>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Relaxed);
    }
}

/// Begins to tell a viewer.
pub fn begin(network: &Arc<Network>) -> Response {
    let own = network.own.clone();
    let before = own.viewers.fetch_add(1, Relaxed);
    let viewer = Viewer(own);
    if before >= network.page.max_viewers {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "as many look at the page as may");
    }
    let (send, pieces) = mpsc::channel(WAITING);
    tokio::spawn(tell(network.clone(), send, viewer));
    of_type("text/event-stream", StatusCode::OK, Body::new(Pieces(pieces)))
}

/// A body that comes piece by piece.
struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Waits until that is so.
async fn becomes_true(mut what: watch::Receiver<bool>) {
    // Who could say so and is gone has said so.
    let _ = what.wait_for(|what| *what).await;
}

/// Tells a viewer everything, until it has gone or the daemon goes.
async fn tell(network: Arc<Network>, viewer: mpsc::Sender<Bytes>, _counted: Viewer) {
    let (part_ends, daemon_ends) = (network.ended.subscribe(), network.own.ending.subscribe());
    let telling = async {
        let mut last = 0;
        let mut points = interval(network.interval.max(Duration::from_millis(500)));
        let mut glances = interval(network.page.interval);
        points.set_missed_tick_behavior(MissedTickBehavior::Delay);
        glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let piece = tokio::select! {
                _ = points.tick() => {
                    let (new, number) = network.points(SHOWN, last, u64::MAX);
                    last = number;
                    let problem = network.sampler.problem();
                    event("points", &json!({ "points": new, "problem": problem }).to_string())
                }
                _ = glances.tick() => match glance(network.clone()).await {
                    Some(text) => event("glance", &text),
                    None => continue,
                },
            };
            // Who does not read is waited for; who writes to them gives up some time.
            if viewer.send(piece).await.is_err() {
                return;
            }
            network.own.told.http.item_sent();
        }
    };
    tokio::select! {
        () = telling => {}
        () = viewer.closed() => {}
        () = becomes_true(part_ends) => {}
        () = becomes_true(daemon_ends) => {}
    }
}

fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// A look at the image; one that another viewer has just had is good enough.
async fn glance(network: Arc<Network>) -> Option<Arc<str>> {
    let mut shared = network.glance.lock().await;
    if let Some((at, text)) = &shared.0 {
        if at.elapsed() < network.page.interval / 2 {
            network.own.told.page.cache_hit();
            return Some(text.clone());
        }
    }
    network.own.told.page.cache_miss();
    let (looking, began) = (network.clone(), Instant::now());
    let looked = tokio::task::spawn_blocking(move || looking.look());
    let text: Arc<str> = looked.await.ok()??.to_string().into();
    network.own.told.page.read(began.elapsed());
    shared.0 = Some((Instant::now(), text.clone()));
    Some(text)
}

impl Network {
    /// What there is to see, if the module is there.
    pub fn look(&self) -> Option<Value> {
        let mut glance = Glance::new(self.page.rows, self.holders());
        self.visit(&mut glance).ok()?;
        Some(glance.into_json())
    }
}
