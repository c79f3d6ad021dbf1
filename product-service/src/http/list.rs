//! Lists of products: the catalog, a category, what is in stock of it, and products by id.

use std::str::FromStr;

use actix_web::http::header::LINK;
use actix_web::{HttpResponse, get, web};
use deserr::Deserr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::body::{FieldErrors, Invalid, Query};
use shared::documented::Any;
use shared::ids::{InvalidId, ProductId};
use shared::page::Limit;
use shared::problem::{FieldError, Problem, ProblemBody};
use thiserror::Error;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::body::{ProductSummary, ProductView};
use super::{Shop, error};
use crate::domain::text::Category;
use crate::store::{CatalogOrder, Consistency, Store, Summary};

/// Which products.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Of this category alone, spelled as it is.
    #[deserr(default)]
    #[param(value_type = Option<String>, min_length = 1, max_length = 100, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$")]
    category: Option<Category>,
    /// Only what can be bought now; needs a category, and is sorted by name.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    in_stock: Option<InStock>,
    /// `name` (default) or `price`; needs a category.
    #[deserr(default)]
    #[param(value_type = Option<String>, pattern = "^(name|price)$")]
    sort: Option<Sort>,
    /// `availability` adds `stock` to each product.
    #[deserr(default)]
    #[param(value_type = Option<String>, pattern = "^availability$")]
    expand: Option<Expand>,
    /// Products of a page: 1 to 100, 20 if absent.
    #[deserr(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before; it holds for the same category, sort and in_stock alone.
    #[deserr(default)]
    cursor: Option<String>,
    /// Up to 100 ids, separated by commas: these products, archived ones too, in this order. Goes with
    /// nothing else.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    ids: Option<Ids>,
}

macro_rules! words {
    ($name:ident, $detail:literal, $($word:literal => $value:expr),*) => {
        impl TryFrom<String> for $name {
            type Error = UnknownWord;

            fn try_from(text: String) -> Result<Self, UnknownWord> {
                match text.as_str() {
                    $($word => Ok($value),)*
                    _ => Err(UnknownWord($detail)),
                }
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(try_from(String) = InStock::try_from -> UnknownWord, error = FieldErrors)]
struct InStock(bool);
words!(InStock, "true or false", "true" => Self(true), "false" => Self(false));

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(try_from(String) = Sort::try_from -> UnknownWord, error = FieldErrors)]
struct Sort(CatalogOrder);
words!(Sort, "name or price", "name" => Self(CatalogOrder::Name), "price" => Self(CatalogOrder::Price));

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(try_from(String) = Expand::try_from -> UnknownWord, error = FieldErrors)]
struct Expand;
words!(Expand, "availability", "availability" => Self);

#[derive(Debug, Error)]
#[error("expected {0}")]
struct UnknownWord(&'static str);

impl Invalid for UnknownWord {
    fn code(&self) -> &'static str {
        "unknown_value"
    }
}

/// Each id once, in the order in which they were first sent.
#[derive(Debug, Deserr)]
#[deserr(try_from(String) = Ids::try_from -> InvalidIds, error = FieldErrors)]
pub(super) struct Ids(Vec<ProductId>);

#[derive(Debug, Error)]
pub(super) enum InvalidIds {
    #[error("1 to {} ids at once", Ids::MAX)]
    TooMany,
    #[error(transparent)]
    Id(#[from] InvalidId),
}

impl Ids {
    const MAX: usize = 100;

    pub(super) fn get(&self) -> &[ProductId] {
        &self.0
    }
}

impl Invalid for InvalidIds {
    fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "too_many_ids",
            Self::Id(id) => id.code(),
        }
    }
}

impl TryFrom<String> for Ids {
    type Error = InvalidIds;

    fn try_from(text: String) -> Result<Self, InvalidIds> {
        Ok(Self(each_once(&text)?))
    }
}

