//! The calls that only look: one, a page, a search.

use serde_json::Value;

use super::call::{MAX_ID, expands};
use super::charge::{Dispute, Refund};
use super::desk::Desk;
use super::fault::Fault;
use super::form::{Params, required};
use super::intent::PaymentIntent;
use super::ledger::{Ledger, Shelf};
use super::present;

const INTENTS: &str = "/v1/payment_intents";
const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: i64 = 100;

impl Desk {
    pub(super) fn show_intent(&self, id: &str, mut params: Params) -> Result<Value, Fault> {
        let expand_charge = expands(&mut params, "latest_charge")?;
        params.ignore(&["client_secret"]);
        params.finish()?;
        let ledger = self.ledger();
        let intent = ledger
            .intents
            .get(id)
            .ok_or_else(|| Fault::no_such("payment_intent", "intent", id))?;
        Ok(present::intent(intent, self.layout(expand_charge)))
    }

    pub(super) fn show_charge(&self, id: &str, params: Params) -> Result<Value, Fault> {
        params.finish()?;
        let ledger = self.ledger();
        let shown = ledger.intents.newest_first(None).find_map(|intent| {
            let charge = intent.charges.iter().find(|charge| charge.id == id)?;
            Some(present::charge(intent, charge))
        });
        shown.ok_or_else(|| Fault::no_such("charge", "id", id))
    }

    pub(super) fn show_refund(&self, id: &str, params: Params) -> Result<Value, Fault> {
        params.finish()?;
        let ledger = self.ledger();
        ledger
            .refunds
            .get(id)
            .map(present::refund)
            .ok_or_else(|| Fault::no_such("refund", "refund", id))
    }

    /// Newest first.
    pub(super) fn list_intents(&self, mut params: Params) -> Result<Value, Fault> {
        let limit = limit(&mut params)?;
        let after = params.text("starting_after", MAX_ID)?;
        let expand_charge = expands(&mut params, "data.latest_charge")?;
        params.finish()?;
        let ledger = self.ledger();
        let (page, more) = page(&ledger.intents, "payment_intent", after.as_deref(), limit, |_| true)?;
        let layout = self.layout(expand_charge);
        Ok(present::list(
            INTENTS,
            page.into_iter().map(|intent| present::intent(intent, layout)).collect(),
            more,
        ))
    }

    /// Newest first; of one payment, or all.
    pub(super) fn list_refunds(&self, mut params: Params) -> Result<Value, Fault> {
        let limit = limit(&mut params)?;
        let after = params.text("starting_after", MAX_ID)?;
        let intent = params.text("payment_intent", MAX_ID)?;
        let charge = params.text("charge", MAX_ID)?;
        params.finish()?;
        let wanted = |refund: &Refund| {
            intent.as_ref().is_none_or(|id| *id == refund.payment_intent)
                && charge.as_ref().is_none_or(|id| *id == refund.charge)
        };
        let ledger = self.ledger();
        let (page, more) = page(&ledger.refunds, "refund", after.as_deref(), limit, wanted)?;
        Ok(present::list(
            "/v1/refunds",
            page.into_iter().map(present::refund).collect(),
            more,
        ))
    }

    pub(super) fn show_dispute(&self, id: &str, params: Params) -> Result<Value, Fault> {
        params.finish()?;
        let ledger = self.ledger();
        let dispute = ledger.disputes.get(id).map(present::dispute);
        dispute.ok_or_else(|| Fault::no_such("dispute", "dispute", id))
    }

    /// Newest first; of one payment, or all.
    pub(super) fn list_disputes(&self, mut params: Params) -> Result<Value, Fault> {
        let limit = limit(&mut params)?;
        let after = params.text("starting_after", MAX_ID)?;
        let intent = params.text("payment_intent", MAX_ID)?;
        let charge = params.text("charge", MAX_ID)?;
        params.finish()?;
        let wanted = |dispute: &Dispute| {
            intent.as_ref().is_none_or(|id| *id == dispute.payment_intent)
                && charge.as_ref().is_none_or(|id| *id == dispute.charge)
        };
        let ledger = self.ledger();
        let (page, more) = page(&ledger.disputes, "dispute", after.as_deref(), limit, wanted)?;
        let data = page.into_iter().map(present::dispute).collect();
        Ok(present::list("/v1/disputes", data, more))
    }

