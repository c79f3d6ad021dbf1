//! Cognito's user pool API (JSON 1.1), as far as users are created and signed in here.

use anyhow::Context;
use aws_config::SdkConfig;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{CallError, Payload, Refusal, SignedClient};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A client for user pools.
#[derive(Debug, Clone)]
pub struct Cognito(SignedClient);

/// The tokens of a user who has signed in.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tokens {
    /// Good for the services.
    pub access_token: String,
    /// Good for the client alone; the services refuse it.
    pub id_token: String,
    /// Renews the other two.
    pub refresh_token: String,
}

impl Cognito {
    /// Builds a client with the region, credentials and endpoint of `config`.
    ///
    /// # Errors
    ///
    /// The configuration names no region or no credentials.
    pub fn new(config: &SdkConfig) -> anyhow::Result<Self> {
        SignedClient::new(config, "cognito-idp").map(Self)
    }

    /// Creates a user with a verified e-mail address, to whom no message is sent. The code `UsernameExistsException` says
    /// that the user exists.
    ///
    /// # Errors
    ///
    /// The pool refuses it, or there is no answer.
    pub async fn create_user(&self, pool: &str, name: &str, email: &str) -> Result<(), CallError> {
        let request = json!({
            "UserPoolId": pool,
            "Username": name,
            "UserAttributes": [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
            "MessageAction": "SUPPRESS",
        });
        self.call("AdminCreateUser", request).await.map(drop)
    }

    /// Sets a user's password for good, so that no other is demanded at the first sign-in.
    ///
    /// # Errors
    ///
    /// The pool refuses it, or there is no answer.
    pub async fn set_password(&self, pool: &str, name: &str, password: &str) -> Result<(), CallError> {
        let request = json!({"UserPoolId": pool, "Username": name, "Password": password, "Permanent": true});
        self.call("AdminSetUserPassword", request).await.map(drop)
    }

    /// Adds a user to a group.
    ///
    /// # Errors
    ///
    /// The pool refuses it, or there is no answer.
    pub async fn add_to_group(&self, pool: &str, name: &str, group: &str) -> Result<(), CallError> {
        let request = json!({"UserPoolId": pool, "Username": name, "GroupName": group});
        self.call("AdminAddUserToGroup", request).await.map(drop)
    }

    /// Signs a user in by name and password.
    ///
    /// # Errors
    ///
    /// The pool refuses it, demands more than a password, or there is no answer.
    pub async fn sign_in(&self, client_id: &str, name: &str, password: &str) -> Result<Tokens, CallError> {
        const ACTION: &str = "InitiateAuth";
        let request = json!({
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": client_id,
            "AuthParameters": {"USERNAME": name, "PASSWORD": password},
        });
        let answer = self.call(ACTION, request).await?;
        let result = answer.get("AuthenticationResult").cloned();
        result
            .context("the user pool demands more than a password")
            .and_then(|result| Ok(serde_json::from_value(result)?))
            .map_err(|source| CallError::Failed { action: ACTION, source })
    }

    /// Returns the secret of an app client.
    ///
    /// # Errors
    ///
    /// The client has none, the pool refuses it, or there is no answer.
    pub async fn client_secret(&self, pool: &str, client_id: &str) -> Result<String, CallError> {
        const ACTION: &str = "DescribeUserPoolClient";
        let answer = self
            .call(ACTION, json!({"UserPoolId": pool, "ClientId": client_id}))
            .await?;
        let secret = answer.pointer("/UserPoolClient/ClientSecret").and_then(Value::as_str);
        secret
            .map(str::to_owned)
            .context("the app client has no secret")
            .map_err(|source| CallError::Failed { action: ACTION, source })
    }

    async fn call(&self, action: &'static str, request: Value) -> Result<Value, CallError> {
        let payload = Payload {
            content_type: CONTENT_TYPE,
            target: Some(format!("AWSCognitoIdentityProviderService.{action}")),
            body: request.to_string(),
        };
        let answer = self.0.call(action, &payload, refusal).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer)
            .context("invalid JSON in the response")
            .map_err(|source| CallError::Failed { action, source })
    }
}

fn refusal(status: StatusCode, answer: &str) -> Refusal {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let text = |names: [&str; 2]| names.iter().find_map(|name| answer.get(name)?.as_str());
    let code = text(["__type", "code"]).map_or_else(|| status.to_string(), str::to_owned);
    Refusal {
        // A type can be qualified: `com.amazonaws.cognito#UsernameExistsException`.
        code: code.rsplit('#').next().unwrap_or_default().to_owned(),
        message: text(["message", "Message"]).unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_read_with_and_without_qualified_type() {
        let plain = r#"{"__type": "UsernameExistsException", "message": "User account already exists"}"#;
        let qualified = r#"{"__type": "com.amazonaws#NotAuthorizedException", "Message": "no"}"#;
        assert_eq!(refusal(StatusCode::BAD_REQUEST, plain).code, "UsernameExistsException");
        assert_eq!(
            refusal(StatusCode::BAD_REQUEST, plain).message,
            "User account already exists"
        );
        assert_eq!(
            refusal(StatusCode::BAD_REQUEST, qualified).code,
            "NotAuthorizedException"
        );
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, "").code, "502 Bad Gateway");
    }
}
