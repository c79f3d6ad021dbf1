//! The AWS SDK as the services use it: one configuration, one HTTP client, bounded retries.

pub(crate) mod spans;

use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
#[cfg(feature = "testing")]
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{StalledStreamProtectionConfig, interceptors::InterceptorContext};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority};
use clap::Args;

use self::spans::Spans;
use crate::capacity::CapacityMeter;
use crate::outgoing::Outgoing;

/// How long a call to AWS may take and how often it is tried. Region, endpoints and credentials are
/// the SDK's own settings (`AWS_*`).
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "AWS calls")]
pub struct AwsSettings {
    /// Attempts of one AWS call, the first included.
    #[arg(long, env = "AWS_CALL_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub aws_call_attempts: u32,
    /// Time-out of one attempt of an AWS call.
    #[arg(long, env = "AWS_ATTEMPT_TIMEOUT_MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub aws_attempt_timeout_ms: u64,
    /// Time-out of an AWS call, all its attempts included.
    #[arg(long, env = "AWS_CALL_TIMEOUT_MS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(10..=120_000))]
    pub aws_call_timeout_ms: u64,
    /// Upper bound on the random pause before the second try, in milliseconds; doubled with each further try. The default is
    /// the SDK's own.
    #[arg(long, env = "AWS_CALL_BACKOFF_MS", hide = true, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub aws_call_backoff_ms: u64,
}

/// The configuration that every client of ours is made from.
#[derive(Clone, Debug)]
pub struct Aws {
    tables: SdkConfig,
    others: SdkConfig,
}

impl Aws {
    /// Reads region, endpoints and credentials as the SDK documents, with our client and limits.
    pub async fn load(settings: &AwsSettings, outgoing: &Outgoing) -> Self {
        let config = loader(settings, outgoing).load().await;
        Self {
            tables: config.clone(),
            others: config,
        }
    }

    /// For tests, which may not change their process' environment: DynamoDB at `tables`, everything
    /// else at `others`, with credentials that open nothing.
    #[cfg(feature = "testing")]
    pub async fn at(settings: &AwsSettings, outgoing: &Outgoing, tables: &str, others: &str) -> Self {
        let config = |endpoint: &str| {
            loader(settings, outgoing)
                .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
                .region(aws_config::Region::from_static("us-east-1"))
                .endpoint_url(endpoint)
                .load()
        };
        Self {
            tables: config(tables).await,
            others: config(others).await,
        }
    }

    /// A DynamoDB client that counts what it consumes.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(&self.tables)
            .interceptor(CapacityMeter)
            .interceptor(Spans)
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// An EventBridge client.
    #[must_use]
    pub fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        let config = aws_sdk_eventbridge::config::Builder::from(&self.others)
            .interceptor(Spans)
            .build();
        aws_sdk_eventbridge::Client::from_conf(config)
    }

    /// An SQS client.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::config::Builder::from(&self.others)
            .interceptor(Spans)
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }
}

fn loader(settings: &AwsSettings, outgoing: &Outgoing) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(outgoing.aws.clone())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(settings.aws_call_attempts)
                .with_initial_backoff(Duration::from_millis(settings.aws_call_backoff_ms)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_attempt_timeout(Duration::from_millis(settings.aws_attempt_timeout_ms))
                .operation_timeout(Duration::from_millis(settings.aws_call_timeout_ms))
                .build(),
        )
        // Its bookkeeping is for large streams; on items of a few KB it only costs.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// For a write that must not happen twice (an `ADD`): tries again only where an answer said that
/// nothing was done, such as a throttle, never where no answer came.
///
/// Use: `.customize().config_override(aws::retry_only_if_answered())`.
#[must_use]
pub fn retry_only_if_answered() -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::config::Builder::new().retry_classifier(OnlyIfAnswered)
}

#[derive(Debug)]
struct OnlyIfAnswered;

impl ClassifyRetry for OnlyIfAnswered {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        // DynamoDB refuses and throttles with 400. After a 500, a broken connection or a time-out
        // the write may have taken effect.
        match context.response().map(|response| response.status().as_u16()) {
            Some(200..500) => RetryAction::NoActionIndicated,
            Some(_) | None => RetryAction::RetryForbidden,
        }
    }

    fn name(&self) -> &'static str {
        "OnlyIfAnswered"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}
