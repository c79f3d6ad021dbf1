//! The HTTP clients under everything that leaves the process, made once: one for the AWS SDK, one
//! for the other services and the payment provider.
//!
//! A test replaces them here to cut, delay, repeat or count calls; nothing above can tell.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::Extensions;
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::trace;

/// The two clients.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Under every AWS SDK client.
    pub aws: SharedHttpClient,
    /// For everything else. It follows no redirect and retries nothing: a caller that knows its call
    /// to be repeatable does that itself.
    pub http: ClientWithMiddleware,
}

/// No call of ours takes longer; callers set tighter deadlines.
const LONGEST: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(2);

impl Outgoing {
    /// The clients as they run.
    ///
    /// # Errors
    /// The TLS backend could not be set up, such as when no root certificates are found.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::with_layers(|aws| aws, |http| http)
    }

    /// The clients with layers of a test's own around them.
    ///
    /// # Errors
    /// As [`Outgoing::new`].
    pub fn with_layers(
        aws: impl FnOnce(SharedHttpClient) -> SharedHttpClient,
        http: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(LONGEST)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            aws: aws(Builder::new().tls_provider(tls).build_https()),
            http: http(ClientBuilder::new(client).with(Traced)).build(),
        })
    }
}

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("http.client.request.duration")
        .with_unit("s")
        .with_description(
            "Calls to the other services and to the payment provider, by server; without a status: no answer",
        )
        .with_boundaries(crate::web::DURATION_BOUNDARIES_S.to_vec())
        .build()
});

/// How often a call was sent before, with this same purpose; whoever tries again says so with the request
/// (`with_extension`), for its span.
#[derive(Clone, Copy, Debug)]
pub struct Resent(pub u32);

/// A client span around each call, and its context in the call's headers:
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>, but for the address: paths hold ids, and queries anything.
struct Traced;

#[async_trait::async_trait]
impl Middleware for Traced {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let span = info_span!(
            "http.client",
            otel.name = %request.method(),
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = %request.method(),
            server.address = request.url().host_str(),
            server.port = request.url().port_or_known_default(),
            http.response.status_code = Empty,
            http.request.resend_count = extensions.get::<Resent>().map_or(0, |Resent(times)| *times),
            error.type = Empty,
        );
        async move {
            trace::tell(request.headers_mut());
            let mut figures = vec![
                KeyValue::new("http.request.method", request.method().to_string()),
                KeyValue::new(
                    "server.address",
                    request.url().host_str().unwrap_or_default().to_owned(),
                ),
                KeyValue::new(
                    "server.port",
                    i64::from(request.url().port_or_known_default().unwrap_or_default()),
                ),
            ];
            let began = Instant::now();
            let answer = next.run(request, extensions).await;
            if let Ok(response) = &answer {
                figures.push(KeyValue::new(
                    "http.response.status_code",
                    i64::from(response.status().as_u16()),
                ));
            }
            DURATION.record(began.elapsed().as_secs_f64(), &figures);
            tell(&Span::current(), &answer);
            answer
        }
        .instrument(span)
        .await
    }
}

fn tell(span: &Span, answer: &reqwest_middleware::Result<Response>) {
    let failed = match answer {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            let failed = status.is_client_error() || status.is_server_error();
            failed.then(|| status.as_u16().to_string())
        }
        Err(reqwest_middleware::Error::Reqwest(error)) if error.is_timeout() => Some("timeout".to_owned()),
        Err(reqwest_middleware::Error::Reqwest(error)) if error.is_connect() => Some("connection".to_owned()),
        Err(reqwest_middleware::Error::Reqwest(_) | reqwest_middleware::Error::Middleware(_)) => {
            Some("_OTHER".to_owned())
        }
    };
    if let Some(kind) = failed {
        span.record("error.type", kind);
        span.record("otel.status_code", "ERROR");
    }
}
