//! How a server comes and goes: the socket that it is given, whom it tells that it is ready, and how it leaves
//! those who are connected to it.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use actix_web::dev::{Extensions, ServerHandle};
use anyhow::Context;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::CommonSettings;

/// The socket to serve on.
///
/// # Errors
/// The address is taken, or standard input is no listening socket.
pub(super) fn listen(settings: &CommonSettings) -> anyhow::Result<TcpListener> {
    if settings.bind_stdin {
        let handed = || -> io::Result<TcpListener> {
            let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
            listener.local_addr().map(|_| listener)
        };
        return handed().context("BIND_STDIN: standard input is no listening socket");
    }
    TcpListener::bind(settings.bind).with_context(|| format!("BIND: cannot listen on {}", settings.bind))
}

/// Says that requests can come, to whoever wants to be told.
pub(super) fn tell_ready(settings: &CommonSettings) {
    let Some(socket) = &settings.notify_socket else { return };
    let told = UnixDatagram::unbound().and_then(|sender| sender.send_to(b"READY=1", socket));
    if let Err(error) = told {
        tracing::warn!(%error, "NOTIFY_SOCKET was not told");
    }
}

/// The connections of a server, counted.
#[derive(Clone, Debug, Default)]
pub struct Connections(watch::Sender<usize>);

impl Connections {
    /// One more, for as long as what belongs to it is held; for `HttpServer::on_connect`.
    pub fn hold(&self, connection: &mut Extensions) {
        self.0.send_modify(|open| *open += 1);
        connection.insert(Open(self.0.clone()));
    }

    async fn none_is_left(&self) {
        let mut open = self.0.subscribe();
        // It fails when the sender is gone, which is here.
        let _ = open.wait_for(|open| *open == 0).await;
    }
}

struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// How a server stops.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Who has to let go.
    pub connections: Connections,
    /// For how long they may take; and for how long those who do not know yet are let in.
    pub linger: Duration,
    /// Whether others serve on the same socket: then those who come from now on are theirs. Else they are
    /// still let in while this lingers, since they may not know yet that it stops: /readyz tells.
    pub shared: bool,
}

impl Leave {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &CommonSettings) -> Self {
        Self {
            connections: Connections::default(),
            linger: Duration::from_millis(settings.linger_ms),
            shared: settings.bind_stdin,
        }
    }
}

/// Stops an HTTP server in order. Every answer says `connection: close` by now; those who hold a
/// connection have the time to hear that, or to close it because nobody uses it: where the server closed
/// it, a request that may not be sent twice could be on its way. Nobody new comes in, or no longer; when `leaning` is
/// over, those who are in have what is left until `deadline`. The server goes last, since connections that
/// other work leans on may have been opened by its threads, and end with them.
///
/// # Errors
/// Requests were still under way at the deadline.
pub async fn stop_server(
    server: ServerHandle,
    leaning: impl Future<Output = ()>,
    leave: Leave,
    deadline: Instant,
) -> anyhow::Result<()> {
    let let_go = async {
        let until = deadline.min(Instant::now() + leave.linger);
        if leave.shared || leave.linger.is_zero() {
            server.pause().await;
            // Whoever is still there has been told, and does not use it.
            let _ = tokio::time::timeout_at(until, leave.connections.none_is_left()).await;
        } else {
            // Closed as soon as nobody is there, it would be so upon somebody who is just coming: whoever balances in
            // front may not have asked again.
            tokio::time::sleep_until(until).await;
        }
    };
    tokio::join!(leaning, let_go);
    // At least a moment: what leans on it may have used all of the time up.
    let last = deadline.max(Instant::now() + LAST_MOMENT);
    tokio::time::timeout_at(last, server.stop(true))
        .await
        .context("requests were still under way at the deadline")
}

/// In which connections that nobody uses are closed.
const LAST_MOMENT: Duration = Duration::from_secs(1);
