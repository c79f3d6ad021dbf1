//! API1: other people's baskets, checkouts, orders, streams, payments and cursors, and guests' baskets by their ids.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use super::stage::{Stage, address};
use super::table::Owasp::ObjectLevel;
use super::table::{Attack, Caller};

const NO_ORDER: &str = "0198c2f3-0000-7000-8000-000000000000";
const NO_GUEST: &str = "g_0123456789abcdef0123456789abcdef";
const PLAIN: &str = "only the gateway asks for a token where the path names no guest's basket";

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    [baskets(stage), orders(stage), cursors(stage), guests(stage), ids(stage)].concat()
}

fn row(name: &str, who: &Caller, method: &'static str, path: impl Into<String>) -> Attack {
    Attack::new(ObjectLevel, name, who, method, path)
}

fn baskets(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        subject,
        tea,
        checkout,
        guest,
        ..
    } = stage;
    let (theirs, missing) = (format!("/v1/baskets/{subject}"), "/v1/baskets/nobody");
    let like = |attack: Attack, rest: &str| attack.just_like(format!("{missing}{rest}")).refused(404, "not_found");
    let line = format!("/items/{tea}");
    let steps = format!("/checkouts/{checkout}");
    vec![
        like(row("a basket is read", mallory, "GET", theirs.as_str()), ""),
        like(row("a basket is looked at", mallory, "HEAD", theirs.as_str()), ""),
        like(row("a basket is emptied", mallory, "DELETE", theirs.as_str()), ""),
        like(
            row(
                "something is put into a basket",
                mallory,
                "POST",
                format!("{theirs}/items"),
            ),
            "/items",
        )
        .json(&json!({"product_id": tea, "quantity": 1})),
        like(row("a line is set", mallory, "PUT", format!("{theirs}{line}")), &line).json(&json!({"quantity": 9})),
        like(
            row("a line is set to nothing", mallory, "PUT", format!("{theirs}{line}")),
            &line,
        )
        .json(&json!({"quantity": 0})),
        like(
            row("a line is removed", mallory, "DELETE", format!("{theirs}{line}")),
            &line,
        ),
        like(
            row("a basket is checked out", mallory, "POST", format!("{theirs}/checkout")),
            "/checkout",
        )
        .key("theft")
        .json(&Stage::checkout_body()),
        like(
            row(
                "a guest's basket is merged into somebody's",
                mallory,
                "POST",
                format!("{theirs}/merge"),
            ),
            "/merge",
        )
        .json(&json!({"from": guest})),
        like(
            row("a checkout is followed", mallory, "GET", format!("{theirs}{steps}")),
            &steps,
        ),
        row(
            "a checkout is looked for in one's own basket",
            mallory,
            "GET",
            format!("/v1/baskets/me{steps}"),
        )
        .just_like(format!("/v1/baskets/me/checkouts/{NO_ORDER}"))
        .refused(404, "not_found"),
        row(
            "a checkout is waited for",
            mallory,
            "GET",
            format!("/v1/baskets/me{steps}"),
        )
        .header("prefer", "wait=20")
        .refused(404, "not_found"),
        row("a merchant reads a basket", &stage.merchant, "GET", theirs.as_str()).refused(404, "not_found"),
        row("an admin reads a basket", &stage.admin, "GET", theirs.as_str()).refused(404, "not_found"),
        row(
            "an admin checks a basket out",
            &stage.admin,
            "POST",
            format!("{theirs}/checkout"),
        )
        .key("theft")
        .json(&Stage::checkout_body())
        .refused(404, "not_found"),
        row("nobody reads a basket", &stage.nobody, "GET", theirs.as_str()).refused(401, "unauthenticated"),
        row("nobody's own basket is read", &stage.nobody, "GET", "/v1/baskets/me").refused(401, "unauthenticated"),
    ]
}

