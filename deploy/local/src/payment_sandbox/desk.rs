//! Where calls are served: looks a key up, lets the payment decide, stores what came of it together with the key's
//! answer and the events that tell of it, and only then answers.

mod back;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::call::{Call, Command, NewIntent};
use super::charge::{Dispute, Refund};
use super::fault::{self, Fault};
use super::intent::{Authentication, Confirmed, PaymentIntent, Released, Status};
use super::journal::Entry;
use super::keys::{Answer, Asked, KeyOutcome, KeyRecord};
use super::ledger::Ledger;
use super::method::{self, Behaviour};
use super::present::{self, Layout};
use super::refusal::Refusal;
use super::webhook::{Event, Webhook};

/// See the module.
#[derive(Debug)]
pub(super) struct Desk {
    ledger: Mutex<Ledger>,
    webhook: watch::Sender<Option<Webhook>>,
    deliveries: mpsc::UnboundedSender<Event>,
    url: String,
}

/// A call's idempotency key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) key: String,
    pub(super) asked: Asked,
}

/// What comes of a call.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer),
    /// The saved answer of the call with this `Request-Id`.
    Replay {
        answer: Answer,
        request_id: String,
    },
    /// Done and saved, but this answer is to get lost on its way.
    Lost(Answer),
    /// The payment named is being processed; [`Desk::finish_processing`] has the answer.
    Processing {
        intent: String,
        expand_charge: bool,
    },
}

/// What a call changes, and answers.
struct Effect {
    changes: Changes,
    reply: Reply,
}

