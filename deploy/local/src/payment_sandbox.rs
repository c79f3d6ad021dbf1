//! A payment provider for a laptop and for tests: a server that speaks the part of Stripe's API which an order saga
//! uses, closely enough that the client cannot tell. It moves no money, and no card number ever reaches it.
//!
//! # What it speaks
//!
//! | call | |
//! | --- | --- |
//! | `POST /v1/payment_intents` | create; with `confirm=true` confirm as well |
//! | `GET /v1/payment_intents/{id}`, `GET /v1/payment_intents`, `GET /v1/payment_intents/search` | one; newest first; by `metadata['order_id']:'..'` and `status:'..'` |
//! | `POST /v1/payment_intents/{id}` | another `payment_method`, `metadata`, `description` |
//! | `POST /v1/payment_intents/{id}/confirm`, `/capture`, `/cancel` | authorize, take, give up |
//! | `POST /v1/refunds`, `GET /v1/refunds`, `GET /v1/refunds/{id}` | give back, in parts |
//! | `GET /v1/disputes`, `GET /v1/disputes/{id}`, `POST /v1/disputes/{id}`, `POST .../close` | what a cardholder contests; `evidence[uncategorized_text]` of `winning_evidence` or `losing_evidence` decides it, closing it gives in |
//! | `GET /v1/charges/{id}`, `expand[]=latest_charge` (in lists `data.latest_charge`) | what was captured and refunded |
//! | `GET`, `POST /authenticate/{id}/{client_secret}` | the page behind `next_action.redirect_to_url`; a test posts `outcome=complete` or `outcome=fail` |
//! | `GET /livez` | the process |
//!
//! Bodies are form-encoded as Stripe's, and a parameter that is not known is refused. The secret key is given as bearer
//! token or as the user of basic authentication.
//!
//! # Test payment methods
//!
//! `pm_card_visa`, `pm_card_visa_debit`, `pm_card_mastercard`, `pm_card_amex` are approved; `pm_card_chargeDeclined`,
//! `..InsufficientFunds`, `..ExpiredCard`, `..ProcessingError` are declined (402); `pm_card_authenticationRequired` and
//! `pm_card_threeDSecure2Required` need the cardholder, and are declined with `off_session=true`;
//! `pm_card_createDispute` and `pm_card_createDisputeProductNotReceived` are disputed once captured, and
//! `pm_card_createDisputeInquiry` is inquired about; no refund is made of a disputed charge. Two are not Stripe's:
//!
//! - `pm_slow`: the payment is `processing` for [`Options::slow`], and only then authorized and answered. Meanwhile a
//!   repeat with the same key is 409 `idempotency_key_in_use`, and other calls on the payment are 429 `lock_timeout`.
//! - `pm_lost`: authorized at once, but the connection is held for [`Options::slow`] and then cut without an answer. A
//!   repeat with the same key gets the saved one.
//!
//! # Idempotency keys
//!
//! As <https://docs.stripe.com/api/idempotent_requests> says. The same call again gets the first answer, whatever its
//! status, with `Idempotent-Replayed: true`; another call is 400 `idempotency_error`. A call that is wrong by itself (an
//! unknown parameter, method or payment: 400, 401, 404), or that met a payment which is busy (409, 429), does not use
//! its key up; one that the payment's state refused, or the issuer declined, does. Keys live for 24 hours.
//!
//! # Webhooks
//!
//! `payment_intent.amount_capturable_updated`, `.succeeded`, `.payment_failed`, `.canceled`, `.requires_action`,
//! `charge.refunded`, `charge.dispute.created`, `.updated` and `.closed`, signed ([`signature`]), at least once and in no
//! promised order. As with Stripe, giving up an authorization also sends `charge.refunded`, for a charge whose `captured`
//! is false: no money has moved.
//!
//! # What is not as with Stripe
//!
//! Search is up to date at once; an authorization does not run out after seven days; a payment keeps the test token as
//! its `payment_method`; a payment that needs its cardholder always says so by `redirect_to_url`, also without a
//! `return_url`; the least amounts are known for a few currencies only.
//!
//! # State
//!
//! In memory, or in a journal ([`Options::state`]) that survives SIGKILL: whatever was answered is there after the next
//! start, undelivered events are sent then, and payments left `processing` are finished.

mod call;
mod charge;
mod desk;
mod fault;
mod form;
mod http;
mod intent;
mod journal;
mod keys;
mod ledger;
mod method;
mod page;
mod present;
mod query;
mod refusal;
#[cfg(test)]
mod tests;
mod webhook;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use self::http::Front;
use self::intent::PaymentIntent;
pub use self::intent::Status;
use self::ledger::Ledger;
pub use self::webhook::{Webhook, signature};

/// How a sandbox runs. The default suits a test: any free port of the loopback, nothing kept.
#[derive(Clone)]
pub struct Options {
    /// Port 0 takes any free one.
    pub bind: SocketAddr,
    /// Where cardholders find it, without a slash at the end, if not where it listens.
    pub url: Option<String>,
    /// The only key that is accepted.
    pub secret_key: String,
    /// Where events go, if anywhere. [`PaymentSandbox::deliver_to`] says so later.
    pub webhook: Option<Webhook>,
    /// The journal's file, made with its folder where there is none; without one all is forgotten at the end.
    pub state: Option<PathBuf>,
    /// How late `pm_slow` is answered, and how long `pm_lost` is left waiting.
    pub slow: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            url: None,
            secret_key: "sk_test_sandbox".to_owned(),
            webhook: None,
            state: None,
            slow: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bind,
            url,
            webhook,
            state,
            slow,
            ..
        } = self;
        f.debug_struct("Options")
            .field("bind", bind)
            .field("url", url)
            .field("webhook", webhook)
            .field("state", state)
            .field("slow", slow)
            .finish_non_exhaustive()
    }
}

