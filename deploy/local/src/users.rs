//! The demo users, and their tokens. Nothing of this is deployed anywhere: on AWS people sign up.

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::aws::Cognito;
use crate::stacks::Change;

/// Everybody's: the same on each laptop, and good for nothing else.
const PASSWORD: &str = "local demo password";

/// Customers made at once.
const AT_ONCE: usize = 4;

/// Somebody who can sign in to a local system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// Who.
    pub name: &'a str,
    /// The group that gives a role, if any.
    pub group: Option<&'a str>,
}

/// All of them.
pub const USERS: [User<'static>; 4] = [
    User {
        name: "customer",
        group: None,
    },
    User {
        name: "customer2",
        group: None,
    },
    User {
        name: "merchant",
        group: Some("merchant"),
    },
    User {
        name: "admin",
        group: Some("admin"),
    },
];

/// Makes those that are not there.
pub(crate) async fn make(client: &Cognito, pool: &str) -> anyhow::Result<Change> {
    let made = try_join_all(USERS.iter().map(|user| make_one(client, pool, user))).await?;
    Ok(made.into_iter().max().unwrap_or(Change::None))
}

/// Makes those further customers that are not there, a few at a time.
pub(crate) async fn make_customers(client: &Cognito, pool: &str, names: &[String]) -> anyhow::Result<Change> {
    let customers = stream::iter(names).map(|name| async move {
        let customer = User { name, group: None };
        make_one(client, pool, &customer).await
    });
    let made: Vec<_> = customers.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(made.into_iter().max().unwrap_or(Change::None))
}

/// Makes one, unless it is there.
pub(crate) async fn make_one(client: &Cognito, pool: &str, user: &User<'_>) -> anyhow::Result<Change> {
    let context = || format!("user {}", user.name);
    let email = format!("{}@example.com", user.name);
    let change = match client.create_user(pool, user.name, &email).await {
        Ok(()) => Change::Made,
        Err(error) if error.code() == "UsernameExistsException" => Change::None,
        Err(error) => return Err(error).with_context(context),
    };
    // Repeated for existing users: an earlier start may have ended between the two calls.
    let password = client.set_password(pool, user.name, PASSWORD).await;
    password.with_context(context)?;
    if let Some(group) = user.group {
        let joined = client.add_to_group(pool, user.name, group).await;
        joined.with_context(context)?;
    }
    Ok(change)
}

/// An access token of a demo user.
///
/// # Errors
///
/// When there is no such user, or ministack does not run.
pub(crate) async fn token(client: &Cognito, shop_client_id: &str, name: &str) -> anyhow::Result<String> {
    if !USERS.iter().any(|user| user.name == name) {
        let names: Vec<_> = USERS.iter().map(|user| user.name).collect();
        bail!("there is no user {name}; there are: {}", names.join(", "));
    }
    sign_in(client, shop_client_id, name).await
}

/// An access token, as the shop's page would get it when somebody signs in.
pub(crate) async fn sign_in(client: &Cognito, shop_client_id: &str, name: &str) -> anyhow::Result<String> {
    let tokens = client.sign_in(shop_client_id, name, PASSWORD).await;
    Ok(tokens.with_context(|| format!("{name} cannot sign in"))?.access_token)
}
