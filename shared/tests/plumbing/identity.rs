//! Whose tokens are believed.

use std::net::TcpListener;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use shared::auth::{Admin, AuthSettings, Caller, MaybeCaller, Merchant, ReadService, StockService, Verifier};
use shared::outgoing::Outgoing;
use shared::testing::Issuer;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::edge::http_client;

fn start(settings: AuthSettings) -> String {
    let verifier = web::Data::new(Verifier::new(settings, Outgoing::new().unwrap().http));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let ok = || std::future::ready(HttpResponse::Ok().finish());
        App::new()
            .app_data(verifier.clone())
            .route("/caller", web::get().to(move |_: Caller| ok()))
            .route("/maybe", web::get().to(move |_: MaybeCaller| ok()))
            .route("/merchant", web::get().to(move |_: Merchant| ok()))
            .route("/admin", web::get().to(move |_: Admin| ok()))
            .route("/stock", web::get().to(move |_: StockService| ok()))
            .route("/read", web::get().to(move |_: ReadService| ok()))
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
    url
}

async fn status(url: &str, path: &str, token: Option<&str>) -> u16 {
    let request = http_client().get(format!("{url}{path}"));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn each_role_opens_its_own_doors() {
    let issuer = Issuer::shared();
    let url = start(issuer.settings());
    let doors = ["/caller", "/maybe", "/merchant", "/admin", "/stock", "/read"];
    let table: [(&str, Option<String>, [u16; 6]); 6] = [
        ("nobody", None, [401, 200, 401, 401, 401, 401]),
        ("customer", Some(issuer.customer("c")), [200, 200, 403, 403, 403, 403]),
        ("merchant", Some(issuer.merchant()), [200, 200, 200, 403, 403, 403]),
        ("admin", Some(issuer.admin()), [200, 200, 200, 200, 403, 403]),
        (
            "stock",
            Some(issuer.service("internal/stock")),
            [403, 403, 403, 403, 200, 403],
        ),
        (
            "both",
            Some(issuer.service("internal/stock internal/read")),
            [403, 403, 403, 403, 200, 200],
        ),
    ];
    for (who, token, expected) in table {
        for (door, expected) in doors.iter().zip(expected) {
            assert_eq!(status(&url, door, token.as_deref()).await, expected, "{who} at {door}");
        }
    }
}

#[actix_web::test]
async fn a_token_that_does_not_hold_is_refused_even_where_none_is_needed() {
    let issuer = Issuer::shared();
    let url = start(issuer.settings());
    let now = issuer.claims("c", &[])["iat"].as_i64().unwrap();
    let with = |claim: &str, value: Value| {
        let mut claims = issuer.claims("c", &["merchant"]);
        claims[claim] = value;
        issuer.sign(&claims)
    };
    let good = issuer.customer("c");
    let parts: Vec<_> = good.split('.').collect();
    let unsigned = format!("eyJhbGciOiJub25lIiwia2lkIjoia2V5LTEifQ.{}.", parts[1]);
    let hmac = {
        use jsonwebtoken::{Algorithm, EncodingKey, Header};
        let header = Header {
            kid: Some("key-1".to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &issuer.claims("c", &[]), &EncodingKey::from_secret(b"public")).unwrap()
    };
    let table = [
        ("expired", with("exp", json!(now - 60))),
        ("not yet valid", with("nbf", json!(now + 600))),
        ("of another issuer", with("iss", json!("https://elsewhere.example"))),
        ("of another app client", with("client_id", json!("another"))),
        ("an id token", with("token_use", json!("id"))),
        ("without a subject", with("sub", json!(""))),
        (
            "of another key under the same name",
            Issuer::start("key-1").customer("c"),
        ),
        ("of an unknown key", Issuer::start("key-2").customer("c")),
        ("unsigned", unsigned),
        ("signed by HMAC", hmac),
        (
            "with its claims changed",
            format!("{}.{}x.{}", parts[0], parts[1], parts[2]),
        ),
        ("no token at all", "x".to_owned()),
    ];
    for (what, token) in table {
        for door in ["/caller", "/maybe"] {
            assert_eq!(status(&url, door, Some(&token)).await, 401, "{what} at {door}");
        }
    }
}

#[actix_web::test]
async fn without_the_pools_keys_the_answer_is_busy_and_not_refused() {
    let pool = MockServer::start().await;
    Mock::given(path("/jwks.json"))
        .respond_with(ResponseTemplate::new(500))
        .mount(&pool)
        .await;
    let issuer = Issuer::shared();
    let settings = AuthSettings {
        auth_jwks_url: format!("{}/jwks.json", pool.uri()).parse().unwrap(),
        ..issuer.settings()
    };
    let url = start(settings);
    assert_eq!(status(&url, "/caller", Some(&issuer.customer("c"))).await, 503);
}
