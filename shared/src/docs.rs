//! `/openapi.json` and a rendered reference at `/docs/`, which needs nothing from outside: the pages
//! are in the binary. Links are relative, so that a gateway may put it all under another prefix.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError, web};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use crate::problem::Problem;

/// A service's contract, rendered once.
#[derive(Clone)]
pub struct Docs {
    openapi: Arc<str>,
    pages: Arc<Config<'static>>,
}

impl Docs {
    /// Of this contract.
    ///
    /// # Errors
    /// The contract is no JSON, which its own tests would show first.
    pub fn new(api: &OpenApi) -> serde_json::Result<Self> {
        Ok(Self {
            openapi: api.to_pretty_json()?.into(),
            pages: Arc::new(Config::from("openapi.json").validator_url("none")),
        })
    }
}

/// Registers the routes; the service's [`Docs`] are to be in its app data.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/openapi.json", web::get().to(openapi))
        .route("/docs", web::get().to(to_folder))
        .route("/docs/openapi.json", web::get().to(openapi))
        .route("/docs/{page:.*}", web::get().to(page));
}

async fn openapi(docs: web::Data<Docs>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(docs.openapi.to_string())
}

async fn to_folder() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}

async fn page(docs: web::Data<Docs>, page: web::Path<String>) -> HttpResponse {
    let page = if page.is_empty() { "index.html" } else { page.as_str() };
    match utoipa_swagger_ui::serve(page, Arc::clone(&docs.pages)) {
        Ok(Some(file)) => HttpResponse::Ok()
            .content_type(file.content_type)
            .body(file.bytes.into_owned()),
        Ok(None) | Err(_) => Problem::not_found("page").error_response(),
    }
}
