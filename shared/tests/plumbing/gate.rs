//! A gate between the SDK and SQS: calls that do not get out, and answers that wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use clap::Parser;
use deploy_local::Cloud;
use shared::aws::{Aws, AwsSettings};
use shared::outgoing::Outgoing;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    refused: Arc<Mutex<Option<&'static str>>>,
    held: Arc<Mutex<Option<&'static str>>>,
    refusals: Arc<AtomicUsize>,
    go: CancellationToken,
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    aws: AwsSettings,
}

impl Gate {
    /// A client whose calls go through here.
    pub(crate) async fn sqs(&self) -> aws_sdk_sqs::Client {
        self.aws().await.sqs()
    }

    /// The same of the bus.
    pub(crate) async fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        self.aws().await.eventbridge()
    }

    async fn aws(&self) -> Aws {
        let gate = self.clone();
        let around = move |inner| SharedHttpClient::new(Around { inner, gate });
        let outgoing = Outgoing::with_layers(around, |http| http).unwrap();
        let patient = ["--aws-attempt-timeout-ms=20000", "--aws-call-timeout-ms=20000"];
        let once = ["test", "--aws-call-attempts=1"];
        let settings = Settings::parse_from(once.into_iter().chain(patient));
        let cloud = Cloud::for_tests();
        Aws::at(&settings.aws, &outgoing, cloud.tables_url(), cloud.ministack_url()).await
    }

    /// Calls of that name don't get out from now on.
    pub(crate) fn refuse(&self, call: &'static str) {
        *self.refused.lock().unwrap() = Some(call);
    }

    /// Calls that did not get out.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Everything gets out again.
    pub(crate) fn open(&self) {
        *self.refused.lock().unwrap() = None;
    }

    /// Answers to calls of that name wait.
    pub(crate) fn hold(&self, call: &'static str) {
        *self.held.lock().unwrap() = Some(call);
    }

    /// Nothing waits any longer.
    pub(crate) fn let_go(&self) {
        self.go.cancel();
    }
}

#[derive(Debug)]
struct Around {
    inner: SharedHttpClient,
    gate: Gate,
}

impl HttpClient for Around {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            gate: self.gate.clone(),
        })
    }
}

#[derive(Clone, Debug)]
struct Connector {
    inner: SharedHttpConnector,
    gate: Gate,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let is =
                |name: &Mutex<Option<&'static str>>| name.lock().unwrap().is_some_and(|name| target.ends_with(name));
            if is(&this.gate.refused) {
                this.gate.refusals.fetch_add(1, Ordering::Relaxed);
                return Err(ConnectorError::io("nothing gets out".into()));
            }
            let answer = this.inner.call(request).await?;
            if is(&this.gate.held) {
                this.gate.go.cancelled().await;
            }
            Ok(answer)
        })
    }
}
