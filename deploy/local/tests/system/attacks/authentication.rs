//! API2: tokens that are forged, of another kind, out of their time, or sent where none is looked for.

use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::forge::Forge;
use super::stage::Stage;
use super::table::Owasp::Authentication;
use super::table::{Attack, Caller};

pub(crate) fn rows(stage: &Stage) -> Vec<Attack> {
    let tokens = [
        unsigned(&stage.forge),
        strangers(&stage.forge),
        untimely(&stage.forge),
        broken(stage),
    ]
    .concat();
    let mut rows: Vec<_> = tokens
        .into_iter()
        .flat_map(|(name, token)| everywhere(stage, &name, &token))
        .collect();
    rows.extend(other_claims(stage));
    rows.extend(other_places(stage));
    rows
}

/// Each service looks at tokens by itself, so each is asked.
fn everywhere(stage: &Stage, name: &str, token: &str) -> [Attack; 3] {
    let by = |method, path: String| {
        let row = Attack::new(
            Authentication,
            format!("{name}, to {path}"),
            &stage.nobody,
            method,
            path,
        );
        row.header("authorization", format!("Bearer {token}"))
            .refused(401, "unauthenticated")
    };
    [
        by("GET", "/v1/orders?customer_id=me".to_owned()),
        by("GET", "/v1/baskets/me".to_owned()),
        by("DELETE", format!("/v1/products/{}", stage.tea)).header("if-match", "*"),
    ]
}

type Tokens = Vec<(String, String)>;

fn named(tokens: Vec<(&str, String)>) -> Tokens {
    tokens
        .into_iter()
        .map(|(name, token)| (name.to_owned(), token))
        .collect()
}

fn unsigned(forge: &Forge) -> Tokens {
    let [header, claims, signature] = forge.parts();
    named(vec![
        ("the algorithm is none", forge.unsigned("none", "")),
        (
            "the algorithm is None, with a signature",
            forge.unsigned("None", signature),
        ),
        ("the algorithm is nOnE", forge.unsigned("nOnE", "")),
        ("the algorithm is empty", forge.unsigned("", signature)),
        ("the signature is left away", format!("{header}.{claims}.")),
        ("the signature's part is left away", format!("{header}.{claims}")),
        (
            "the signature is cut short",
            format!("{header}.{claims}.{}", &signature[..signature.len() - 8]),
        ),
        (
            "there is a fourth part",
            format!("{header}.{claims}.{signature}.{signature}"),
        ),
        ("an HMAC with the public key as PEM", forge.confused("PEM")),
        ("an HMAC with the public key as DER", forge.confused("DER")),
        ("an HMAC with the public modulus", forge.confused("modulus")),
        ("an HMAC with a guess", forge.confused("secret")),
        (
            "RS384 with the pool's key",
            forge.with_algorithm("RS384", Algorithm::RS384),
        ),
        (
            "PS256 with the pool's key",
            forge.with_algorithm("PS256", Algorithm::PS256),
        ),
    ])
}

fn strangers(forge: &Forge) -> Tokens {
    let mine = forge.strangers_jwk();
    named(vec![
        (
            "a stranger's key under the pool's key id",
            forge.by_a_stranger(&json!({})),
        ),
        (
            "a stranger's key under its own id",
            forge.by_a_stranger(&json!({"kid": "mine"})),
        ),
        (
            "a stranger's key under no id",
            forge.by_a_stranger(&json!({"kid": null})),
        ),
        (
            "a stranger's key brought along",
            forge.by_a_stranger(&json!({"jwk": mine, "kid": "mine"})),
        ),
        (
            "a stranger's keys by address",
            forge.by_a_stranger(&json!({"jku": "http://127.0.0.1:9/jwks.json"})),
        ),
        (
            "a stranger's certificate by address",
            forge.by_a_stranger(&json!({"x5u": "http://127.0.0.1:9/x.pem"})),
        ),
        (
            "a key id that is a path",
            forge.by_a_stranger(&json!({"kid": "../../../../dev/null"})),
        ),
        (
            "a key id that is a condition",
            forge.by_a_stranger(&json!({"kid": "x' OR '1'='1"})),
        ),
        ("a key id that is a number", forge.headed(&json!({"kid": 0}))),
        (
            "a header that is to be understood and is not",
            forge.headed(&json!({"crit": ["b64x"], "b64x": false})),
        ),
    ])
}

fn untimely(forge: &Forge) -> Tokens {
    let now = Timestamp::now().as_second();
    named(vec![
        ("expired an hour ago", forge.saying(&json!({"exp": now - 3600}))),
        ("expired two minutes ago", forge.saying(&json!({"exp": now - 120}))),
        ("without an end", forge.saying(&json!({"exp": null}))),
        ("ended before there was time", forge.saying(&json!({"exp": -1}))),
        ("an end that is a text", forge.saying(&json!({"exp": "4000000000"}))),
        ("not valid before tomorrow", forge.saying(&json!({"nbf": now + 86_400}))),
        (
            "of another issuer",
            forge.saying(&json!({"iss": "https://elsewhere.example"})),
        ),
        ("of no issuer", forge.saying(&json!({"iss": null}))),
        (
            "of a pool whose name begins alike",
            forge.saying(&json!({"iss": "https://cognito-idp.us-east-1.amazonaws.com/"})),
        ),
    ])
}

