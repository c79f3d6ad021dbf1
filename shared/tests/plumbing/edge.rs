//! What every route of every service shares.

use std::net::TcpListener;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, Responder, get, post, test, web};
use deserr::Deserr;
use reqwest::{Client, Method, Response, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use shared::body::{FieldErrors, Json, MAX_BODY_BYTES};
use shared::health::Readiness;
use shared::ids::ProductId;
use shared::problem::Problem;
use shared::web::{Edge, ServerSpan};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;
use utoipa::OpenApi;

use crate::told::Told;

#[derive(OpenApi)]
#[openapi(paths(thing, keyed))]
struct Api;

#[derive(Deserr, utoipa::ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
struct Body {
    quantity: shared::quantity::Quantity,
}

#[utoipa::path(responses((status = 200)))]
#[get("/things/{id}")]
async fn thing(id: web::Path<ProductId>) -> impl Responder {
    HttpResponse::Ok().json(json!({"id": *id}))
}

#[utoipa::path(responses((status = 200)))]
#[post("/keyed")]
async fn keyed(body: Json<Body>) -> impl Responder {
    HttpResponse::Ok().json(json!({"quantity": body.0.quantity}))
}

#[get("/broken")]
async fn broken() -> Result<HttpResponse, Problem> {
    Err(Problem::unavailable(std::io::Error::other(
        "the table's secret address",
    )))
}

fn start() -> String {
    start_until(CancellationToken::new())
}

fn start_until(stop: CancellationToken) -> String {
    shared::testing::telemetry("plumbing");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let edge = web::Data::new(Edge::new(&Api::openapi(), &["/keyed"], true, stop));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(edge.clone())
            .configure(shared::web::configure)
            .service(thing)
            .service(keyed)
            .service(broken)
            .default_service(web::to(shared::web::no_such_route))
            .wrap(from_fn(shared::web::around))
            .wrap(TracingLogger::<ServerSpan>::new())
    });
    tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
    url
}

async fn send(
    method: Method,
    url: String,
    change: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> Response {
    let client = http_client();
    change(client.request(method, url)).send().await.unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the tests' own, outside the system"
)]
pub(crate) fn http_client() -> Client {
    Client::new()
}

async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status, "{body}");
    body
}

const THING: &str = "/things/67e55044-10b1-426f-9247-bb680e5fe0c8";