fn orders(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        order,
        waiting,
        subject,
        ..
    } = stage;
    let missing = format!("/v1/orders/{NO_ORDER}");
    let of = |name, method, rest: &str| {
        row(name, mallory, method, format!("/v1/orders/{order}{rest}"))
            .just_like(format!("{missing}{rest}"))
            .refused(404, "not_found")
    };
    vec![
        of("an order is read", "GET", ""),
        of("an order is looked at", "HEAD", ""),
        of("an order is read by its ETag", "GET", "").header("if-none-match", "*"),
        of("the events of an order are listened to", "GET", "/events"),
        of("the events of an order are resumed", "GET", "/events").header("last-event-id", "1"),
        of("an order is cancelled", "POST", "/cancel").json(&json!({"reason": "mine"})),
        of("an order is paid with another card", "POST", "/payment").json(&json!({"payment_token": "pm_card_visa"})),
        row(
            "an order that waits is waited for",
            mallory,
            "GET",
            format!("/v1/orders/{waiting}"),
        )
        .header("prefer", "wait=20")
        .refused(404, "not_found"),
        row(
            "an order that waits is cancelled",
            mallory,
            "POST",
            format!("/v1/orders/{waiting}/cancel"),
        )
        .json(&json!({"reason": "mine"}))
        .refused(404, "not_found"),
        row(
            "somebody's orders are listed",
            mallory,
            "GET",
            format!("/v1/orders?customer_id={subject}"),
        )
        .just_like("/v1/orders?customer_id=nobody")
        .refused(403, "forbidden"),
        row("an order is placed for somebody else", mallory, "POST", "/v1/orders")
            .key("theft")
            .json(&json!({"customer_id": subject, "items": [{"product_id": stage.tea, "quantity": 1}]}))
            .refused(403, "forbidden"),
        row(
            "a merchant pays a customer's order",
            &stage.merchant,
            "POST",
            format!("/v1/orders/{waiting}/payment"),
        )
        .json(&json!({"payment_token": "pm_card_visa"}))
        .refused(403, "forbidden"),
        row(
            "nobody reads an order",
            &stage.nobody,
            "GET",
            format!("/v1/orders/{order}"),
        )
        .refused(401, "unauthenticated"),
    ]
}

fn cursors(stage: &Stage) -> Vec<Attack> {
    let Stage {
        victim,
        mallory,
        merchant,
        orders_cursor,
        ..
    } = stage;
    let bad = |name, who: &Caller, path: String| row(name, who, "GET", path).refused(400, "invalid_cursor");
    let own = "/v1/orders?customer_id=me&cursor=";
    let mut flipped = orders_cursor.clone();
    let last = if flipped.ends_with('A') { 'E' } else { 'A' };
    flipped.pop();
    flipped.push(last);
    let first = if flipped.starts_with('A') { "B" } else { "A" };
    let beginning = format!("{first}{}", &orders_cursor[1..]);
    let unsealed = BASE64_URL_SAFE_NO_PAD.decode(orders_cursor).unwrap();
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(&unsealed[..unsealed.len() - 16]);
    let made_up = BASE64_URL_SAFE_NO_PAD.encode(json!({"pk": "CUSTOMER#x", "sk": "0"}).to_string());
    let category = &stage.category_cursor;
    vec![
        bad(
            "a cursor of somebody else's orders",
            mallory,
            format!("{own}{orders_cursor}"),
        ),
        bad(
            "a customer's cursor in a merchant's hands",
            merchant,
            format!("/v1/orders?customer_id={}&cursor={orders_cursor}", stage.subject),
        ),
        bad("a cursor with its seal changed", victim, format!("{own}{flipped}")),
        bad(
            "a cursor with its position changed",
            victim,
            format!("{own}{beginning}"),
        ),
        bad(
            "a cursor cut short",
            victim,
            format!("{own}{}", &orders_cursor[..orders_cursor.len() - 4]),
        ),
        bad("a cursor without its seal", victim, format!("{own}{unsigned}")),
        bad("a cursor made up", victim, format!("{own}{made_up}")),
        bad("a cursor of no bytes", victim, own.to_owned()),
        bad("a cursor that is no base64", victim, format!("{own}%00%ff..%2B%2B")),
        bad(
            "a cursor of 3,000 characters",
            victim,
            format!("{own}{}", "A".repeat(3000)),
        ),
        bad(
            "a cursor of products for orders",
            victim,
            format!("{own}{}", stage.products_cursor),
        ),
        bad(
            "a cursor of orders for products",
            mallory,
            format!("/v1/products?cursor={orders_cursor}"),
        ),
        bad(
            "a cursor of all products for a category",
            mallory,
            format!("/v1/products?category=lines&cursor={}", stage.products_cursor),
        ),
        bad(
            "a cursor of one category for another",
            mallory,
            format!("/v1/products?category=drinks&cursor={category}"),
        ),
        bad(
            "a cursor by name for a list by price",
            mallory,
            format!("/v1/products?category=lines&sort=price&cursor={category}"),
        ),
        bad(
            "a cursor of what is there for what is in stock",
            mallory,
            format!("/v1/products?category=lines&in_stock=true&cursor={category}"),
        ),
        bad(
            "a merchant's cursor for another status",
            merchant,
            format!("/v1/orders?status=shipped&cursor={}", stage.merchants_cursor),
        ),
        bad(
            "one merchant's cursor in another's hands",
            &stage.admin,
            format!("/v1/orders?status=confirmed&cursor={}", stage.merchants_cursor),
        ),
        bad(
            "a public cursor for an internal list",
            &stage.read_service,
            format!("/internal/v1/stock?cursor={}", stage.products_cursor),
        )
        .only_directly("the gateway routes none of it, which has rows of its own"),
    ]
}