/// All of it is stored, or nothing.
#[derive(Default)]
struct Changes {
    intent: Option<PaymentIntent>,
    refund: Option<Refund>,
    dispute: Option<Dispute>,
    events: Vec<(&'static str, Value)>,
}

/// Events kept for an endpoint that does not take them; further ones are lost.
const MAX_UNDELIVERED: usize = 10_000;

impl Desk {
    /// Also sends on what an earlier process could not deliver.
    pub(super) fn new(
        ledger: Ledger,
        webhook: Option<Webhook>,
        url: String,
        deliveries: mpsc::UnboundedSender<Event>,
    ) -> Self {
        for event in ledger.undelivered.values() {
            // Fails only once nobody delivers any more.
            let _ = deliveries.send(event.clone());
        }
        Self {
            ledger: Mutex::new(ledger),
            webhook: watch::Sender::new(webhook),
            deliveries,
            url,
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A commit either happened or not; a panic elsewhere leaves nothing half done.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn webhook(&self) -> Option<Webhook> {
        self.webhook.borrow().clone()
    }

    /// Tells of each change of the endpoint from now on.
    pub(super) fn webhook_changes(&self) -> watch::Receiver<Option<Webhook>> {
        self.webhook.subscribe()
    }

    pub(super) fn deliver_to(&self, webhook: Webhook) {
        self.webhook.send_replace(Some(webhook));
    }

    pub(super) fn layout(&self, expand_charge: bool) -> Layout<'_> {
        Layout {
            url: &self.url,
            expand_charge,
        }
    }

    /// Serves a call. A [`Fault`] was found before anything was done: its key stays free.
    pub(super) fn serve(&self, call: Call, key: Option<Key>, request_id: &str, now: i64) -> Result<Reply, Fault> {
        let mut ledger = self.ledger();
        if let Some(Key { key, asked }) = &key
            && let Some((answer, request_id)) = ledger.keys.find(key, asked, now)?
        {
            return Ok(Reply::Replay {
                answer: answer.clone(),
                request_id: request_id.to_owned(),
            });
        }
        let effect = self.execute(&ledger, call, now)?;
        let outcome = match &effect.reply {
            Reply::Answer(answer) | Reply::Replay { answer, .. } | Reply::Lost(answer) => {
                KeyOutcome::Answered(answer.clone())
            }
            Reply::Processing { intent, expand_charge } => KeyOutcome::InFlight {
                intent: intent.clone(),
                expand_charge: *expand_charge,
            },
        };
        let key = key.map(|Key { key, asked }| KeyRecord {
            key,
            asked,
            request_id: request_id.to_owned(),
            created: now,
            outcome,
        });
        self.store(&mut ledger, effect.changes, key, now)?;
        Ok(effect.reply)
    }

    /// Ends the processing of a payment, and answers the call that began it; at once, whatever it waited for before.
    pub(super) fn finish_processing(&self, id: &str, expand_charge: bool, now: i64) -> Result<Answer, Fault> {
        let mut ledger = self.ledger();
        let mut intent = find_intent(&ledger, id)?;
        let confirmed = intent
            .finish_processing(new_id("ch"), now)
            .map_err(|refusal| Fault::refused(&refusal))?;
        let waiting = ledger.keys.waiting_for(id).cloned();
        let effect = self.confirmed(intent, confirmed, expand_charge, now);
        let Reply::Answer(answer) = effect.reply else {
            return Err(Fault::internal());
        };
        let key = waiting.map(|record| KeyRecord {
            outcome: KeyOutcome::Answered(answer.clone()),
            ..record
        });
        self.store(&mut ledger, effect.changes, key, now)?;
        Ok(answer)
    }

    /// Takes the cardholder's answer to `requires_action`; answers the payment as it then stands.
    pub(super) fn authenticate(&self, id: &str, answer: Authentication, now: i64) -> Result<PaymentIntent, Fault> {
        let mut ledger = self.ledger();
        let mut intent = find_intent(&ledger, id)?;
        let confirmed = intent
            .authenticate(answer, new_id("ch"), now)
            .map_err(|refusal| Fault::refused(&refusal))?;
        let after = intent.clone();
        let effect = self.confirmed(intent, confirmed, false, now);
        self.store(&mut ledger, effect.changes, None, now)?;
        Ok(after)
    }

    /// Payments that an earlier process left in `processing`.
    pub(super) fn resume(&self, now: i64) {
        let left: Vec<(String, bool)> = {
            let ledger = self.ledger();
            let processing = ledger
                .intents
                .oldest_first()
                .filter(|intent| intent.status == Status::Processing);
            processing
                .map(|intent| {
                    let expand = ledger.keys.waiting_for(&intent.id).is_some_and(|record| {
                        matches!(
                            record.outcome,
                            KeyOutcome::InFlight {
                                expand_charge: true,
                                ..
                            }
                        )
                    });
                    (intent.id.clone(), expand)
                })
                .collect()
        };
        for (id, expand_charge) in left {
            if let Err(fault) = self.finish_processing(&id, expand_charge, now) {
                tracing::error!(payment.intent = id, ?fault, "cannot finish a payment");
            }
        }
    }

    /// An event needs no more delivering.
    pub(super) fn settle(&self, event: &str) {
        let entry = Entry {
            settled: vec![event.to_owned()],
            ..Entry::default()
        };
        if let Err(error) = self.ledger().commit(entry) {
            tracing::error!(%error, "cannot write the payment journal");
        }
    }

    fn store(&self, ledger: &mut Ledger, changes: Changes, key: Option<KeyRecord>, now: i64) -> Result<(), Fault> {
        let key_used = key.as_ref().map(|record| record.key.as_str());
        let events: Vec<Event> = if self.webhook().is_none() {
            Vec::new()
        } else if ledger.undelivered.len() >= MAX_UNDELIVERED {
            tracing::warn!(
                limit = MAX_UNDELIVERED,
                "payment events dropped: too many wait for their endpoint"
            );
            Vec::new()
        } else {
            changes
                .events
                .into_iter()
                .map(|(kind, object)| event(kind, &object, key_used, now))
                .collect()
        };
        let entry = Entry {
            intent: changes.intent,
            refund: changes.refund,
            dispute: changes.dispute,
            key,
            events: events.clone(),
            settled: Vec::new(),
        };
        ledger.commit(entry).map_err(|error| {
            tracing::error!(%error, "cannot write the payment journal");
            Fault::internal()
        })?;
        for event in events {
            let _ = self.deliveries.send(event);
        }
        Ok(())
    }

    fn execute(&self, ledger: &Ledger, call: Call, now: i64) -> Result<Effect, Fault> {
        let expand_charge = call.expand_charge;
        match call.command {
            Command::Create(new) => self.create(new, expand_charge, now),
            Command::Update {
                intent,
                payment_method,
                description,
                metadata,
            } => {
                let before = find_intent(ledger, &intent)?;
                let mut after = before.clone();
                match after.update(payment_method, description, metadata) {
                    Ok(()) => Ok(self.changed(after, Vec::new(), expand_charge)),
                    Err(refusal) => self.refused(&refusal, &before),
                }
            }
            Command::Confirm { intent, confirmation } => {
                let before = find_intent(ledger, &intent)?;
                let mut after = before.clone();
                match after.confirm(confirmation, new_id("ch"), now) {
                    Ok(confirmed) => Ok(self.confirmed(after, confirmed, expand_charge, now)),
                    Err(refusal) => self.refused(&refusal, &before),
                }
            }
            Command::Capture { intent, amount } => {
                let before = find_intent(ledger, &intent)?;
                let mut after = before.clone();
                match after.capture(amount) {
                    Ok(()) => Ok(self.captured(after, expand_charge, now)),
                    Err(refusal) => self.refused(&refusal, &before),
                }
            }
            Command::Cancel { intent, reason } => {
                let before = find_intent(ledger, &intent)?;
                let mut after = before.clone();
                match after.cancel(reason, now) {
                    Ok(released) => Ok(self.canceled(after, released, expand_charge)),
                    Err(refusal) => self.refused(&refusal, &before),
                }
            }
            Command::Refund(new) => self.refund(ledger, new, now),
            Command::AnswerDispute { dispute, evidence } => self.answer_dispute(ledger, &dispute, evidence),
            Command::CloseDispute { dispute } => self.close_dispute(ledger, &dispute),
        }
    }

    fn create(&self, new: NewIntent, expand_charge: bool, now: i64) -> Result<Effect, Fault> {
        let id = new_id("pi");
        let status = if new.payment_method.is_some() {
            Status::RequiresConfirmation
        } else {
            Status::RequiresPaymentMethod
        };
        let mut intent = PaymentIntent {
            client_secret: format!("{id}_secret_{}", Uuid::new_v4().simple()),
            id,
            amount: new.amount,
            currency: new.currency,
            capture_method: new.capture_method,
            status,
            description: new.description,
            metadata: new.metadata,
            payment_method: new.payment_method,
            return_url: None,
            charges: Vec::new(),
            last_error: None,
            created: now,
            canceled_at: None,
            cancellation_reason: None,
        };
        let Some(confirmation) = new.confirmation else {
            return Ok(self.changed(intent, Vec::new(), expand_charge));
        };
        match intent.confirm(confirmation, new_id("ch"), now) {
            Ok(confirmed) => Ok(self.confirmed(intent, confirmed, expand_charge, now)),
            // Nothing was created: there is no payment to speak of.
            Err(refusal) => Err(Fault::refused(&refusal)),
        }
    }

    fn confirmed(&self, intent: PaymentIntent, confirmed: Confirmed, expand_charge: bool, now: i64) -> Effect {
        let lost = intent
            .payment_method
            .as_deref()
            .and_then(method::find)
            .is_some_and(|method| matches!(method.behaviour, Behaviour::Lost));
        let mut effect = match confirmed {
            Confirmed::Authorized => {
                self.changed(intent, vec!["payment_intent.amount_capturable_updated"], expand_charge)
            }
            Confirmed::Captured => self.captured(intent, expand_charge, now),
            Confirmed::NeedsCardholder => self.changed(intent, vec!["payment_intent.requires_action"], expand_charge),
            Confirmed::Processing => {
                let reply = Reply::Processing {
                    intent: intent.id.clone(),
                    expand_charge,
                };
                let changes = Changes {
                    intent: Some(intent),
                    ..Changes::default()
                };
                Effect { changes, reply }
            }
            Confirmed::Declined(error) => {
                let shown = present::intent(&intent, self.layout(false));
                let (status, body) = fault::declined(&error, shown);
                let reply = Reply::Answer(Answer::new(status, &body));
                Effect {
                    reply,
                    ..self.changed(intent, vec!["payment_intent.payment_failed"], expand_charge)
                }
            }
        };
        if lost && let Reply::Answer(answer) = effect.reply {
            effect.reply = Reply::Lost(answer);
        }
        effect
    }

    fn captured(&self, mut intent: PaymentIntent, expand_charge: bool, now: i64) -> Effect {
        let dispute = back::contested(&mut intent, now);
        let mut effect = self.changed(intent, vec!["payment_intent.succeeded"], expand_charge);
        let changes = &mut effect.changes;
        let told = dispute.as_ref().map(present::dispute);
        changes
            .events
            .extend(told.map(|dispute| ("charge.dispute.created", dispute)));
        changes.dispute = dispute;
        effect
    }

    fn canceled(&self, intent: PaymentIntent, released: Released, expand_charge: bool) -> Effect {
        // Stripe tells of a released authorization as of a refund, too.
        let released = match (released, intent.latest_charge()) {
            (Released::Authorization, Some(charge)) => Some(("charge.refunded", present::charge(&intent, charge))),
            (Released::Authorization, None) | (Released::Nothing, _) => None,
        };
        let mut effect = self.changed(intent, vec!["payment_intent.canceled"], expand_charge);
        effect.changes.events.extend(released);
        effect
    }

    /// The payment has changed, and is the answer and what the events show.
    fn changed(&self, intent: PaymentIntent, events: Vec<&'static str>, expand_charge: bool) -> Effect {
        let plain = present::intent(&intent, self.layout(false));
        Effect {
            reply: Reply::Answer(Answer::new(200, &present::intent(&intent, self.layout(expand_charge)))),
            changes: Changes {
                events: events.into_iter().map(|kind| (kind, plain.clone())).collect(),
                intent: Some(intent),
                ..Changes::default()
            },
        }
    }

    /// Refused by the payment's state: an outcome like others, and the key's answer; save that of a payment which is
    /// busy just now.
    fn refused(&self, refusal: &Refusal, intent: &PaymentIntent) -> Result<Effect, Fault> {
        let fault = Fault::refused(refusal);
        if matches!(refusal, Refusal::Busy) {
            return Err(fault);
        }
        let body = fault.body(Some(present::intent(intent, self.layout(false))));
        let reply = Reply::Answer(Answer::new(fault.status, &body));
        Ok(Effect {
            changes: Changes::default(),
            reply,
        })
    }
}

fn find_intent(ledger: &Ledger, id: &str) -> Result<PaymentIntent, Fault> {
    ledger
        .intents
        .get(id)
        .cloned()
        .ok_or_else(|| Fault::no_such("payment_intent", "intent", id))
}

fn event(kind: &str, object: &Value, idempotency_key: Option<&str>, now: i64) -> Event {
    let id = new_id("evt");
    let payload = present::event(&id, kind, object, idempotency_key, now).to_string();
    Event {
        id,
        created: now,
        payload,
    }
}

pub(super) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}
