//! What every route of every service shares: the server span, the bill, HEAD, refusal of stray
//! idempotency keys, and problems for whatever actix would answer itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use actix_web::body::{self, BodySize, EitherBody, MessageBody};
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::RootSpanBuilder;
use utoipa::openapi::OpenApi;

use crate::auth::Verifier;
use crate::capacity::{Bill, units};
use crate::health;
use crate::idempotency::IDEMPOTENCY_KEY;
use crate::problem::Problem;
use crate::trace;

/// What the routes of a service share; one for the process, in its app data.
#[derive(Debug)]
pub struct Edge {
    expose_capacity: bool,
    /// Routes, as they are registered, that take an `Idempotency-Key`.
    keyed: &'static [&'static str],
    /// Paths of the contract with their methods, for 405.
    methods: Vec<(ResourceDef, String)>,
    stop: CancellationToken,
}

impl Edge {
    /// `keyed` names the POST routes that take an `Idempotency-Key`, as they are registered; `api` is
    /// the service's whole contract. Once `stop` is cancelled every answer is the last of its connection.
    #[must_use]
    pub fn new(api: &OpenApi, keyed: &'static [&'static str], expose_capacity: bool, stop: CancellationToken) -> Self {
        let mut methods = BTreeMap::new();
        for (path, item) in &api.paths.paths {
            let has = [
                ("GET, HEAD", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let allowed: Vec<_> = has.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
            methods.insert(path.clone(), allowed.join(", "));
        }
        let methods = methods
            .into_iter()
            .map(|(path, allowed)| (ResourceDef::new(path), allowed))
            .collect();
        Self {
            expose_capacity,
            keyed,
            methods,
            stop,
        }
    }

    /// The methods that the contract has for a path, as `Allow` names them; none where it has no such path.
    fn methods(&self, path: &str) -> Option<&str> {
        let mut paths = self.methods.iter();
        let (_, allowed) = paths.find(|(pattern, _)| pattern.is_match(path))?;
        Some(allowed)
    }

    /// Refuses an `Idempotency-Key` where it means nothing. What is not there at all is refused for that.
    fn stray_key(&self, req: &ServiceRequest, method: &Method, route: Option<&str>) -> Option<Problem> {
        let keyed = method == Method::POST && route.is_some_and(|route| self.keyed.contains(&route));
        let there = || {
            let allowed = self.methods(req.path()).unwrap_or_default();
            allowed.split(", ").any(|name| name == method.as_str())
        };
        (req.headers().contains_key(IDEMPOTENCY_KEY) && !keyed && there()).then(|| {
            Problem::bad_request(
                "idempotency_key_unsupported",
                "this request takes no Idempotency-Key: leave the header away, the request can be repeated as it is or says in its answer what happened",
            )
        })
    }
}

/// Registers what actix needs so that its own refusals are problems too. Call it in `App::configure`,
/// and set [`no_such_route`] as the default service.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        // A path that cannot be an id of that kind names nothing that exists.
        .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("resource").into()))
        .app_data(web::PayloadConfig::new(crate::body::MAX_BODY_BYTES));
}

/// The default service: 405 with `Allow` where the path is one of ours, else 404.
pub async fn no_such_route(req: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    let problem = match edge.methods(req.path()) {
        Some(allowed) => Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("here one can {allowed}"),
        )
        .header(
            header::ALLOW,
            HeaderValue::from_str(allowed).unwrap_or(HeaderValue::from_static("GET")),
        ),
        None => Problem::not_found("resource"),
    };
    problem.error_response()
}

/// Boundaries of HTTP durations as OpenTelemetry's conventions advise them.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>
pub(crate) const DURATION_BOUNDARIES_S: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("http.server.request.duration")
        .with_unit("s")
        .with_boundaries(DURATION_BOUNDARIES_S.to_vec())
        .build()
});

