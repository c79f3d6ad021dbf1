//! Makes the tables that CloudFormation made on ministack alike on the tables' own server, from their descriptions.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, GlobalSecondaryIndexDescription, TableDescription, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use tokio::time::{Instant, sleep};

use crate::loopback::LOOK_EVERY;

/// The attribute by which every table here forgets. Ministack does not tell what a template says of it.
const EXPIRY: &str = "ttl";
const ACTIVE_WITHIN: Duration = Duration::from_secs(120);

/// What was found where the table should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the table was made.
    Made,
    /// The same table.
    Kept,
    /// An older table, which lacks these indexes and was left as it is.
    Older(Vec<String>),
}

/// Makes `table` of `from` on `to` too, unless it is there.
///
/// # Errors
///
/// When either side refuses; the message names the table.
pub async fn table(from: &Client, to: &Client, table: &str) -> anyhow::Result<Outcome> {
    mirrored(from, to, table)
        .await
        .with_context(|| format!("table {table}"))
}

async fn mirrored(from: &Client, to: &Client, table: &str) -> anyhow::Result<Outcome> {
    let wanted = describe(from, table).await?.context("not made by its stack")?;
    if let Some(found) = describe(to, table).await? {
        let missing: Vec<String> = indexes(&wanted).difference(&indexes(&found)).cloned().collect();
        return Ok(if missing.is_empty() {
            Outcome::Kept
        } else {
            Outcome::Older(missing)
        });
    }
    create(to, table, &wanted).await?;
    Ok(Outcome::Made)
}

async fn describe(client: &Client, table: &str) -> anyhow::Result<Option<TableDescription>> {
    match client.describe_table().table_name(table).send().await {
        Ok(found) => Ok(found.table),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_resource_not_found_exception()) =>
        {
            Ok(None)
        }
        Err(error) => bail!("{}", DisplayErrorContext(error)),
    }
}

fn indexes(table: &TableDescription) -> BTreeSet<String> {
    table
        .global_secondary_indexes()
        .iter()
        .filter_map(|index| index.index_name.clone())
        .collect()
}

async fn create(client: &Client, table: &str, wanted: &TableDescription) -> anyhow::Result<()> {
    if !wanted.local_secondary_indexes().is_empty() {
        bail!("local secondary indexes are not copied; say them as global ones");
    }
    let indexes: Vec<_> = wanted
        .global_secondary_indexes()
        .iter()
        .map(index)
        .collect::<anyhow::Result<_>>()?;
    let request = client
        .create_table()
        .table_name(table)
        .set_attribute_definitions(wanted.attribute_definitions.clone())
        .set_key_schema(wanted.key_schema.clone())
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
        .billing_mode(BillingMode::PayPerRequest);
    request
        .send()
        .await
        .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
    wait_until_active(client, table).await?;
    forget_expired(client, table).await
}

fn index(described: &GlobalSecondaryIndexDescription) -> anyhow::Result<GlobalSecondaryIndex> {
    Ok(GlobalSecondaryIndex::builder()
        .set_index_name(described.index_name.clone())
        .set_key_schema(described.key_schema.clone())
        .set_projection(described.projection.clone())
        .build()?)
}

async fn wait_until_active(client: &Client, table: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + ACTIVE_WITHIN;
    loop {
        let found = describe(client, table).await?.context("vanished while it was made")?;
        if found.table_status() == Some(&TableStatus::Active) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("not active after {} s", ACTIVE_WITHIN.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Has the table's items deleted some time after they expire.
pub(crate) async fn forget_expired(client: &Client, table: &str) -> anyhow::Result<()> {
    let specification = TimeToLiveSpecification::builder()
        .attribute_name(EXPIRY)
        .enabled(true)
        .build()?;
    let request = client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(specification);
    request
        .send()
        .await
        .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
    let answer = client
        .describe_time_to_live()
        .table_name(table)
        .send()
        .await
        .map_err(|error| anyhow!("{}", DisplayErrorContext(error)))?;
    let status = answer
        .time_to_live_description
        .and_then(|described| described.time_to_live_status);
    match status {
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling) => Ok(()),
        other => bail!("its expiry was not turned on: {other:?}"),
    }
}
