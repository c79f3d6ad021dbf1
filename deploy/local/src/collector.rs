//! An OTLP collector for one machine, over HTTP: it keeps the spans in a file, which [`trace`](crate::cli) reads, and
//! remembers which metrics it has seen. For a laptop and for tests; a real one is a setting away.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>, with protobuf bodies. What it cannot read it refuses (400); it
//! never asks anybody to come again.

mod metric;
mod span;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

pub use self::metric::{Metric, MetricKind};
pub use self::span::Span;

/// The variable by which everything is told where it is.
pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The variable for how long, in milliseconds, a service gathers spans before it sends them.
pub const SPANS_EVERY_MS: &str = "OTEL_BSP_SCHEDULE_DELAY";
/// The same for its metrics.
pub const METRICS_EVERY_MS: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// The variable that says which traces are told of.
pub const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// The share of them, where that is a ratio.
pub const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Beyond it the file is put aside, and the one that was put aside before is gone.
const LONGEST_FILE: u64 = 64 * 1024 * 1024;
/// More than an exporter sends at once.
const MAX_BODY: usize = 16 * 1024 * 1024;
const THREADS: usize = 1;

/// A running collector. Dropping it leaves it running; [`Collector::stop`] ends it.
pub struct Collector {
    url: String,
    seen: web::Data<Seen>,
    server: ServerHandle,
}

struct Seen {
    path: PathBuf,
    file: Mutex<SpanFile>,
    metrics: Mutex<BTreeMap<String, Metric>>,
}

struct SpanFile {
    file: File,
    length: u64,
}

impl Collector {
    /// Starts it on a free port. Spans are added to the file at `path`, one a line, as JSON.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or there is no port.
    pub fn start(path: PathBuf) -> anyhow::Result<Self> {
        let file = SpanFile::open(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let seen = web::Data::new(Seen {
            path,
            file: Mutex::new(file),
            metrics: Mutex::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the collector")?;
        let url = format!("http://{}", listener.local_addr()?);
        let data = seen.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .route("/v1/traces", web::post().to(take_spans))
                .route("/v1/metrics", web::post().to(take_metrics))
        })
        .workers(THREADS)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self {
            url,
            seen,
            server: handle,
        })
    }

    /// What [`ENDPOINT`] is to be.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The metrics so far, by name.
    pub fn metrics(&self) -> BTreeMap<String, Metric> {
        self.seen.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every span so far.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn spans(&self) -> anyhow::Result<Vec<Span>> {
        read(&self.seen.path)
    }

    /// Ends it, after what it is being sent.
    pub async fn stop(self) {
        self.server.stop(true).await;
    }
}

/// The spans of that file, and of the one that was put aside before it.
///
/// # Errors
///
/// When there is none, or it is not ours.
pub fn read(path: &std::path::Path) -> anyhow::Result<Vec<Span>> {
    let mut text = fs::read_to_string(aside(path)).unwrap_or_default();
    text.push_str(&fs::read_to_string(path).with_context(|| format!("there are no spans in {}", path.display()))?);
    // The last line may be half written.
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

fn aside(path: &std::path::Path) -> PathBuf {
    path.with_extension("old")
}

impl SpanFile {
    fn open(path: &std::path::Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl Seen {
    fn keep(&self, spans: &[Span]) -> io::Result<()> {
        let mut lines = Vec::new();
        for span in spans {
            serde_json::to_writer(&mut lines, span)?;
            lines.push(b'\n');
        }
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open.length > LONGEST_FILE {
            fs::rename(&self.path, aside(&self.path))?;
            *open = SpanFile::open(&self.path)?;
        }
        open.file.write_all(&lines)?;
        open.length += u64::try_from(lines.len()).unwrap_or(0);
        Ok(())
    }
}

async fn take_spans(seen: web::Data<Seen>, body: web::Bytes) -> HttpResponse {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return HttpResponse::BadRequest().finish();
    };
    let spans: Vec<_> = request.resource_spans.into_iter().flat_map(span::of_resource).collect();
    match seen.keep(&spans) {
        Ok(()) => taken(),
        Err(error) => {
            tracing::error!(%error, "spans cannot be kept");
            HttpResponse::InsufficientStorage().finish()
        }
    }
}

async fn take_metrics(seen: web::Data<Seen>, body: web::Bytes) -> HttpResponse {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut known = seen.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_metrics {
        metric::add(&mut known, resource);
    }
    taken()
}

/// An empty message, which says that all of it was taken.
fn taken() -> HttpResponse {
    HttpResponse::Ok().content_type("application/x-protobuf").finish()
}
