//! A client that does not give up: whoever is told "later", or nothing at all, asks again; whose token ran out signs in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::aws::Cognito;
use crate::dice::Dice;
use crate::users;

/// Between two tries, where the other side names no time.
const PAUSE_MS: (u64, u64) = (100, 1_000);
/// What `Retry-After` may ask for at the most: nobody stands at the counter for a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Somebody who is signed in.
pub(crate) struct Session {
    name: String,
    client_id: String,
    cognito: Cognito,
    token: Mutex<String>,
    dice: Mutex<Dice>,
    counted: Arc<Counted>,
    http: reqwest::Client,
    patience: Duration,
}

/// What all sessions together were told.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Requests that had to be sent again.
    pub(crate) again: AtomicU64,
    /// Answers that no client should ever see, with the first few of them.
    internal: AtomicU64,
    samples: Mutex<Vec<String>>,
}

/// What sessions have in common.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) cognito: Cognito,
    pub(crate) client_id: String,
    pub(crate) counted: Arc<Counted>,
    pub(crate) http: reqwest::Client,
    pub(crate) patience: Duration,
}

/// An answer that means something.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Answer {
    /// The text at this JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer).and_then(Value::as_str)
    }

    /// A problem's code.
    pub(crate) fn code(&self) -> &str {
        self.text("/code").unwrap_or_default()
    }
}

/// Whether a request took effect.
pub(crate) enum Certainty {
    Answered(Answer),
    /// It may have, or not.
    Unknown,
}

impl Desk {
    /// Somebody with this token already, whose pauses come from these dice.
    pub(crate) fn session(&self, name: String, token: String, dice: Dice) -> Session {
        Session {
            name,
            client_id: self.client_id.clone(),
            cognito: self.cognito.clone(),
            token: Mutex::new(token),
            dice: Mutex::new(dice),
            counted: Arc::clone(&self.counted),
            http: self.http.clone(),
            patience: self.patience,
        }
    }
}

impl Session {
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends a request that may be repeated until it is answered with anything but "later".
    ///
    /// # Errors
    ///
    /// When patience is at its end.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + self.patience;
        loop {
            let Some(copy) = request.try_clone() else {
                bail!("a request that cannot be repeated");
            };
            let last = match self.once(copy).await {
                Ok(answer) => return Ok(answer),
                Err(last) => last,
            };
            if Instant::now() > deadline {
                bail!("no answer to {} within {:?}: {}", self.name, self.patience, last.why);
            }
            self.counted.again.fetch_add(1, Ordering::Relaxed);
            sleep(last.pause).await;
        }
    }

    /// Sends a request that must not be repeated blindly.
    pub(crate) async fn try_once(&self, request: RequestBuilder) -> Certainty {
        match self.once(request).await {
            Ok(answer) => Certainty::Answered(answer),
            Err(_) => Certainty::Unknown,
        }
    }

    async fn once(&self, request: RequestBuilder) -> Result<Answer, Later> {
        let sent = request.bearer_auth(self.token()).send().await;
        let answer = sent.map_err(|error| self.later(format!("{error:?}"), None))?;
        let (status, after) = (answer.status(), retry_after(&answer));
        let body = answer
            .text()
            .await
            .map_err(|error| self.later(error.to_string(), None))?;
        if status == StatusCode::UNAUTHORIZED {
            // An hour is over. Where it is something else, patience ends.
            let renewed = users::sign_in(&self.cognito, &self.client_id, &self.name).await;
            if let Ok(token) = renewed {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
            }
            return Err(self.later(format!("{status} {body}"), None));
        }
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            self.counted.note_internal(&body);
        }
        // RFC 9110 15.5.9: a request that was not read in time may be repeated.
        let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
        if status.is_server_error() || later.contains(&status) {
            return Err(self.later(format!("{status} {body}"), after));
        }
        let body = serde_json::from_str(&body).unwrap_or(Value::Null);
        Ok(Answer { status, body })
    }

    pub(crate) fn token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// With jitter, so that those who were turned away together do not come back together.
    fn later(&self, why: String, after: Option<Duration>) -> Later {
        let (first, last) = PAUSE_MS;
        let jitter = self
            .dice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .milliseconds(first, last);
        let pause = after.unwrap_or_default().min(LONGEST_PAUSE) + jitter;
        Later { why, pause }
    }
}

struct Later {
    why: String,
    pause: Duration,
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl Counted {
    const SAMPLES: usize = 5;

    fn note_internal(&self, body: &str) {
        self.internal.fetch_add(1, Ordering::Relaxed);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < Self::SAMPLES {
            samples.push(body.to_owned());
        }
    }

    /// How often a client was told of a failure inside, and the first of them.
    pub(crate) fn internal(&self) -> (u64, Vec<String>) {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        (self.internal.load(Ordering::Relaxed), samples.clone())
    }
}
