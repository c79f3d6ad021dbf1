//! The calls that change something, read from their parameters: what is wrong with a call by itself is found here, and
//! such a call does not use up its idempotency key. What the payment's state makes of it is the desk's and the
//! payment's own business.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::form::{Params, required};
use super::intent::{CaptureMethod, Cardholder, Confirmation};
use super::method;

/// A call, and how its answer is to be laid out.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) command: Command,
    /// `expand[]=latest_charge`
    pub(super) expand_charge: bool,
}

#[derive(Debug)]
pub(super) enum Command {
    Create(NewIntent),
    Update {
        intent: String,
        payment_method: Option<String>,
        description: Option<String>,
        metadata: BTreeMap<String, String>,
    },
    Confirm {
        intent: String,
        confirmation: Confirmation,
    },
    Capture {
        intent: String,
        amount: Option<i64>,
    },
    Cancel {
        intent: String,
        reason: Option<String>,
    },
    Refund(NewRefund),
    AnswerDispute {
        dispute: String,
        evidence: Evidence,
    },
    /// Gives in.
    CloseDispute {
        dispute: String,
    },
}

/// What evidence leads to, by its text: <https://docs.stripe.com/testing#evidence>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Winning,
    Losing,
    Other,
}

#[derive(Debug)]
pub(super) struct NewIntent {
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) capture_method: CaptureMethod,
    pub(super) payment_method: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Given where the payment is confirmed in the same call.
    pub(super) confirmation: Option<Confirmation>,
}

#[derive(Debug)]
pub(super) struct NewRefund {
    pub(super) of: Refunded,
    pub(super) amount: Option<i64>,
    pub(super) reason: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// What a refund is of.
#[derive(Debug)]
pub(super) enum Refunded {
    Intent(String),
    Charge(String),
}

impl Call {
    pub(super) fn create(mut params: Params) -> Result<Self, Fault> {
        let amount = required("amount", params.amount("amount")?)?;
        let currency = currency(&required("currency", params.text("currency", 10)?)?)?;
        check_amount(amount, &currency)?;
        let payment_method = payment_method(&mut params)?;
        let confirm = params.flag("confirm")?.unwrap_or(false);
        let confirmation = confirmation(&mut params)?;
        if !confirm {
            refuse_without_confirm(&confirmation)?;
        }
        expect_card(&mut params)?;
        let command = Command::Create(NewIntent {
            amount,
            currency,
            capture_method: params
                .choice("capture_method", &CAPTURE_METHODS)?
                .unwrap_or(CaptureMethod::AutomaticAsync),
            payment_method,
            description: params.text("description", MAX_TEXT)?,
            metadata: params.metadata()?,
            confirmation: confirm.then_some(confirmation),
        });
        params.ignore(&[
            "confirmation_method",
            "customer",
            "receipt_email",
            "statement_descriptor_suffix",
        ]);
        Self::complete(command, params)
    }

    pub(super) fn update(intent: String, mut params: Params) -> Result<Self, Fault> {
        let command = Command::Update {
            intent,
            payment_method: payment_method(&mut params)?,
            description: params.text("description", MAX_TEXT)?,
            metadata: params.metadata()?,
        };
        expect_card(&mut params)?;
        Self::complete(command, params)
    }

    pub(super) fn confirm(intent: String, mut params: Params) -> Result<Self, Fault> {
        let payment_method = payment_method(&mut params)?;
        let confirmation = Confirmation {
            payment_method,
            ..confirmation(&mut params)?
        };
        expect_card(&mut params)?;
        Self::complete(Command::Confirm { intent, confirmation }, params)
    }

    pub(super) fn capture(intent: String, mut params: Params) -> Result<Self, Fault> {
        let amount = params.amount("amount_to_capture")?;
        params.ignore(&["final_capture"]);
        Self::complete(Command::Capture { intent, amount }, params)
    }

    pub(super) fn cancel(intent: String, mut params: Params) -> Result<Self, Fault> {
        let reason = params
            .choice("cancellation_reason", &CANCELLATION_REASONS)?
            .map(str::to_owned);
        Self::complete(Command::Cancel { intent, reason }, params)
    }

