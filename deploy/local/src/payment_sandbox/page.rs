//! The page on which a cardholder authenticates: what a bank would show for 3-D Secure, in its smallest form. The
//! address holds the payment's client secret, which only its customer has; there is nothing else to sign in with.

use actix_web::http::header::{ContentType, LOCATION};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::desk::Desk;
use super::fault::Fault;
use super::form::Params;
use super::intent::{Authentication, PaymentIntent, Status};

#[derive(Debug, Deserialize)]
pub(super) struct Address {
    intent: String,
    client_secret: String,
}

/// Asks the cardholder.
pub(super) async fn show(desk: web::Data<Desk>, address: web::Path<Address>) -> HttpResponse {
    match find(&desk, &address) {
        None => not_found(),
        Some(intent) if intent.status == Status::RequiresAction => {
            let minor_units = intent.amount;
            let currency = intent.currency.to_uppercase();
            html(
                200,
                &format!(
                    "<p>A shop asks for a payment of {minor_units} {currency} (in minor units).</p>\
                     <form method=\"post\">\
                     <button name=\"outcome\" value=\"complete\">Complete authentication</button> \
                     <button name=\"outcome\" value=\"fail\">Fail authentication</button></form>"
                ),
            )
        }
        Some(intent) => html(200, &format!("<p>This payment is {}.</p>", intent.status.as_str())),
    }
}

/// Takes the cardholder's answer (`outcome=complete` or `fail`), and leads back to the shop.
pub(super) async fn answer(desk: web::Data<Desk>, address: web::Path<Address>, body: String) -> HttpResponse {
    if find(&desk, &address).is_none() {
        return not_found();
    }
    let now = jiff::Timestamp::now().as_second();
    let outcome = outcome(&body).and_then(|outcome| desk.authenticate(&address.intent, outcome, now));
    match outcome {
        Ok(intent) => back_to_shop(&intent),
        Err(fault) => html(fault.status, &format!("<p>{}</p>", escape(fault.message()))),
    }
}

fn outcome(body: &str) -> Result<Authentication, Fault> {
    let mut params = Params::parse(body)?;
    let outcome = params.choice(
        "outcome",
        &[("complete", Authentication::Passed), ("fail", Authentication::Failed)],
    )?;
    super::form::required("outcome", outcome)
}

/// As Stripe does, with the payment and how it went in the address.
fn back_to_shop(intent: &PaymentIntent) -> HttpResponse {
    let status = match intent.status {
        Status::RequiresPaymentMethod => "failed",
        Status::RequiresConfirmation
        | Status::RequiresAction
        | Status::Processing
        | Status::RequiresCapture
        | Status::Canceled
        | Status::Succeeded => "succeeded",
    };
    let Some(Ok(mut url)) = intent.return_url.as_deref().map(reqwest::Url::parse) else {
        return html(
            200,
            &format!("<p>The authentication {status}. You can close this page.</p>"),
        );
    };
    url.query_pairs_mut()
        .append_pair("payment_intent", &intent.id)
        .append_pair("payment_intent_client_secret", &intent.client_secret)
        .append_pair("redirect_status", status);
    HttpResponse::SeeOther()
        .insert_header((LOCATION, url.as_str()))
        .finish()
}

fn find(desk: &Desk, address: &Address) -> Option<PaymentIntent> {
    desk.read(|ledger| ledger.intents.get(&address.intent).cloned())
        .filter(|intent| intent.client_secret == address.client_secret)
}

fn not_found() -> HttpResponse {
    html(404, "<p>There is no such payment.</p>")
}

fn html(status: u16, content: &str) -> HttpResponse {
    let status =
        actix_web::http::StatusCode::from_u16(status).unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .content_type(ContentType::html())
        .body(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>3-D Secure (sandbox)</title>\
         <body><h1>3-D Secure</h1>{content}</body></html>"
        ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
