//! Signed calls of AWS APIs of which only a few actions are needed here: a generated SDK for each of them takes longer
//! to compile than all of this crate. The same code serves ministack and AWS.
//!
//! The actions themselves stand in [`super::cloudformation`] and [`super::cognito`].

use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HOST};
use reqwest::{Client, StatusCode};
use tokio::time::sleep;

/// CreateStack on ministack answers when the resources exist.
const TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 3;
/// Doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Failure of one API call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service refused it.
    #[error("{action} refused: {code}: {message}")]
    Refused {
        /// API action that was called.
        action: &'static str,
        /// Status of the response.
        status: StatusCode,
        /// The error's code, as AWS documents it for the action.
        code: String,
        /// Explanation that the service sent.
        message: String,
    },
    /// No usable answer arrived.
    #[error("{action} failed")]
    Failed {
        /// API action that was called.
        action: &'static str,
        /// Reason of the failure.
        #[source]
        source: anyhow::Error,
    },
}

impl CallError {
    /// Returns the error's code, where the service sent one.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Failed { .. } => "",
        }
    }

    /// Returns whether a later attempt may succeed.
    fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => status.is_server_error() || code.contains("Throttling"),
            Self::Failed { .. } => true,
        }
    }

    /// Returns the service's explanation, where it sent one.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            Self::Failed { .. } => "",
        }
    }
}

/// A client for one AWS service.
#[derive(Debug, Clone)]
pub(super) struct SignedClient {
    http: Client,
    /// The name under which requests are signed, which is also the first label of the default endpoint.
    service: &'static str,
    region: String,
    endpoint: String,
    credentials: SharedCredentialsProvider,
}

/// A request's body, its media type and further headers.
pub(super) struct Payload {
    pub(super) content_type: &'static str,
    pub(super) target: Option<String>,
    pub(super) body: String,
}

/// An answer that is not 2xx.
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

impl SignedClient {
    /// Builds a client with the region, credentials and endpoint of `config`.
    ///
    /// # Errors
    ///
    /// The configuration names no region or no credentials.
    #[expect(
        clippy::disallowed_methods,
        reason = "outside of any service: no traces or faults to share"
    )]
    pub(super) fn new(config: &SdkConfig, service: &'static str) -> anyhow::Result<Self> {
        let region = config.region().context("no AWS region is configured")?.to_string();
        let endpoint = config
            .endpoint_url()
            .map_or_else(|| format!("https://{service}.{region}.amazonaws.com"), str::to_owned);
        let http = Client::builder().timeout(TIMEOUT);
        // Loading the machine's certificates takes longer than all calls that a test makes with this.
        let http = if endpoint.starts_with("https:") {
            http
        } else {
            http.tls_certs_only([])
        };
        Ok(Self {
            http: http.build()?,
            service,
            endpoint,
            region,
            credentials: config
                .credentials_provider()
                .context("no AWS credentials are configured")?,
        })
    }

    /// Sends a request and returns the body of a 2xx answer. Repeats it where the connection failed, or the service is
    /// overloaded; `refusal` reads the code and the message of any other answer.
    pub(super) async fn call(
        &self,
        action: &'static str,
        payload: &Payload,
        refusal: impl Fn(StatusCode, &str) -> Refusal,
    ) -> Result<String, CallError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.attempt(action, payload, &refusal).await {
                Err(error) if error.is_transient() => {
                    sleep(pause).await;
                    pause *= 2;
                }
                outcome => return outcome,
            }
        }
        self.attempt(action, payload, &refusal).await
    }

    async fn attempt(
        &self,
        action: &'static str,
        payload: &Payload,
        refusal: impl Fn(StatusCode, &str) -> Refusal,
    ) -> Result<String, CallError> {
        let sent = self.send(payload).await;
        let (status, body) = sent.map_err(|source| CallError::Failed { action, source })?;
        if status.is_success() {
            return Ok(body);
        }
        let Refusal { code, message } = refusal(status, &body);
        Err(CallError::Refused {
            action,
            status,
            code,
            message,
        })
    }

    async fn send(&self, payload: &Payload) -> anyhow::Result<(StatusCode, String)> {
        let mut request = http::Request::post(format!("{}/", self.endpoint.trim_end_matches('/')))
            .header(CONTENT_TYPE, payload.content_type);
        if let Some(target) = &payload.target {
            request = request.header("x-amz-target", target);
        }
        let mut request = request.body(payload.body.clone())?;
        let host = request
            .uri()
            .authority()
            .context("an endpoint without a host")?
            .to_string();
        request.headers_mut().insert(HOST, host.parse()?);
        self.sign(&mut request).await?;
        let answer = self.http.execute(request.try_into()?).await?;
        Ok((answer.status(), answer.text().await?))
    }

    async fn sign(&self, request: &mut http::Request<String>) -> anyhow::Result<()> {
        let identity = self.credentials.provide_credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(Timestamp::now().into())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| anyhow::Ok((name.as_str(), value.to_str()?)))
            .collect::<Result<_, _>>()?;
        let uri = request.uri().to_string();
        let body = SignableBody::Bytes(request.body().as_bytes());
        let signable = SignableRequest::new(request.method().as_str(), &uri, headers.into_iter(), body)?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| anyhow!("cannot sign the request: {error}"))?
            .into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}