/// The middleware around every route; use it with `actix_web::middleware::from_fn`, inside the
/// `TracingLogger<ServerSpan>`.
///
/// # Errors
/// The inner service's.
pub async fn around(
    mut req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let edge = req.app_data::<web::Data<Edge>>().cloned();
    let method = req.method().clone();
    let route = req.match_pattern();
    if method == Method::HEAD {
        // A HEAD is answered like the GET; the protocol layer knows to leave the body away.
        req.head_mut().method = Method::GET;
    }
    let bill = Bill::default();
    let response = match edge
        .as_ref()
        .and_then(|edge| edge.stray_key(&req, &method, route.as_deref()))
    {
        Some(refusal) => req.error_response(refusal).map_into_right_body(),
        None => {
            if req.headers().contains_key(header::AUTHORIZATION)
                && let Some(verifier) = req.app_data::<web::Data<Verifier>>().cloned()
            {
                verifier.warm().await;
            }
            bill.clone().scope(next.call(req)).await?.map_into_left_body()
        }
    };
    // A stream that nobody reads would go on and on.
    let mut response = response.map_body(|_, body| match body.size() {
        BodySize::Stream if method == Method::HEAD => EitherBody::right(body::None::new()),
        BodySize::Stream | BodySize::Sized(_) | BodySize::None => EitherBody::left(body),
    });

    let consumed = bill.consumed();
    consumed.tell(&Span::current());
    if edge.as_ref().is_some_and(|e| e.stop.is_cancelled()) {
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    if edge.is_some_and(|e| e.expose_capacity) {
        let figures = [
            ("x-consumed-rcu", units(consumed.milli_rcu)),
            ("x-consumed-wcu", units(consumed.milli_wcu)),
            ("x-round-trips", consumed.round_trips.to_string()),
        ];
        for (name, figure) in figures {
            if let Ok(figure) = HeaderValue::from_str(&figure) {
                response.headers_mut().insert(HeaderName::from_static(name), figure);
            }
        }
    }
    let (status, error) = (response.status(), response.response().error());
    let attributes = [
        Some(KeyValue::new("http.request.method", known(&method))),
        Some(KeyValue::new("http.response.status_code", i64::from(status.as_u16()))),
        // TLS ends in front of us.
        Some(KeyValue::new("url.scheme", "http")),
        route.map(|route| KeyValue::new("http.route", route)),
        error_type(status, error).map(|kind| KeyValue::new("error.type", kind)),
    ];
    let attributes: Vec<_> = attributes.into_iter().flatten().collect();
    DURATION.record(began.elapsed().as_secs_f64(), &attributes);
    Ok(response)
}

/// What a method is to OpenTelemetry: the others are one, since clients could make up any number of them.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes>
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => OTHER,
    }
}

const OTHER: &str = "_OTHER";

/// How a request failed, if it was our fault: its problem's code, or the status where it has none.
fn error_type(status: StatusCode, error: Option<&Error>) -> Option<String> {
    let code = error.and_then(|error| error.as_error::<Problem>()).map(Problem::code);
    status
        .is_server_error()
        .then(|| code.unwrap_or(status.as_str()).to_owned())
}

/// The server span of a request: OpenTelemetry's HTTP conventions, without the client's address and
/// agent, which are personal, and without the query, which can hold anything. None for what is asked every second.
#[derive(Debug)]
pub struct ServerSpan;

impl RootSpanBuilder for ServerSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        if health::PROBES.contains(&request.path()) {
            return Span::none();
        }
        let route = request.match_pattern();
        let method = known(request.method());
        let verb = if method == OTHER { "HTTP" } else { method };
        let span = tracing::info_span!(
            "http.server",
            otel.name = format!("{verb} {}", route.as_deref().unwrap_or_default()).trim_end(),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            error.type = Empty,
            commerce.dynamodb.milli_rcu = Empty,
            commerce.dynamodb.milli_wcu = Empty,
            commerce.dynamodb.round_trips = Empty,
            order_id = Empty,
        );
        trace::continue_from_request(&span, request.headers());
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        span.record("http.response.status_code", status.as_u16());
        let Some(error) = error else { return };
        let _in = span.enter();
        // Here, and nowhere else, is a failed request logged, with its chain of causes.
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error_type(status, Some(error)));
            tracing::error!(error = ?error, "a request failed");
        } else {
            tracing::debug!(error = ?error, "a request was refused");
        }
    }
}
