//! Clients for the stand-ins, with addresses and credentials said outright: nothing of the AWS configuration that the
//! person at the machine may have is read, so that no test ever reaches a real account by accident.

mod call;
mod cloudformation;
mod cognito;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

pub use self::call::CallError;
pub use self::cloudformation::CloudFormation;
pub(crate) use self::cloudformation::{StackDescription, StackRequest};
pub use self::cognito::{Cognito, Tokens};

/// Where the stand-ins say they are.
pub const REGION: &str = "us-east-1";
/// What they take for an access key.
pub const ACCESS_KEY_ID: &str = "test";
/// What they take for its secret.
pub const SECRET_ACCESS_KEY: &str = "test";

/// What a client needs to reach `endpoint`. The connections belong to the runtime that first uses them.
pub fn config(endpoint: &str) -> SdkConfig {
    let http = if endpoint.starts_with("https:") {
        Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https()
    } else {
        // Loading the machine's certificates takes longer than starting the tables.
        Builder::new().build_http()
    };
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "deploy-local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(http)
        .build()
}