/// Ids separated by commas, each once, and no more than one call of the table reads.
pub(super) fn each_once<T: FromStr<Err = InvalidId> + PartialEq>(text: &str) -> Result<Vec<T>, InvalidIds> {
    let mut ids = Vec::new();
    for id in text.split(',') {
        let id = id.parse()?;
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > Ids::MAX {
            return Err(InvalidIds::TooMany);
        }
    }
    Ok(ids)
}

/// A page of products, or the products asked for by id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described: each answer has one of these bodies")]
pub(super) enum ProductList {
    /// Without `ids`.
    Page(ProductPage),
    /// With `ids`.
    ById(ProductsById),
}

/// A page of products.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProductPage {
    data: Vec<ProductSummary>,
    /// Send it as `cursor` for the next page; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Products asked for by id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProductsById {
    /// Those that there are, in the order asked for.
    data: Vec<ProductView>,
    /// The ids of those that there are not.
    missing: Vec<ProductId>,
}

/// List products: the whole catalog in an order that stays the same, a category by name or price, or
/// up to 100 by id. Archived products are in no list but that by id.
#[utoipa::path(
    tag = "products",
    params(ListQuery),
    responses(
        Any,
        (status = 200, description = "A page, or the products asked for", body = ProductList, headers(
            ("Link" = Option<String>, description = "`rel=\"next\"`, where there is a next page"),
        )),
        (status = 400, description = "`invalid_request` with every wrong parameter, `invalid_cursor`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(()),
)]
#[get("/v1/products")]
pub(super) async fn list(
    store: web::Data<Store>,
    shop: web::Data<Shop>,
    Query(query): Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let asked = Asked::try_from(query).map_err(error::invalid)?;
    match asked {
        Asked::Ids(ids) => by_id(&store, &ids).await,
        Asked::Page(page) => page.answer(&store, &shop).await,
    }
}

pub(super) enum Asked {
    Ids(Vec<ProductId>),
    Page(Paged),
}

/// A list without contradictions.
pub(super) struct Paged {
    of: Of,
    expand: Option<Expand>,
    pub(super) limit: Limit,
    cursor: Option<String>,
}

enum Of {
    Everything,
    Category(Category, CatalogOrder),
    InStock(Category),
}

impl TryFrom<ListQuery> for Asked {
    type Error = Vec<FieldError>;

    fn try_from(query: ListQuery) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut wrong = |parameter: &str, code, detail: &str| {
            errors.push(FieldError {
                pointer: format!("?{parameter}"),
                code,
                detail: detail.to_owned(),
            });
        };
        let in_stock = query.in_stock == Some(InStock(true));
        if query.category.is_none() {
            if query.sort.is_some() {
                wrong("sort", "needs_category", "only a category is sorted: send one");
            }
            if in_stock {
                wrong(
                    "in_stock",
                    "needs_category",
                    "what is in stock is listed by category: send one",
                );
            }
        } else if in_stock && query.sort == Some(Sort(CatalogOrder::Price)) {
            wrong("sort", "unsupported_sort", "what is in stock is sorted by name alone");
        }
        if query.ids.is_some() {
            let others = [
                ("category", query.category.is_some()),
                ("in_stock", query.in_stock.is_some()),
                ("sort", query.sort.is_some()),
                ("limit", query.limit.is_some()),
                ("cursor", query.cursor.is_some()),
            ];
            for (parameter, _) in others.iter().filter(|(_, sent)| *sent) {
                wrong(parameter, "not_with_ids", "ids go with no other parameter");
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if let Some(Ids(ids)) = query.ids {
            return Ok(Self::Ids(ids));
        }
        let order = query.sort.map_or(CatalogOrder::Name, |Sort(order)| order);
        Ok(Self::Page(Paged {
            of: match query.category {
                None => Of::Everything,
                Some(category) if in_stock => Of::InStock(category),
                Some(category) => Of::Category(category, order),
            },
            expand: query.expand,
            limit: query.limit.unwrap_or_default(),
            cursor: query.cursor,
        }))
    }
}

impl Paged {
    async fn answer(&self, store: &Store, shop: &Shop) -> Result<HttpResponse, Problem> {
        let limit = self.limit.get();
        let scope = self.scope();
        let (listed, next_cursor) = match &self.of {
            Of::Everything => {
                let after = self.position(shop, &scope)?;
                let (listed, next) = store.catalog(limit, after.as_ref()).await.map_err(error::store)?;
                (listed, next.and_then(|next| shop.cursors.seal(&scope, &next)))
            }
            Of::Category(category, order) => {
                let after = self.position(shop, &scope)?;
                let found = store.category(category, *order, limit, after.as_ref()).await;
                let (listed, next) = found.map_err(error::store)?;
                (listed, next.and_then(|next| shop.cursors.seal(&scope, &next)))
            }
            Of::InStock(category) => {
                let after = self.position(shop, &scope)?;
                let found = store.in_stock(category, limit, after.as_ref()).await;
                let (listed, next) = found.map_err(error::store)?;
                (listed, next.and_then(|next| shop.cursors.seal(&scope, &next)))
            }
        };
        let data = self.with_availability(store, listed).await?;
        let mut answer = HttpResponse::Ok();
        if let Some(cursor) = &next_cursor {
            answer.insert_header((LINK, format!("<{}>; rel=\"next\"", self.address(cursor))));
        }
        Ok(answer.json(ProductPage { data, next_cursor }))
    }

