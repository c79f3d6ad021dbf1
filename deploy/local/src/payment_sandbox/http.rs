//! Stripe's API over HTTP: paths, secret key, idempotency header, and answers that are late or lost. What the calls
//! mean is the desk's business.

use std::any::Any;
use std::future::Future;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Extensions, Payload};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, ContentType, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use aws_lc_rs::constant_time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::desk::{Desk, Key, Reply, new_id};
use super::fault::Fault;
use super::form::Params;
use super::keys::{Answer, Asked};
use super::{page, present};

/// What the handlers share beside the desk.
pub(super) struct Front {
    pub(super) secret_key: String,
    /// How late a late answer is, and how long a lost one's connection is held.
    pub(super) slow: Duration,
    pub(super) stopping: CancellationToken,
    /// Calls under way at once.
    pub(super) places: Arc<Semaphore>,
}

/// Calls that may wait for their answers at once; further ones are told to come back (429).
pub(super) const PLACES: usize = 1_000;
/// No call of Stripe's comes near it.
const MAX_BODY: usize = 64 * 1024;

/// The routes. Whatever else is asked for is answered as Stripe answers it.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(path).default_service(web::to(unrecognized));
    config
        .app_data(web::PayloadConfig::new(MAX_BODY))
        .service(
            resource("/v1/payment_intents")
                .route(web::get().to(list_intents))
                .route(web::post().to(create_intent)),
        )
        .service(resource("/v1/payment_intents/search").route(web::get().to(search_intents)))
        .service(
            resource("/v1/payment_intents/{id}")
                .route(web::get().to(show_intent))
                .route(web::post().to(update_intent)),
        )
        .service(resource("/v1/payment_intents/{id}/confirm").route(web::post().to(confirm_intent)))
        .service(resource("/v1/payment_intents/{id}/capture").route(web::post().to(capture_intent)))
        .service(resource("/v1/payment_intents/{id}/cancel").route(web::post().to(cancel_intent)))
        .service(
            resource("/v1/refunds")
                .route(web::get().to(list_refunds))
                .route(web::post().to(create_refund)),
        )
        .service(resource("/v1/refunds/{id}").route(web::get().to(show_refund)))
        .service(resource("/v1/disputes").route(web::get().to(list_disputes)))
        .service(
            resource("/v1/disputes/{id}")
                .route(web::get().to(show_dispute))
                .route(web::post().to(answer_dispute)),
        )
        .service(resource("/v1/disputes/{id}/close").route(web::post().to(close_dispute)))
        .service(resource("/v1/charges/{id}").route(web::get().to(show_charge)))
        .service(
            resource("/authenticate/{intent}/{client_secret}")
                .route(web::get().to(page::show))
                .route(web::post().to(page::answer)),
        )
        .service(resource("/livez").route(web::get().to(alive)))
        .default_service(web::to(unrecognized));
}

/// The connection of a request, kept so that it can be cut.
pub(super) fn keep_socket(connection: &dyn Any, extensions: &mut Extensions) {
    let socket = connection
        .downcast_ref::<actix_web::rt::net::TcpStream>()
        .and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
    if let Some(socket) = socket {
        extensions.insert(TcpStream::from(socket));
    }
}

async fn create_intent(call: Incoming) -> HttpResponse {
    call.serve(Call::create).await
}

async fn update_intent(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.serve(|params| Call::update(id.into_inner(), params)).await
}

async fn confirm_intent(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.serve(|params| Call::confirm(id.into_inner(), params)).await
}

async fn capture_intent(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.serve(|params| Call::capture(id.into_inner(), params)).await
}

async fn cancel_intent(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.serve(|params| Call::cancel(id.into_inner(), params)).await
}

async fn create_refund(call: Incoming) -> HttpResponse {
    call.serve(Call::refund).await
}

async fn list_intents(call: Incoming) -> HttpResponse {
    call.look(Desk::list_intents)
}

async fn search_intents(call: Incoming) -> HttpResponse {
    call.look(Desk::search_intents)
}