fn broken(stage: &Stage) -> Tokens {
    let forge = &stage.forge;
    let mallorys = stage.mallory.token.as_deref().unwrap_or_default();
    let [header, claims, signature] = forge.parts();
    named(vec![
        (
            "a customer who calls themselves admin",
            forge.tampered(mallorys, &json!({"cognito:groups": ["admin"]})),
        ),
        (
            "a customer who calls themselves another",
            forge.tampered(mallorys, &json!({"sub": stage.subject})),
        ),
        ("no JWT", "nonsense".to_owned()),
        ("three dots", "...".to_owned()),
        ("a header that is no JSON", format!("bm9uc2Vuc2U.{claims}.{signature}")),
        ("claims that are no JSON", format!("{header}.bm9uc2Vuc2U.{signature}")),
        ("a token of 20,000 characters", "a.".repeat(10_000)),
        ("two tokens, one after the other", format!("{mallorys},{mallorys}")),
    ])
}

/// What the pool signed, but for something else than this.
fn other_claims(stage: &Stage) -> Vec<Attack> {
    let forge = &stage.forge;
    let changed = |name: &str, token: &str| {
        everywhere(stage, name, token).map(|row| row.refused(403, "forbidden").directly(401, "unauthenticated"))
    };
    let mut rows = Vec::new();
    for (name, token) in [
        ("an id token", stage.id_token.clone()),
        ("a refresh token", stage.refresh_token.clone()),
        (
            "an access token that says it is for identity",
            forge.saying(&json!({"token_use": "id"})),
        ),
        (
            "a token that does not say its use",
            forge.saying(&json!({"token_use": null})),
        ),
        (
            "a token of another app",
            forge.saying(&json!({"client_id": "another-app"})),
        ),
        ("a token of no app", forge.saying(&json!({"client_id": null}))),
        (
            "a token of an app by its audience",
            forge.saying(&json!({"client_id": null, "aud": "shop"})),
        ),
        (
            "a token of a list of apps",
            forge.saying(&json!({"client_id": ["shop", "another"]})),
        ),
    ] {
        rows.extend(changed(name, &token));
    }
    for (name, changes) in [
        ("a token of nobody", json!({"sub": null})),
        ("a token of a number", json!({"sub": 7})),
        ("a token of an empty name", json!({"sub": ""})),
    ] {
        let token = forge.saying(&changes);
        rows.extend(everywhere(stage, name, &token));
    }
    let admin = |name, groups| {
        let row = Attack::new(
            Authentication,
            name,
            &stage.nobody,
            "GET",
            "/v1/orders/admin/dead-letters",
        );
        let token = forge.saying(&json!({"cognito:groups": groups}));
        row.header("authorization", format!("Bearer {token}"))
            .refused(403, "forbidden")
    };
    rows.push(admin(
        "a group that is named alike",
        json!(["administrators", "Admin", "admin "]),
    ));
    rows.push(admin("no groups", json!([])));
    rows.push(admin("groups as one text", json!("admin")).directly(401, "unauthenticated"));
    rows
}

/// A genuine token, where no token is looked for.
fn other_places(stage: &Stage) -> Vec<Attack> {
    let Stage {
        nobody, admin, mallory, ..
    } = stage;
    let genuine = admin.token.clone().unwrap_or_default();
    let other = mallory.token.clone().unwrap_or_default();
    let list = "/v1/orders?customer_id=me";
    let row = |name, who: &Caller, path: String| Attack::new(Authentication, name, who, "GET", path);
    let none = |attack: Attack| attack.refused(401, "unauthenticated");
    vec![
        none(row(
            "a token in the query",
            nobody,
            format!("{list}&access_token={genuine}"),
        )),
        none(row(
            "a token in the query, by another name",
            nobody,
            format!("{list}&token={genuine}"),
        )),
        none(
            row("a token in a cookie", nobody, list.to_owned())
                .header("cookie", format!("access_token={genuine}; token={genuine}")),
        ),
        none(
            row("a token in X-Authorization", nobody, list.to_owned())
                .header("x-authorization", format!("Bearer {genuine}")),
        ),
        none(
            row("a token for a proxy", nobody, list.to_owned())
                .header("proxy-authorization", format!("Bearer {genuine}")),
        ),
        none(row("a token in X-Access-Token", nobody, list.to_owned()).header("x-access-token", genuine.clone())),
        none(row("two genuine tokens", mallory, list.to_owned()).header("authorization", format!("Bearer {genuine}"))),
        none(
            row("a genuine token, and one that is none", mallory, list.to_owned()).header("authorization", "Bearer x"),
        ),
        none(
            row("two tokens in one header", nobody, list.to_owned())
                .header("authorization", format!("Bearer {other}, Bearer {genuine}")),
        ),
        none(row("a scheme alone", nobody, list.to_owned()).header("authorization", "Bearer")),
        none(row("a scheme and a space", nobody, list.to_owned()).header("authorization", "Bearer ")),
        none(row("a token without its scheme", nobody, list.to_owned()).header("authorization", genuine.clone())),
        none(row("a name and a password", nobody, list.to_owned()).header("authorization", "Basic YWRtaW46YWRtaW4=")),
        none(
            row("a token by another scheme", nobody, list.to_owned())
                .header("authorization", format!("DPoP {genuine}")),
        ),
        none(
            row("a token that is no text", nobody, list.to_owned())
                .header("authorization", b"Bearer \xff\xfe".to_vec()),
        ),
        none(
            row(
                "a token that does not hold, where none is needed",
                nobody,
                "/v1/products".to_owned(),
            )
            .header("authorization", "Bearer x"),
        )
        .directly_answered(200),
        none(
            row(
                "a token that does not hold, at a guest's basket",
                nobody,
                format!("/v1/baskets/{}", stage.guest),
            )
            .header("authorization", "Bearer x"),
        ),
    ]
}
