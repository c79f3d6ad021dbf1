//! Metrics for a Prometheus that comes and asks: `GET /metrics` on an address of their own, which the gateway does not know.
//! The same instruments as by OTLP, in the text format: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Registry, TextEncoder};

/// An address that is taken is tried again: of two processes of which one takes the other's place, both want it.
const TRIED_EVERY: Duration = Duration::from_secs(1);
const THREADS: usize = 1;

/// What is to be served, and where.
#[derive(Clone, Debug)]
pub(crate) struct Exposition {
    registry: Registry,
    listen: SocketAddr,
}

/// A reader of all instruments, and what serves it.
pub(super) fn new(listen: SocketAddr) -> anyhow::Result<(PrometheusExporter, Exposition)> {
    let registry = Registry::new();
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .build()
        .context("the metrics' exposition")?;
    Ok((reader, Exposition { registry, listen }))
}

impl Exposition {
    /// Serves until the runtime ends. That nobody can ask for metrics stops no request: it is logged, and tried again.
    pub(crate) async fn serve(self) {
        let mut told = false;
        let listener = loop {
            match TcpListener::bind(self.listen) {
                Ok(listener) => break listener,
                Err(error) if !told => {
                    tracing::warn!(%error, address = %self.listen, "METRICS_LISTEN: cannot listen; trying again");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(TRIED_EVERY).await;
        };
        if let Err(error) = self.serve_on(listener).await {
            tracing::warn!(error = format!("{error:#}"), "metrics cannot be asked for any more");
        }
    }

    async fn serve_on(self, listener: TcpListener) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        let registry = web::Data::new(self.registry);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(registry.clone())
                .route("/metrics", web::get().to(tell))
        })
        .workers(THREADS)
        .disable_signals()
        .listen(listener)?
        .run();
        tracing::info!(%address, "metrics can be asked for");
        server.await?;
        Ok(())
    }
}

async fn tell(registry: web::Data<Registry>) -> HttpResponse {
    // Gathering locks the instruments for a moment, and there are few figures: no thread is kept waiting.
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written down");
            HttpResponse::InternalServerError().finish()
        }
    }
}