    /// Newest first. Unlike Stripe's index, which lags by up to a minute, this one is always up to date.
    pub(super) fn search_intents(&self, mut params: Params) -> Result<Value, Fault> {
        let limit = limit(&mut params)?;
        let clauses = parse_query(&required("query", params.text("query", 1_000)?)?)?;
        let after = params.text("page", MAX_ID)?;
        let expand_charge = expands(&mut params, "data.latest_charge")?;
        params.finish()?;
        let ledger = self.ledger();
        let matches = |intent: &PaymentIntent| clauses.iter().all(|clause| clause.holds(intent));
        let (page, more) = page(&ledger.intents, "page", after.as_deref(), limit, matches)?;
        let layout = self.layout(expand_charge);
        let next_page = page.last().filter(|_| more).map(|intent| intent.id.clone());
        let data = page.into_iter().map(|intent| present::intent(intent, layout)).collect();
        Ok(present::search_result(
            "/v1/payment_intents/search",
            data,
            next_page.as_deref(),
        ))
    }

    /// What tests look at.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger())
    }
}

fn limit(params: &mut Params) -> Result<usize, Fault> {
    let limit = params.integer("limit")?;
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => usize::try_from(limit).map_err(|error| {
            tracing::error!(%error, "a small number is too large");
            Fault::internal()
        }),
        Some(_) => Err(Fault::parameter(
            "parameter_invalid_integer",
            "limit",
            format!("This value must be between 1 and {MAX_LIMIT}."),
        )),
    }
}

/// What stands before the one named, as many as wanted, and whether there are more.
fn page<'a, T>(
    shelf: &'a Shelf<T>,
    resource: &str,
    after: Option<&str>,
    limit: usize,
    wanted: impl Fn(&T) -> bool,
) -> Result<(Vec<&'a T>, bool), Fault> {
    if let Some(id) = after
        && shelf.get(id).is_none()
    {
        return Err(Fault::no_such_parameter(resource, "starting_after", id));
    }
    let mut found = shelf.newest_first(after).filter(|thing| wanted(thing));
    let page = found.by_ref().take(limit).collect();
    Ok((page, found.next().is_some()))
}

/// One condition of a search (<https://docs.stripe.com/search#search-query-language>).
#[derive(Debug, PartialEq)]
enum Clause {
    Metadata { key: String, value: String },
    Status(String),
}

impl Clause {
    fn holds(&self, intent: &PaymentIntent) -> bool {
        match self {
            Self::Metadata { key, value } => intent.metadata.get(key) == Some(value),
            Self::Status(status) => intent.status.as_str() == status,
        }
    }
}

/// `metadata['order_id']:'..' AND status:'..'`: of the language, what is needed to find an order's payment.
fn parse_query(query: &str) -> Result<Vec<Clause>, Fault> {
    query
        .split(" AND ")
        .map(|clause| {
            parse_clause(clause.trim()).ok_or_else(|| {
                Fault::request(
                    400,
                    format!(
                        "We were unable to parse your search query near `{clause}`. The sandbox knows \
                         metadata['key']:'value' and status:'value', joined by AND."
                    ),
                )
            })
        })
        .collect()
}

fn parse_clause(clause: &str) -> Option<Clause> {
    let (field, value) = clause.split_once(':')?;
    let value = unquote(value.trim())?;
    if field.trim() == "status" {
        return Some(Clause::Status(value));
    }
    let key = unquote(field.trim().strip_prefix("metadata[")?.strip_suffix(']')?)?;
    Some(Clause::Metadata { key, value })
}

fn unquote(quoted: &str) -> Option<String> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inner = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then(|| inner.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_clause_by_clause() {
        let order = Clause::Metadata {
            key: "order_id".to_owned(),
            value: "a:b".to_owned(),
        };
        assert_eq!(parse_query("metadata['order_id']:'a:b'").unwrap(), [order]);
        let both = parse_query(r#"metadata["order_id"]:"x" AND status:'succeeded'"#).unwrap();
        assert_eq!(both.last(), Some(&Clause::Status("succeeded".to_owned())));
        for wrong in [
            "",
            "order_id:'x'",
            "metadata['order_id']",
            "metadata['order_id']:x",
            "status>'a'",
        ] {
            assert!(parse_query(wrong).is_err(), "{wrong}");
        }
    }
}