fn guests(stage: &Stage) -> Vec<Attack> {
    let Stage {
        nobody,
        mallory,
        guest,
        merged_guest,
        full_guest,
        subject,
        tea,
        ..
    } = stage;
    let merge = |name, from: &str| row(name, mallory, "POST", "/v1/baskets/me/merge").json(&json!({"from": from}));
    let add = |name, basket: &str, quantity: i64| {
        row(name, nobody, "POST", format!("/v1/baskets/{basket}/items"))
            .json(&json!({"product_id": tea, "quantity": quantity}))
    };
    let shouted = guest.to_uppercase().replace("G_", "g_");
    vec![
        row(
            "a guest's basket is guessed",
            nobody,
            "GET",
            format!("/v1/baskets/{NO_GUEST}"),
        )
        .refused(404, "not_found"),
        row(
            "a guessed basket is emptied",
            nobody,
            "DELETE",
            format!("/v1/baskets/{NO_GUEST}"),
        )
        .refused(404, "not_found"),
        add("a guessed basket is filled", NO_GUEST, 1).refused(404, "not_found"),
        row(
            "a guessed basket's line is set",
            nobody,
            "PUT",
            format!("/v1/baskets/{NO_GUEST}/items/{tea}"),
        )
        .json(&json!({"quantity": 1}))
        .refused(404, "not_found"),
        row(
            "half of an id is tried",
            mallory,
            "GET",
            format!("/v1/baskets/{}", &guest[..18]),
        )
        .refused(404, "not_found"),
        row(
            "an id in capitals is tried",
            mallory,
            "GET",
            format!("/v1/baskets/{shouted}"),
        )
        .refused(404, "not_found"),
        row("an id with a wildcard is tried", mallory, "GET", "/v1/baskets/g_*").refused(404, "not_found"),
        row(
            "half of an id is tried by nobody",
            nobody,
            "GET",
            format!("/v1/baskets/{}", &guest[..18]),
        )
        .refused(401, "unauthenticated")
        .directly(404, "not_found"),
        row(
            "a guest checks out",
            nobody,
            "POST",
            format!("/v1/baskets/{guest}/checkout"),
        )
        .key("theft")
        .json(&Stage::checkout_body())
        .refused(401, "unauthenticated"),
        row(
            "a guest's basket is checked out by a customer",
            mallory,
            "POST",
            format!("/v1/baskets/{guest}/checkout"),
        )
        .key("theft")
        .json(&Stage::checkout_body())
        .refused(403, "customers_only"),
        row(
            "a guest looks for somebody's checkout",
            nobody,
            "GET",
            format!("/v1/baskets/{guest}/checkouts/{}", stage.checkout),
        )
        .refused(404, "not_found"),
        row(
            "a guest's basket takes another over",
            nobody,
            "POST",
            format!("/v1/baskets/{guest}/merge"),
        )
        .json(&json!({"from": full_guest}))
        .refused(401, "unauthenticated"),
        merge("a customer's basket is merged into one's own", subject).refused(400, "invalid_request"),
        merge("one's own basket is merged into itself", "me").refused(400, "invalid_request"),
        merge("a basket that never was is merged", NO_GUEST).refused(404, "not_found"),
        merge("a basket that somebody took over is merged", merged_guest).refused(409, "basket_merged"),
        row("a list of baskets is merged", mallory, "POST", "/v1/baskets/me/merge")
            .json(&json!({"from": [guest, full_guest]}))
            .refused(400, "invalid_request"),
        row("a strategy is invented", mallory, "POST", "/v1/baskets/me/merge")
            .json(&json!({"from": guest, "strategy": "steal"}))
            .refused(400, "invalid_request"),
        add("a basket that was taken over is filled", merged_guest, 1).refused(409, "basket_merged"),
        row(
            "a basket that was taken over is emptied",
            nobody,
            "DELETE",
            format!("/v1/baskets/{merged_guest}"),
        )
        .refused(409, "basket_merged"),
        row("baskets are listed", nobody, "GET", "/v1/baskets")
            .refused(401, "unauthenticated")
            .directly(405, "method_not_allowed"),
        row("a basket's id is chosen", nobody, "POST", "/v1/baskets")
            .json(&json!({"id": NO_GUEST, "customer_id": subject}))
            .answered(201)
            .never_says(NO_GUEST)
            .never_says(subject),
    ]
}