#[actix_web::test]
async fn head_answers_like_get_without_a_body() {
    let url = start();
    let got = send(Method::GET, format!("{url}{THING}"), |r| r).await;
    let head = send(Method::HEAD, format!("{url}{THING}"), |r| r).await;
    assert_eq!((head.status(), got.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(head.headers()["content-length"], got.headers()["content-length"]);
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[rstest]
#[case(Method::DELETE, THING, 405, "method_not_allowed")]
#[case(Method::GET, "/keyed", 405, "method_not_allowed")]
#[case(Method::GET, "/nothing", 404, "not_found")]
#[case(Method::GET, "/things/not-an-id", 404, "not_found")]
#[case(Method::GET, "/things/%ff", 404, "not_found")]
#[actix_web::test]
async fn actix_own_refusals_are_problems(
    #[case] method: Method,
    #[case] path: &str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let response = send(method, format!("{}{path}", start()), |r| r).await;
    assert_eq!(response.status(), status);
    let allow = response.headers().get("allow").map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(allow.is_some(), status == 405);
    assert_eq!(problem(response).await["code"], code);
}

#[actix_web::test]
async fn a_body_is_refused_for_its_type_its_size_and_every_wrong_field() {
    let url = format!("{}/keyed", start());
    let post = |content: &'static str, body: String| {
        send(Method::POST, url.clone(), move |r| {
            r.header("content-type", content).body(body.clone())
        })
    };
    let response = post("text/plain", "{}".to_owned()).await;
    assert_eq!(
        (response.status(), &problem(response).await["code"]),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("unsupported_media_type"))
    );
    let packed = send(Method::POST, url.clone(), |r| {
        r.header("content-encoding", "gzip").json(&json!({"quantity": 1}))
    })
    .await;
    assert_eq!(packed.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(packed.headers()["accept-encoding"], "identity");
    let response = post("application/json", " ".repeat(MAX_BODY_BYTES + 1)).await;
    assert_eq!(
        (response.status(), &problem(response).await["limit_bytes"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!(MAX_BODY_BYTES))
    );
    let response = post("application/json", "{".to_owned()).await;
    assert_eq!(problem(response).await["code"], "invalid_json");
    let response = post(
        "application/json; charset=utf-8",
        r#"{"quantity": 1000, "price": 1}"#.to_owned(),
    )
    .await;
    let errors = problem(response).await["errors"].clone();
    let mut pointers: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["#/price", "#/quantity"]);
}

/// Else a client sends its next request where nobody listens any more.
#[actix_web::test]
async fn each_answer_is_the_last_of_its_connection_once_the_server_stops() {
    let stop = CancellationToken::new();
    let url = start_until(stop.clone());
    for (stopping, connection) in [(false, None), (true, Some("close"))] {
        if stopping {
            stop.cancel();
        }
        for (path, key, status) in [
            (THING, None, 200),
            ("/things/none", None, 404),
            ("/nowhere", None, 404),
            (THING, Some("stray"), 400),
        ] {
            let answer = send(Method::GET, format!("{url}{path}"), |request| match key {
                Some(key) => request.header("idempotency-key", key),
                None => request,
            })
            .await;
            assert_eq!(answer.status(), status, "{path}");
            let told = answer.headers().get("connection").map(|value| value.to_str().unwrap());
            assert_eq!(told, connection, "{path} {key:?}");
        }
    }
}

#[actix_web::test]
async fn an_idempotency_key_is_taken_where_it_means_something_and_refused_elsewhere() {
    let url = start();
    let with_key = |r: reqwest::RequestBuilder| r.header("idempotency-key", "k");
    let refused = send(Method::GET, format!("{url}{THING}"), with_key).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(problem(refused).await["code"], "idempotency_key_unsupported");
    let taken = send(Method::POST, format!("{url}/keyed"), |r| {
        with_key(r).json(&json!({"quantity": 1}))
    })
    .await;
    assert_eq!(taken.status(), StatusCode::OK);
    // What is not there is refused for that, with a key as without.
    let stray = send(Method::DELETE, format!("{url}/keyed"), with_key).await;
    assert_eq!(stray.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[actix_web::test]
async fn a_failure_keeps_its_cause_to_itself_and_names_the_callers_trace() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let response = send(Method::GET, format!("{}/broken", start()), |r| {
        r.header("traceparent", &parent)
    })
    .await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let body = problem(response).await;
    assert_eq!(body["trace_id"], trace);
    assert!(!body.to_string().contains("secret"), "{body}");
}

#[actix_web::test]
async fn spans_have_no_more_names_than_there_are_routes_and_probes_have_none() {
    let told = Told::here();
    let edge = web::Data::new(Edge::new(&Api::openapi(), &[], false, CancellationToken::new()));
    let readiness = web::Data::new(Readiness::new(|| async { Ok(()) }));
    let app = App::new()
        .app_data(edge)
        .app_data(readiness)
        .service(thing)
        .service(broken)
        .configure(shared::health::configure)
        .default_service(web::to(shared::web::no_such_route))
        .wrap(from_fn(shared::web::around))
        .wrap(TracingLogger::<ServerSpan>::new());
    let app = test::init_service(app).await;
    let made_up = actix_web::http::Method::from_bytes(b"BREW").unwrap();
    for (method, path, status) in [
        (actix_web::http::Method::GET, "/livez", 200),
        (actix_web::http::Method::GET, "/readyz", 200),
        (actix_web::http::Method::GET, THING, 200),
        (actix_web::http::Method::GET, "/broken", 503),
        (actix_web::http::Method::GET, "/made-up-path", 404),
        (made_up, THING, 405),
    ] {
        let request = test::TestRequest::default().method(method).uri(path).to_request();
        let answer = test::call_service(&app, request).await;
        assert_eq!(answer.status(), status, "{path}");
        // The span ends when the answer has been sent.
        actix_web::body::to_bytes(answer.into_body()).await.ok().unwrap();
    }
    assert_eq!(
        told.done(),
        ["GET /things/{id}", "GET /broken", "GET", "HTTP /things/{id}"]
    );
    let other = told.said("HTTP /things/{id}", "http.request.method");
    assert_eq!(other, (Some("_OTHER".to_owned()), false));
    assert_eq!(told.said("GET", "http.route"), (None, false));
    let failed = told.said("GET /broken", "error.type");
    assert_eq!(failed, (Some("unavailable".to_owned()), true));
}