async fn show_intent(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.look(|desk, params| desk.show_intent(&id, params))
}

async fn show_charge(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.look(|desk, params| desk.show_charge(&id, params))
}

async fn show_refund(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.look(|desk, params| desk.show_refund(&id, params))
}

async fn list_refunds(call: Incoming) -> HttpResponse {
    call.look(Desk::list_refunds)
}

async fn show_dispute(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.look(|desk, params| desk.show_dispute(&id, params))
}

async fn list_disputes(call: Incoming) -> HttpResponse {
    call.look(Desk::list_disputes)
}

async fn answer_dispute(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.serve(|params| Call::answer_dispute(id.into_inner(), params)).await
}

async fn close_dispute(call: Incoming, id: web::Path<String>) -> HttpResponse {
    call.serve(|params| Call::close_dispute(id.into_inner(), params)).await
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn unrecognized(request: HttpRequest) -> HttpResponse {
    let message = format!(
        "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs.",
        request.method(),
        request.path()
    );
    let fault = Fault::request(404, message);
    respond(Answer::new(fault.status, &fault.body(None)), &new_id("req"), None)
}

/// A call with all that its answer hangs on.
struct Incoming {
    request: HttpRequest,
    desk: web::Data<Desk>,
    front: web::Data<Front>,
    body: Result<web::Bytes, Fault>,
    request_id: String,
}

impl FromRequest for Incoming {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Bytes::from_request(request, payload);
        let desk = web::Data::<Desk>::extract(request);
        let front = web::Data::<Front>::extract(request);
        let request = request.clone();
        Box::pin(async move {
            let body = body
                .await
                .map_err(|error| Fault::request(400, format!("Invalid request body: {error}")));
            Ok(Self {
                request,
                desk: desk.await?,
                front: front.await?,
                body,
                request_id: new_id("req"),
            })
        })
    }
}

impl Incoming {
    /// A call that changes something.
    async fn serve(self, read: impl FnOnce(Params) -> Result<Call, Fault>) -> HttpResponse {
        let key = match self.key() {
            Ok(key) => key,
            Err(fault) => return self.refuse(&fault, None),
        };
        let named = key.clone();
        let reply = self.begin(read, key);
        let (_place, reply) = match reply {
            Ok(begun) => begun,
            Err(fault) => return self.refuse(&fault, named.as_deref()),
        };
        match reply {
            Reply::Answer(answer) => self.respond(answer, named.as_deref()),
            Reply::Replay { answer, request_id } => {
                let mut response = self.respond(answer, named.as_deref());
                insert(&mut response, "idempotent-replayed", "true");
                insert(&mut response, "original-request", &request_id);
                response
            }
            Reply::Lost(answer) => {
                self.front
                    .stopping
                    .run_until_cancelled(tokio::time::sleep(self.front.slow))
                    .await;
                self.cut();
                self.respond(answer, named.as_deref())
            }
            Reply::Processing { intent, expand_charge } => {
                match finish_later(self.desk.clone(), &self.front, intent, expand_charge).await {
                    Some(Ok(answer)) => self.respond(answer, named.as_deref()),
                    Some(Err(fault)) => self.refuse(&fault, named.as_deref()),
                    None => {
                        self.cut();
                        self.refuse(&Fault::internal(), named.as_deref())
                    }
                }
            }
        }
    }

    fn begin(
        &self,
        read: impl FnOnce(Params) -> Result<Call, Fault>,
        key: Option<String>,
    ) -> Result<(tokio::sync::OwnedSemaphorePermit, Reply), Fault> {
        self.authorize()?;
        let place = self.front.places.clone().try_acquire_owned().map_err(|error| {
            tracing::warn!(%error, limit = PLACES, "too many payment calls at once");
            Fault::rate_limit()
        })?;
        let params = self.form()?;
        let asked = Asked {
            path: self.request.path().to_owned(),
            fingerprint: params.fingerprint(),
        };
        let key = key.map(|key| Key { key, asked });
        let reply = self.desk.serve(read(params)?, key, &self.request_id, now())?;
        Ok((place, reply))
    }

