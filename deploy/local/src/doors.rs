//! Doors before services of which there is one each: whoever comes while one is being replaced waits for its successor, where they
//! would find nobody else.
//!
//! Compose ends a container before it starts the next. A door is shut as soon as the service says at `/readyz` that it stops: it
//! finishes what is in (`LINGER_MS`), and nobody comes to it whom it would not let in any more. It is opened when the successor
//! says that it is ready. Shut for longer than [`HOLDS_FOR`], nobody waits any more, and everybody is sent away at once. A line
//! on standard error tells of each of these turns.
//!
//! Bytes go through as they are, and nothing is sent twice. Where replicas are replaced one after the other, as in
//! production, nobody needs a door.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::header::CONNECTION;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::console::say;
use crate::loopback;

/// For so long a door may be shut with people before it: shorter than the gateway waits for an answer.
pub const HOLDS_FOR: Duration = Duration::from_secs(12);
/// How often, and with how much patience, a service is asked whether it is ready.
const ASKED_EVERY: Duration = Duration::from_millis(100);
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may take on the containers' network, and when it is tried again.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Connections at once; more than the gateway and the other services make.
const AT_ONCE: usize = 4_096;

/// A door. It ends, and cuts who has gone through it, when dropped.
pub struct Door {
    address: SocketAddr,
    _stopping: DropGuard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    ShutSince(Instant),
    ShutForLong,
}

impl Door {
    /// A door at `address` before `service`, as host:port.
    ///
    /// # Errors
    ///
    /// When the address is taken.
    pub async fn before(service: String, address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("a door at {address}"))?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let (state, seen) = watch::channel(State::ShutSince(Instant::now()));
        let service: Arc<str> = service.into();
        let watching = watch_over(loopback::http()?, Arc::clone(&service), state);
        tokio::spawn(stopping.clone().run_until_cancelled_owned(watching));
        let letting_in = let_in(listener, service, seen, stopping.clone());
        tokio::spawn(stopping.clone().run_until_cancelled_owned(letting_in));
        Ok(Self {
            address,
            _stopping: stopping.drop_guard(),
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl State {
    fn next(self, ready: bool, now: Instant) -> Self {
        match (self, ready) {
            (_, true) => Self::Open,
            (Self::Open, false) => Self::ShutSince(now),
            (Self::ShutSince(since), false) if now >= since + HOLDS_FOR => Self::ShutForLong,
            (Self::ShutSince(_) | Self::ShutForLong, false) => self,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits_s = HOLDS_FOR.as_secs();
        match self {
            Self::Open => f.write_str("is open"),
            Self::ShutSince(_) => write!(
                f,
                "is shut, since it is not ready: who comes waits for {waits_s} s at the most"
            ),
            Self::ShutForLong => write!(
                f,
                "has been shut for {waits_s} s: who comes is sent away until it is ready"
            ),
        }
    }
}

/// Opens and shuts it, and tells. By a new connection each time, since the one before leads to the predecessor.
async fn watch_over(http: reqwest::Client, service: Arc<str>, state: watch::Sender<State>) {
    let url = format!("http://{service}/readyz");
    loop {
        let asked = http.get(&url).header(CONNECTION, "close").timeout(ANSWERS_WITHIN);
        let ready = asked.send().await.is_ok_and(|answer| answer.status().is_success());
        let turned = state.send_if_modified(|state| {
            let before = *state;
            *state = before.next(ready, Instant::now());
            *state != before
        });
        if turned {
            say(format_args!("the door before {service} {}", *state.borrow()));
        }
        sleep(ASKED_EVERY).await;
    }
}

async fn let_in(listener: TcpListener, service: Arc<str>, state: watch::Receiver<State>, stopping: CancellationToken) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    // It is never closed.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let Ok((client, _)) = listener.accept().await else {
            // Out of descriptors: those who are in may go.
            sleep(TRIED_AGAIN_AFTER).await;
            continue;
        };
        let (service, state) = (Arc::clone(&service), state.clone());
        let visit = async move {
            visit(client, &service, state).await;
            drop(place);
        };
        tokio::spawn(stopping.clone().run_until_cancelled_owned(visit));
    }
}

/// Whoever cannot be let in is let go without a word, as by a machine on which nobody listens.
async fn visit(mut client: TcpStream, service: &str, mut state: watch::Receiver<State>) {
    let Some(mut behind) = reached(service, &mut state).await else {
        return;
    };
    // Small messages either way: none is worth waiting for the next. Where it cannot be said, it is only slower.
    let _ = (client.set_nodelay(true), behind.set_nodelay(true));
    // One side breaking off ends both, and each hears of it by that.
    let _ = copy_bidirectional(&mut client, &mut behind).await;
}

/// A connection to the service, once it is open. Nothing that the client sent has been read by then.
async fn reached(service: &str, state: &mut watch::Receiver<State>) -> Option<TcpStream> {
    let deadline = Instant::now() + HOLDS_FOR;
    while Instant::now() < deadline {
        let now = *state.borrow_and_update();
        match now {
            State::Open => match timeout(CONNECTS_WITHIN, TcpStream::connect(service)).await {
                Ok(Ok(behind)) => return Some(behind),
                // It was killed, which will be noticed in a moment.
                Ok(Err(_)) | Err(_) => sleep(TRIED_AGAIN_AFTER).await,
            },
            State::ShutSince(since) => timeout_at(since + HOLDS_FOR, state.changed()).await.ok()?.ok()?,
            State::ShutForLong => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_of_a_door_is_told_once_for_all_who_come() {
        let began = Instant::now();
        let mut state = State::ShutSince(began);
        let mut told = Vec::new();
        for (second, ready) in [
            (0, false),
            (1, true),
            (2, true),
            (3, false),
            (4, false),
            (14, false),
            (15, false),
            (16, false),
            (17, true),
            (18, false),
            (19, true),
        ] {
            let next = state.next(ready, began + Duration::from_secs(second));
            if next != state {
                told.push((second, next.to_string()));
            }
            state = next;
        }
        let waits = "is shut, since it is not ready: who comes waits for 12 s at the most";
        let sent_away = "has been shut for 12 s: who comes is sent away until it is ready";
        let wanted = [
            (1, "is open"),
            (3, waits),
            (15, sent_away),
            (17, "is open"),
            (18, waits),
            (19, "is open"),
        ];
        assert_eq!(told, wanted.map(|(second, line)| (second, line.to_owned())));
    }
}