    pub(super) fn refund(mut params: Params) -> Result<Self, Fault> {
        let of = match (params.text("payment_intent", MAX_ID)?, params.text("charge", MAX_ID)?) {
            (Some(intent), None) => Refunded::Intent(intent),
            (None, Some(charge)) => Refunded::Charge(charge),
            (None, None) => {
                return Err(Fault::request(
                    400,
                    "One of the following params should be provided: payment_intent or charge.",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Fault::request(
                    400,
                    "You may only specify one of these parameters: payment_intent, charge.",
                ));
            }
        };
        let command = Command::Refund(NewRefund {
            of,
            amount: params.amount("amount")?,
            reason: params.choice("reason", &REFUND_REASONS)?.map(str::to_owned),
            metadata: params.metadata()?,
        });
        Self::complete(command, params)
    }

    pub(super) fn answer_dispute(dispute: String, mut params: Params) -> Result<Self, Fault> {
        let evidence = match params.text("evidence[uncategorized_text]", MAX_TEXT)?.as_deref() {
            Some("winning_evidence") => Evidence::Winning,
            Some("losing_evidence") => Evidence::Losing,
            Some(_) | None => Evidence::Other,
        };
        params.ignore(&["evidence", "submit", "metadata"]);
        Self::complete(Command::AnswerDispute { dispute, evidence }, params)
    }

    pub(super) fn close_dispute(dispute: String, params: Params) -> Result<Self, Fault> {
        Self::complete(Command::CloseDispute { dispute }, params)
    }

    fn complete(command: Command, mut params: Params) -> Result<Self, Fault> {
        let expand_charge = expands(&mut params, "latest_charge")?;
        params.finish()?;
        Ok(Self { command, expand_charge })
    }
}

/// Whether a field is asked for in full; the only one that can be is named.
pub(super) fn expands(params: &mut Params, known: &str) -> Result<bool, Fault> {
    let asked = params.list("expand");
    match asked.iter().find(|field| *field != known) {
        None => Ok(!asked.is_empty()),
        Some(unknown) => Err(Fault::request(
            400,
            format!("This property cannot be expanded ({unknown}). Here, {known} can."),
        )),
    }
}

/// Longer ids are none of ours.
pub(super) const MAX_ID: usize = 100;
const MAX_TEXT: usize = 1_000;
const CAPTURE_METHODS: [(&str, CaptureMethod); 3] = [
    ("manual", CaptureMethod::Manual),
    ("automatic", CaptureMethod::Automatic),
    ("automatic_async", CaptureMethod::AutomaticAsync),
];
const CANCELLATION_REASONS: [(&str, &str); 4] = [
    ("duplicate", "duplicate"),
    ("fraudulent", "fraudulent"),
    ("requested_by_customer", "requested_by_customer"),
    ("abandoned", "abandoned"),
];
const REFUND_REASONS: [(&str, &str); 3] = [
    ("duplicate", "duplicate"),
    ("fraudulent", "fraudulent"),
    ("requested_by_customer", "requested_by_customer"),
];

fn payment_method(params: &mut Params) -> Result<Option<String>, Fault> {
    let Some(token) = params.text("payment_method", MAX_ID)? else {
        return Ok(None);
    };
    match method::find(&token) {
        Some(_) => Ok(Some(token)),
        None => Err(Fault::no_such_parameter("PaymentMethod", "payment_method", &token)),
    }
}

fn confirmation(params: &mut Params) -> Result<Confirmation, Fault> {
    let cardholder = match params.flag("off_session")? {
        Some(true) => Cardholder::Absent,
        Some(false) | None => Cardholder::Present,
    };
    Ok(Confirmation {
        payment_method: None,
        return_url: params.web_address("return_url")?,
        cardholder,
    })
}

/// <https://docs.stripe.com/api/payment_intents/create>: both "can only be used with confirm=true".
fn refuse_without_confirm(confirmation: &Confirmation) -> Result<(), Fault> {
    let param = match confirmation {
        Confirmation {
            return_url: Some(_), ..
        } => "return_url",
        Confirmation {
            cardholder: Cardholder::Absent,
            ..
        } => "off_session",
        Confirmation { .. } => return Ok(()),
    };
    Err(Fault::parameter(
        "parameter_unknown",
        param,
        format!("You cannot set `{param}` when creating a PaymentIntent without `confirm=true`."),
    ))
}

/// Cards are all there is here, whichever way they are asked for.
fn expect_card(params: &mut Params) -> Result<(), Fault> {
    if let Some(other) = params.list("payment_method_types").iter().find(|kind| *kind != "card") {
        return Err(Fault::parameter(
            "parameter_invalid_string",
            "payment_method_types",
            format!("The payment method type \"{other}\" is invalid. The sandbox knows cards only."),
        ));
    }
    params.ignore(&["automatic_payment_methods"]);
    Ok(())
}

fn currency(given: &str) -> Result<String, Fault> {
    let currency = given.to_ascii_lowercase();
    if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Ok(currency);
    }
    Err(Fault::parameter(
        "parameter_invalid_string",
        "currency",
        format!("Invalid currency: {given}"),
    ))
}

/// <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>
fn check_amount(amount: i64, currency: &str) -> Result<(), Fault> {
    let least = match currency {
        "usd" | "eur" | "chf" | "jpy" | "cad" | "aud" => 50,
        "gbp" => 30,
        _ => 1,
    };
    if amount < least {
        return Err(Fault::parameter(
            "amount_too_small",
            "amount",
            format!("Amount must be at least {least} {currency} in minor units"),
        ));
    }
    if amount > MAX_AMOUNT {
        return Err(Fault::parameter(
            "amount_too_large",
            "amount",
            format!("Amount must be no more than {MAX_AMOUNT} {currency} in minor units"),
        ));
    }
    let step = match currency {
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        "isk" | "ugx" => 100,
        _ => 1,
    };
    if amount % step != 0 {
        return Err(Fault::parameter(
            "invalid_charge_amount_no_decimal_compatible",
            "amount",
            format!("Invalid amount. Amounts of {currency} must be evenly divisible by {step}."),
        ));
    }
    Ok(())
}

/// Eight digits.
const MAX_AMOUNT: i64 = 99_999_999;