    async fn with_availability(&self, store: &Store, listed: Vec<Summary>) -> Result<Vec<ProductSummary>, Problem> {
        let stocks = match self.expand {
            Some(Expand) => {
                let ids: Vec<_> = listed.iter().map(|summary| summary.0.id).collect();
                store.stocks(&ids).await.map_err(error::store)?
            }
            None => Default::default(),
        };
        let shown = |Summary(product): Summary| {
            let stock = stocks.get(&product.id);
            ProductSummary::new(product, stock)
        };
        Ok(listed.into_iter().map(shown).collect())
    }

    fn position<P: DeserializeOwned>(&self, shop: &Shop, scope: &str) -> Result<Option<P>, Problem> {
        let opened = self.cursor.as_deref().map(|cursor| shop.cursors.open(scope, cursor));
        opened.transpose().map_err(error::invalid_cursor)
    }

    /// What a cursor is bound to: which products in which order, not how they are shown.
    fn scope(&self) -> String {
        match &self.of {
            Of::Everything => "products".to_owned(),
            Of::Category(category, CatalogOrder::Name) => format!("products by name of {category}"),
            Of::Category(category, CatalogOrder::Price) => format!("products by price of {category}"),
            Of::InStock(category) => format!("products in stock of {category}"),
        }
    }

    /// Where the next page is.
    fn address(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        match &self.of {
            Of::Everything => {}
            Of::Category(category, order) => {
                query.append_pair("category", category.as_str());
                if *order == CatalogOrder::Price {
                    query.append_pair("sort", "price");
                }
            }
            Of::InStock(category) => {
                query.append_pair("category", category.as_str());
                query.append_pair("in_stock", "true");
            }
        }
        if self.expand.is_some() {
            query.append_pair("expand", "availability");
        }
        query.append_pair("limit", &self.limit.get().to_string());
        query.append_pair("cursor", cursor);
        format!("/v1/products?{}", query.finish())
    }
}

async fn by_id(store: &Store, ids: &[ProductId]) -> Result<HttpResponse, Problem> {
    let mut found = store.products(ids, Consistency::Eventual).await.map_err(error::store)?;
    let (there, missing): (Vec<_>, Vec<_>) = ids.iter().copied().partition(|id| found.contains_key(id));
    let data = there.iter().filter_map(|id| found.remove(id)).map(ProductView::from);
    Ok(HttpResponse::Ok().json(ProductsById {
        data: data.collect(),
        missing,
    }))
}
