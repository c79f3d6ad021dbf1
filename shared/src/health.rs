//! `/livez` (the process answers) and `/readyz` (what it needs answers too).

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, ResponseError, web};
use tokio::sync::Mutex;

use crate::problem::Problem;

type Probe = dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync;

/// Asks what the service cannot do without, at most once a second however many ask.
#[derive(Clone)]
pub struct Readiness {
    probe: Arc<Probe>,
    last: Arc<Mutex<Option<Checked>>>,
}

struct Checked {
    at: Instant,
    outcome: Result<(), String>,
}

const FRESH: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(1);

impl Readiness {
    /// `probe` really asks: a read of a key that is not there, the queue's attributes.
    pub fn new<F>(probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            probe: Arc::new(move || Box::pin(probe())),
            last: Arc::default(),
        }
    }

    async fn check(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some(checked) = last.as_ref().filter(|checked| checked.at.elapsed() < FRESH) {
            return checked.outcome.clone();
        }
        let outcome = match tokio::time::timeout(DEADLINE, (self.probe)()).await {
            Ok(answered) => answered.map_err(|error| format!("{error:#}")),
            Err(_late) => Err("no answer within a second".to_owned()),
        };
        *last = Some(Checked {
            at: Instant::now(),
            outcome: outcome.clone(),
        });
        outcome
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not ready: {0}")]
struct NotReady(String);

/// Registers both routes; the service's [`Readiness`] is to be in its app data.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(livez))
        .route("/readyz", web::get().to(readyz));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "ok"}))
}

async fn readyz(readiness: web::Data<Readiness>) -> HttpResponse {
    match readiness.check().await {
        Ok(()) => HttpResponse::Ok().json(serde_json::json!({"status": "ready"})),
        Err(why) => Problem::unavailable(NotReady(why)).error_response(),
    }
}
