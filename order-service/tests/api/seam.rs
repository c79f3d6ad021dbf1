//! Layers under the AWS SDK and reqwest: they number a workflow's calls, add up what the table
//! charged, and cut the process off at a call, as its death there would.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use shared::outgoing::Outgoing;
use tokio::sync::watch;

use crate::harness::SOON;

/// Everything that leaves one process.
#[derive(Clone, Debug)]
pub(crate) struct Seam(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cut: Option<(usize, Cut)>,
    refused: Option<&'static str>,
    /// The first call of that name arrives, but its answer is lost.
    lost: Mutex<Option<&'static str>>,
    told: Mutex<Told>,
    dead: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Told {
    calls: Vec<String>,
    written: Vec<f64>,
    queried: Vec<f64>,
    reads: usize,
}

/// How a call is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It never arrives.
    Before,
    /// It arrives, and its answer is lost.
    After,
}

impl Seam {
    /// One that only looks.
    pub(crate) fn new() -> Self {
        Self::made(None, None)
    }

    /// One that lets no call of that name out.
    pub(crate) fn refusing(call: &'static str) -> Self {
        Self::made(None, Some(call))
    }

    /// One that loses the answer to the first call of that name.
    pub(crate) fn losing(call: &'static str) -> Self {
        let seam = Self::new();
        *seam.0.lost.lock().unwrap() = Some(call);
        seam
    }

    /// One that ends at the n-th call of the workflow, counted from 0.
    pub(crate) fn cut_at(n: usize, cut: Cut) -> Self {
        Self::made(Some((n, cut)), None)
    }

    fn made(cut: Option<(usize, Cut)>, refused: Option<&'static str>) -> Self {
        Self(Arc::new(Inner {
            cut,
            refused,
            lost: Mutex::new(None),
            told: Mutex::default(),
            dead: watch::Sender::new(false),
        }))
    }

    pub(crate) fn outgoing(&self) -> Outgoing {
        let (aws, http) = (self.clone(), self.clone());
        Outgoing::with_layers(
            move |inner| SharedHttpClient::new(Aws { inner, seam: aws }),
            move |builder| builder.with(http),
        )
        .unwrap()
    }

    /// The calls of the workflow so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.told.lock().unwrap().calls.clone()
    }

    /// Write units that the table charged, for each write.
    pub(crate) fn written(&self) -> Vec<f64> {
        self.0.told.lock().unwrap().written.clone()
    }

    /// Read units that the table charged, for each query.
    pub(crate) fn queried(&self) -> Vec<f64> {
        self.0.told.lock().unwrap().queried.clone()
    }

    /// Comes back when that many items have been read.
    pub(crate) async fn has_read(&self, count: usize) {
        let deadline = Instant::now() + SOON;
        while self.0.told.lock().unwrap().reads < count {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Comes back when the process has been cut off.
    pub(crate) async fn died(&self) {
        self.0.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }

    /// What happens to a call: polling for work is none of the workflow's.
    fn arrives(&self, call: &str) -> Fate {
        if *self.0.dead.borrow() {
            return Fate::Cut(Cut::Before);
        }
        if self.0.refused == Some(call) {
            return Fate::Refused;
        }
        if self.0.lost.lock().unwrap().take_if(|lost| *lost == call).is_some() {
            return Fate::Lost;
        }
        if [
            "ReceiveMessage",
            "Query",
            "GetItem",
            "ChangeMessageVisibility",
            "GetQueueAttributes",
        ]
        .contains(&call)
            || call.contains("jwks")
        {
            return Fate::Goes;
        }
        let mut told = self.0.told.lock().unwrap();
        told.calls.push(call.to_owned());
        match self.0.cut {
            Some((n, cut)) if told.calls.len() == n + 1 => Fate::Cut(cut),
            Some(_) | None => Fate::Goes,
        }
    }

    fn die(&self) {
        self.0.dead.send_replace(true);
    }

    fn charge(&self, call: &str, answer: &[u8]) {
        let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
        let figures = &answer["ConsumedCapacity"];
        let units = |kind: &str| {
            figures[kind]
                .as_f64()
                .or(figures["CapacityUnits"].as_f64())
                .unwrap_or_default()
        };
        let mut told = self.0.told.lock().unwrap();
        match call {
            "PutItem" | "UpdateItem" => told.written.push(units("WriteCapacityUnits")),
            "GetItem" => told.reads += 1,
            "Query" => told.queried.push(units("ReadCapacityUnits")),
            _ => {}
        }
    }
}

enum Fate {
    Goes,
    Lost,
    Refused,
    Cut(Cut),
}

#[derive(Debug)]
struct Aws {
    inner: SharedHttpClient,
    seam: Seam,
}

impl HttpClient for Aws {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(AwsConnector {
            inner: self.inner.http_connector(settings, components),
            seam: self.seam.clone(),
        })
    }
}

#[derive(Clone, Debug)]
struct AwsConnector {
    inner: SharedHttpConnector,
    seam: Seam,
}

impl HttpConnector for AwsConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let call = target.rsplit('.').next().unwrap_or_default().to_owned();
            match this.seam.arrives(&call) {
                Fate::Goes => {}
                Fate::Lost => {
                    let answer = this.inner.call(request).await?;
                    let _ = ByteStream::new(answer.into_body()).collect().await;
                    return Err(ConnectorError::io("the connection broke".into()));
                }
                Fate::Refused => return Err(ConnectorError::io("nothing gets out".into())),
                Fate::Cut(Cut::Before) => {
                    this.seam.die();
                    pending::<()>().await;
                }
                Fate::Cut(Cut::After) => {
                    let answer = this.inner.call(request).await?;
                    let _ = ByteStream::new(answer.into_body()).collect().await;
                    this.seam.die();
                    pending::<()>().await;
                    unreachable!("it never comes back");
                }
            }
            let mut answer: HttpResponse = this.inner.call(request).await?;
            if call.ends_with("Item") || call == "Query" {
                let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
                let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
                this.seam.charge(&call, &bytes);
                *answer.body_mut() = SdkBody::from(bytes);
            }
            Ok(answer)
        })
    }
}

#[async_trait::async_trait]
impl Middleware for Seam {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let call = format!("{} {}", request.method(), request.url().path());
        match self.arrives(&call) {
            Fate::Goes => next.run(request, extensions).await,
            Fate::Lost => {
                let _ = next.run(request, extensions).await?.bytes().await;
                Err(reqwest_middleware::Error::middleware(std::io::Error::other(
                    "the connection broke",
                )))
            }
            Fate::Refused => Err(reqwest_middleware::Error::middleware(std::io::Error::other(
                "nothing gets out",
            ))),
            Fate::Cut(cut) => {
                if cut == Cut::After {
                    let _ = next.run(request, extensions).await?.bytes().await;
                }
                self.die();
                pending().await
            }
        }
    }
}