    /// A call that only looks.
    fn look(self, look: impl FnOnce(&Desk, Params) -> Result<Value, Fault>) -> HttpResponse {
        let looked = self
            .authorize()
            .and_then(|()| Params::parse(self.request.query_string()))
            .and_then(|params| look(&self.desk, params));
        match looked {
            Ok(body) => self.respond(Answer::new(200, &body), None),
            Err(fault) => self.refuse(&fault, None),
        }
    }

    /// The secret key, as a bearer token or as the user of basic authentication.
    fn authorize(&self) -> Result<(), Fault> {
        let header = self
            .request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let given = match header.and_then(|header| header.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().to_owned()),
            Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => BASE64
                .decode(encoded.trim())
                .ok()
                .and_then(|decoded| String::from_utf8(decoded).ok())
                .and_then(|pair| pair.split_once(':').map(|(user, _)| user.to_owned())),
            Some(_) | None => None,
        };
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            return Err(Fault::request(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using \
                 Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            ));
        };
        constant_time::verify_slices_are_equal(given.as_bytes(), self.front.secret_key.as_bytes()).map_err(|error| {
            tracing::debug!(%error, "wrong secret key");
            let shown: String = given.chars().take(7).collect();
            Fault::request(401, format!("Invalid API Key provided: {shown}***"))
        })
    }

    fn key(&self) -> Result<Option<String>, Fault> {
        let Some(key) = self.request.headers().get("idempotency-key") else {
            return Ok(None);
        };
        match key.to_str() {
            Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
            Ok(_) | Err(_) => Err(Fault::request(
                400,
                "Invalid idempotency key: it must have 1 to 255 visible ASCII characters.",
            )),
        }
    }

    fn form(&self) -> Result<Params, Fault> {
        let body = match &self.body {
            Ok(body) => body,
            Err(fault) => return Err(fault.clone()),
        };
        let kind = self
            .request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(Fault::request(
                400,
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded).",
            ));
        }
        Params::parse(&String::from_utf8_lossy(body))
    }

    /// Ends the connection under the answer, as a network would.
    fn cut(&self) {
        if let Some(Err(error)) = self
            .request
            .conn_data::<TcpStream>()
            .map(|socket| socket.shutdown(Shutdown::Both))
        {
            tracing::debug!(%error, "the connection had gone already");
        }
    }

    fn refuse(&self, fault: &Fault, key: Option<&str>) -> HttpResponse {
        let mut response = self.respond(Answer::new(fault.status, &fault.body(None)), key);
        if matches!(fault.status, 409 | 429) {
            insert(&mut response, "stripe-should-retry", "true");
        }
        response
    }

    fn respond(&self, answer: Answer, key: Option<&str>) -> HttpResponse {
        respond(answer, &self.request_id, key)
    }
}

/// Waits for the end of a payment's processing, which comes also when nobody waits any more. None: the sandbox stops,
/// and its next start will end it.
async fn finish_later(
    desk: web::Data<Desk>,
    front: &Front,
    intent: String,
    expand_charge: bool,
) -> Option<Result<Answer, Fault>> {
    let (slow, stopping) = (front.slow, front.stopping.clone());
    let finishing = tokio::spawn(async move {
        stopping.run_until_cancelled(tokio::time::sleep(slow)).await?;
        Some(desk.finish_processing(&intent, expand_charge, now()))
    });
    finishing.await.ok().flatten()
}

fn respond(answer: Answer, request_id: &str, key: Option<&str>) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status)
        .content_type(ContentType::json())
        .body(answer.body);
    insert(&mut response, "request-id", request_id);
    insert(&mut response, "stripe-version", present::API_VERSION);
    if let Some(key) = key {
        insert(&mut response, "idempotency-key", key);
    }
    response
}

fn insert(response: &mut HttpResponse, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