/// A payment as a test looks at it. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// `pi_..`
    pub id: String,
    /// `metadata[order_id]`
    pub order_id: Option<String>,
    /// What was to be paid.
    pub amount: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// What was taken.
    pub captured: i64,
    /// What was given back of it.
    pub refunded: i64,
    /// Where it stands.
    pub status: Status,
}

/// A running sandbox, on a thread of its own. Ends when dropped; [`PaymentSandbox::stop`] also waits for the end.
pub struct PaymentSandbox {
    url: String,
    desk: Arc<Desk>,
    server: ServerHandle,
    stopping: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl PaymentSandbox {
    /// Starts it, and comes back when it listens. Needs no runtime, and minds none.
    ///
    /// # Errors
    ///
    /// The address is taken, or the journal cannot be read or written.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let Options {
            bind,
            url: found_at,
            secret_key,
            webhook,
            state,
            slow,
        } = options;
        let listener = TcpListener::bind(bind).with_context(|| format!("payment sandbox cannot listen on {bind}"))?;
        let listens_at = listener.local_addr()?;
        let url = found_at.unwrap_or_else(|| url(listens_at));
        let now = jiff::Timestamp::now().as_second();
        let ledger = match &state {
            None => Ledger::in_memory(),
            Some(path) => Ledger::open(path, now)?,
        };
        let (events, deliveries) = tokio::sync::mpsc::unbounded_channel();
        let desk = Arc::new(Desk::new(ledger, webhook, url.clone(), events));
        desk.resume(now);

        let stopping = CancellationToken::new();
        let front = web::Data::new(Front {
            secret_key,
            slow,
            stopping: stopping.clone(),
            places: Arc::new(Semaphore::new(http::PLACES)),
        });
        let delivering = webhook::deliver_all(desk.clone(), deliveries, stopping.clone());
        let (started, wait) = mpsc::channel();
        let served = desk.clone();
        let thread = std::thread::Builder::new()
            .name("payment-sandbox".to_owned())
            .spawn(move || {
                actix_web::rt::System::new().block_on(async move {
                    let server = match serve(listener, served, front) {
                        Ok(server) => server,
                        Err(error) => {
                            let _ = started.send(Err(error));
                            return;
                        }
                    };
                    let _ = started.send(Ok(server.handle()));
                    let (served, ()) = tokio::join!(server, delivering);
                    if let Err(error) = served {
                        tracing::error!(%error, "the payment sandbox ended");
                    }
                });
            })?;
        let server = wait.recv().context("the payment sandbox did not start")??;
        Ok(Self {
            url,
            desk,
            server,
            stopping,
            thread: Some(thread),
        })
    }

    /// Its base address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends events from now on to this endpoint, in the place of any other. Those that the other did not
    /// take are tried here at once.
    pub fn deliver_to(&self, webhook: Webhook) {
        self.desk.deliver_to(webhook);
    }

    /// Every payment, oldest first.
    pub fn intents(&self) -> Vec<Intent> {
        self.desk
            .read(|ledger| ledger.intents.oldest_first().map(Intent::from).collect())
    }

    /// Stops it, cutting the connections of late and lost answers, and waits until it has ended.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        self.server.stop(true).await;
        let Some(thread) = self.thread.take() else {
            return;
        };
        if tokio::task::spawn_blocking(|| thread.join()).await.is_err() {
            tracing::warn!("the payment sandbox' thread was not waited for");
        }
    }
}

impl Drop for PaymentSandbox {
    fn drop(&mut self) {
        self.stopping.cancel();
        // The command is sent by the call itself; nobody has to wait for its outcome.
        drop(self.server.stop(false));
    }
}

impl fmt::Debug for PaymentSandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentSandbox")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl From<&PaymentIntent> for Intent {
    fn from(intent: &PaymentIntent) -> Self {
        Self {
            id: intent.id.clone(),
            order_id: intent.metadata.get("order_id").cloned(),
            amount: intent.amount,
            currency: intent.currency.clone(),
            captured: intent.captured(),
            refunded: intent.refunded(),
            status: intent.status,
        }
    }
}

/// Requests still under way when the sandbox stops are given this many seconds.
const STOP_S: u64 = 2;

fn serve(listener: TcpListener, desk: Arc<Desk>, front: web::Data<Front>) -> anyhow::Result<actix_web::dev::Server> {
    let desk = web::Data::from(desk);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(desk.clone())
            .app_data(front.clone())
            .configure(http::routes)
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(STOP_S)
    .on_connect(http::keep_socket)
    .listen(listener)?;
    Ok(server.run())
}

/// Where a browser on this machine finds it, also when it listens on every address.
fn url(address: SocketAddr) -> String {
    let ip = if address.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        address.ip()
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
