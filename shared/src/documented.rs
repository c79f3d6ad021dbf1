//! What the contracts of all services say alike: the tokens, and the problems that routes answer.
//!
//! The types only describe, for the `responses(..)` of a route's OpenAPI attribute. Of two answers with
//! one status the later counts: name these first, and then what a route says otherwise. Answers that
//! speak of one service's resources are documented in that service.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, Components, Object, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa::{IntoResponses, Modify};

use crate::problem::ProblemBody;

/// Adds the scheme `bearerAuth`, which routes name in their `security(..)`.
#[derive(Debug)]
pub struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token of the shop's user pool, or a service's."))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearerAuth", SecurityScheme::Http(token));
    }
}

/// Entity tags or `*`.
const CONDITION: &str = r#"^(\*|(W/)?"[!#-+\--~]*"( *, *(W/)?"[!#-+\--~]*")*)$"#;

/// Adds what holds of the requests of all routes, once these are known: a field that is not described is
/// refused, a parameter is absent and never null, and headers that several routes take have one form.
pub fn complete(api: &mut OpenApi) {
    let mut closed = BTreeSet::new();
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                as_sent(parameter);
            }
        }
        if let Some(RefOr::T(body)) = &operation.request_body {
            for content in body.content.values() {
                if let RefOr::T(content) = content {
                    content.schema.iter().for_each(|schema| named(schema, &mut closed));
                }
            }
        }
    }
    if let Some(components) = &mut api.components {
        close(components, closed);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn as_sent(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else {
        return;
    };
    if let SchemaType::Array(types) = &mut schema.schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = types.as_slice() {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
    let form = match parameter.name.as_str() {
        "Idempotency-Key" => "^[!-~]{1,255}$",
        // One that cannot be read matches nothing, so a read goes on; a write does not.
        "If-Match" => CONDITION,
        _ => return,
    };
    schema.pattern = Some(form.to_owned());
}

/// Closes these schemas, and all that they lead to. Maps stay as they are: their members are not fields.
fn close(components: &mut Components, mut found: BTreeSet<String>) {
    let mut done = BTreeSet::new();
    while let Some(name) = found.pop_first() {
        let Some(schema) = components.schemas.get_mut(&name) else {
            continue;
        };
        if !done.insert(name) {
            continue;
        }
        named(schema, &mut found);
        if let RefOr::T(Schema::Object(object)) = schema
            && !object.properties.is_empty()
            && object.additional_properties.is_none()
        {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// The schemas that this one names.
fn named(schema: &RefOr<Schema>, found: &mut BTreeSet<String>) {
    let parts: Vec<&RefOr<Schema>> = match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next();
            found.extend(name.map(str::to_owned));
            return;
        }
        RefOr::T(Schema::Object(Object { properties, .. })) => properties.values().collect(),
        RefOr::T(Schema::Array(array)) => match &array.items {
            ArrayItems::RefOrSchema(items) => vec![items],
            ArrayItems::False => return,
        },
        RefOr::T(Schema::OneOf(one)) => one.items.iter().collect(),
        RefOr::T(Schema::AllOf(all)) => all.items.iter().collect(),
        RefOr::T(Schema::AnyOf(any)) => any.items.iter().collect(),
        // Whatever utoipa adds, the checked-in documents show it.
        RefOr::T(_) => return,
    };
    for part in parts {
        named(part, found);
    }
}

/// What any route may answer.
#[derive(Debug, IntoResponses)]
pub enum Any {
    /// Not readable.
    #[response(
        status = 400,
        description = "The request cannot be read. Codes: `invalid_request` (`errors` names every wrong field), `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`",
        content_type = "application/problem+json"
    )]
    BadRequest(ProblemBody),
    /// Our fault.
    #[response(
        status = 500,
        description = "A fault of ours. Code: `internal`",
        content_type = "application/problem+json"
    )]
    Internal(ProblemBody),
    /// Away, or busy.
    #[response(
        status = 503,
        description = "Something that this needs is away or busy; try again after `Retry-After`. Code: `unavailable`",
        content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "Seconds"))
    )]
    Unavailable(ProblemBody),
}

/// What a route that looks at tokens may answer besides.
#[derive(Debug, IntoResponses)]
pub enum WithToken {
    /// No token, or one that does not hold.
    #[response(
        status = 401,
        description = "The access token is missing or does not hold. Code: `unauthenticated`",
        content_type = "application/problem+json"
    )]
    Unauthorized(ProblemBody),
}

/// What a route for merchants answers others.
#[derive(Debug, IntoResponses)]
pub enum ForMerchants {
    /// Not a merchant's token.
    #[response(
        status = 403,
        description = "This is for merchants. Code: `forbidden`",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemBody),
}

/// What a route for admins answers others.
#[derive(Debug, IntoResponses)]
pub enum ForAdmins {
    /// Not an admin's token.
    #[response(
        status = 403,
        description = "This is for admins. Code: `forbidden`",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemBody),
}

/// What a route that takes a JSON body may answer besides.
#[derive(Debug, IntoResponses)]
pub enum OfABody {
    /// Too slow.
    #[response(
        status = 408,
        description = "The body did not arrive in time. Code: `timeout`",
        content_type = "application/problem+json"
    )]
    TooSlow(ProblemBody),
    /// Above the limit.
    #[response(
        status = 413,
        description = "The body is too large. Code: `body_too_large`",
        content_type = "application/problem+json"
    )]
    TooLarge(ProblemBody),
    /// Not JSON, or packed.
    #[response(
        status = 415,
        description = "The body is of another media type, or has a content coding. Code: `unsupported_media_type`",
        content_type = "application/problem+json"
    )]
    UnsupportedMediaType(ProblemBody),
}
