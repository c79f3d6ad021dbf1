//! The demo users, and their tokens. Nothing of this is deployed anywhere: on AWS people sign up.

use anyhow::{Context, anyhow, bail};
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::DisplayErrorContext;
use aws_sdk_cognitoidentityprovider::types::{AttributeType, AuthFlowType, MessageActionType};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

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
pub(crate) async fn make(client: &Client, pool: &str) -> anyhow::Result<Change> {
    let made = try_join_all(USERS.iter().map(|user| make_one(client, pool, user))).await?;
    Ok(made.into_iter().max().unwrap_or(Change::None))
}

/// Makes those further customers that are not there, a few at a time.
pub(crate) async fn make_customers(client: &Client, pool: &str, names: &[String]) -> anyhow::Result<Change> {
    let customers = stream::iter(names).map(|name| async move {
        let customer = User { name, group: None };
        make_one(client, pool, &customer).await
    });
    let made: Vec<_> = customers.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(made.into_iter().max().unwrap_or(Change::None))
}

/// Makes one, unless it is there.
pub(crate) async fn make_one(client: &Client, pool: &str, user: &User<'_>) -> anyhow::Result<Change> {
    let attribute = |name: &str, value: String| AttributeType::builder().name(name).value(value).build();
    let created = client
        .admin_create_user()
        .user_pool_id(pool)
        .username(user.name)
        .user_attributes(attribute("email", format!("{}@example.com", user.name))?)
        .user_attributes(attribute("email_verified", "true".to_owned())?)
        .message_action(MessageActionType::Suppress)
        .send()
        .await;
    let change = match created {
        Ok(_) => Change::Made,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_username_exists_exception()) =>
        {
            Change::None
        }
        Err(error) => bail!("user {}: {}", user.name, DisplayErrorContext(error)),
    };
    // Said again for users that are there: an earlier start may have ended between the two.
    let password = client.admin_set_user_password().user_pool_id(pool).username(user.name);
    let set = password.password(PASSWORD).permanent(true).send().await;
    set.map_err(|error| anyhow!("user {}: {}", user.name, DisplayErrorContext(error)))?;
    if let Some(group) = user.group {
        let join = client
            .admin_add_user_to_group()
            .user_pool_id(pool)
            .username(user.name)
            .group_name(group);
        join.send()
            .await
            .map_err(|error| anyhow!("user {}: {}", user.name, DisplayErrorContext(error)))?;
    }
    Ok(change)
}

/// An access token of a demo user.
///
/// # Errors
///
/// When there is no such user, or ministack does not run.
pub(crate) async fn token(client: &Client, shop_client_id: &str, name: &str) -> anyhow::Result<String> {
    if !USERS.iter().any(|user| user.name == name) {
        let names: Vec<_> = USERS.iter().map(|user| user.name).collect();
        bail!("there is no user {name}; there are: {}", names.join(", "));
    }
    sign_in(client, shop_client_id, name).await
}

/// An access token, as the shop's page would get it when somebody signs in.
pub(crate) async fn sign_in(client: &Client, shop_client_id: &str, name: &str) -> anyhow::Result<String> {
    let answer = client
        .initiate_auth()
        .auth_flow(AuthFlowType::UserPasswordAuth)
        .client_id(shop_client_id)
        .auth_parameters("USERNAME", name)
        .auth_parameters("PASSWORD", PASSWORD)
        .send()
        .await
        .map_err(|error| anyhow!("{name} cannot sign in: {}", DisplayErrorContext(error)))?;
    answer
        .authentication_result
        .and_then(|result| result.access_token)
        .with_context(|| format!("{name} got no token: the user pool asks for more than a password"))
}