/// What a table's keys look like, and other spellings of an id.
fn ids(stage: &Stage) -> Vec<Attack> {
    let Stage {
        mallory,
        nobody,
        subject,
        guest,
        order,
        ..
    } = stage;
    let upper = subject.to_uppercase();
    let braced = format!("%7B{order}%7D");
    let simple = order.replace('-', "");
    vec![
        row(
            "a table's key of a customer",
            mallory,
            "GET",
            format!("/v1/baskets/C%23{subject}"),
        )
        .refused(404, "not_found"),
        row(
            "a table's key of a guest",
            mallory,
            "GET",
            format!("/v1/baskets/G%23{guest}"),
        )
        .refused(404, "not_found"),
        row(
            "a table's key without a token",
            nobody,
            "GET",
            format!("/v1/baskets/C%23{subject}"),
        )
        .refused(401, "unauthenticated")
        .only_through_the_gateway(PLAIN),
        row("a subject in capitals", mallory, "GET", format!("/v1/baskets/{upper}")).refused(404, "not_found"),
        row(
            "a subject with a space behind",
            mallory,
            "GET",
            format!("/v1/baskets/{subject}%20"),
        )
        .refused(404, "not_found"),
        row("two subjects", mallory, "GET", format!("/v1/baskets/me,{subject}")).refused(404, "not_found"),
        row(
            "an order's id in braces",
            mallory,
            "GET",
            format!("/v1/orders/{braced}"),
        )
        .refused(404, "not_found"),
        row(
            "an order's id without hyphens",
            &stage.victim,
            "GET",
            format!("/v1/orders/{simple}"),
        )
        .refused(404, "not_found"),
        row(
            "an order's key in the table",
            mallory,
            "GET",
            format!("/v1/orders/ORDER%23{order}"),
        )
        .refused(404, "not_found"),
        row("an order by a condition", mallory, "GET", "/v1/orders/'%20OR%20'1'='1").refused(404, "not_found"),
        row("all orders by a wildcard", mallory, "GET", "/v1/orders/*").refused(404, "not_found"),
        row(
            "a product's key in the table",
            nobody,
            "GET",
            format!("/v1/products/PRODUCT%23{}", stage.tea),
        )
        .refused(404, "not_found"),
        row(
            "an order's address with another host's basket",
            mallory,
            "POST",
            "/v1/baskets/me/checkout",
        )
        .key("theft")
        .json(&json!({"shipping_address": address(), "customer_id": subject}))
        .refused(400, "invalid_request"),
    ]
}
