//! CloudFormation's query API (version 2010-05-15), as far as stacks are applied and described here.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use aws_config::SdkConfig;
use reqwest::StatusCode;
use roxmltree::{Document, Node};

use super::call::{CallError, Payload, Refusal, SignedClient};

const VERSION: &str = "2010-05-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A client for stacks.
#[derive(Debug, Clone)]
pub struct CloudFormation(SignedClient);

/// The desired form of a stack.
#[derive(Debug)]
pub(crate) struct StackRequest<'a> {
    pub(crate) name: &'a str,
    pub(crate) template: &'a str,
    pub(crate) parameters: &'a [(&'static str, String)],
    pub(crate) tag: (&'static str, &'a str),
}

/// A stack as DescribeStacks shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackDescription {
    /// Status of the stack, such as `CREATE_COMPLETE`.
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// One change of one resource, as DescribeStackEvents shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackEvent {
    pub(crate) resource: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

impl CloudFormation {
    /// Builds a client with the region, credentials and endpoint of `config`.
    ///
    /// # Errors
    ///
    /// The configuration names no region or no credentials.
    pub fn new(config: &SdkConfig) -> anyhow::Result<Self> {
        SignedClient::new(config, "cloudformation").map(Self)
    }

    /// Starts the creation of a stack. One that exists is no error: an attempt whose answer was lost has created it.
    pub(crate) async fn create_stack(&self, request: &StackRequest<'_>) -> Result<(), CallError> {
        match self.call("CreateStack", &fields(request)).await {
            Err(error) if error.code() != "AlreadyExistsException" => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Starts the update of a stack. An update that changes nothing is refused with "No updates".
    pub(crate) async fn update_stack(&self, request: &StackRequest<'_>) -> Result<(), CallError> {
        self.call("UpdateStack", &fields(request)).await.map(drop)
    }

    /// Returns a stack, or none where none has that name.
    pub(crate) async fn describe_stack(&self, name: &str) -> Result<Option<StackDescription>, CallError> {
        const ACTION: &str = "DescribeStacks";
        match self.call(ACTION, &[("StackName".to_owned(), name.to_owned())]).await {
            Ok(answer) => read(ACTION, &answer, |document| {
                members(document.root_element(), "Stacks").next().map(stack).transpose()
            }),
            Err(error) if error.message().contains("does not exist") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns a stack's latest events, newest first.
    pub(crate) async fn describe_stack_events(&self, name: &str) -> Result<Vec<StackEvent>, CallError> {
        const ACTION: &str = "DescribeStackEvents";
        let answer = self.call(ACTION, &[("StackName".to_owned(), name.to_owned())]).await?;
        read(ACTION, &answer, |document| {
            members(document.root_element(), "StackEvents").map(event).collect()
        })
    }

    async fn call(&self, action: &'static str, fields: &[(String, String)]) -> Result<String, CallError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", VERSION);
        form.extend_pairs(fields);
        let payload = Payload {
            content_type: CONTENT_TYPE,
            target: None,
            body: form.finish(),
        };
        self.0.call(action, &payload, refusal).await
    }
}

fn fields(request: &StackRequest<'_>) -> Vec<(String, String)> {
    let mut fields = vec![
        ("StackName".to_owned(), request.name.to_owned()),
        ("TemplateBody".to_owned(), request.template.to_owned()),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        ("Tags.member.1.Key".to_owned(), request.tag.0.to_owned()),
        ("Tags.member.1.Value".to_owned(), request.tag.1.to_owned()),
    ];
    for (index, (key, value)) in (1..).zip(request.parameters) {
        fields.push((format!("Parameters.member.{index}.ParameterKey"), (*key).to_owned()));
        fields.push((format!("Parameters.member.{index}.ParameterValue"), value.clone()));
    }
    fields
}

fn refusal(status: StatusCode, answer: &str) -> Refusal {
    let document = Document::parse(answer).ok();
    let text = |name| {
        let document = document.as_ref()?;
        let node = document.descendants().find(|node| node.tag_name().name() == name)?;
        node.text().map(str::to_owned)
    };
    Refusal {
        code: text("Code").unwrap_or_else(|| status.to_string()),
        message: text("Message").unwrap_or_default(),
    }
}

fn read<T>(
    action: &'static str,
    answer: &str,
    read: impl FnOnce(&Document<'_>) -> anyhow::Result<T>,
) -> Result<T, CallError> {
    Document::parse(answer)
        .map_err(|error| anyhow!("invalid XML in the response: {error}"))
        .and_then(|document| read(&document))
        .map_err(|source| CallError::Failed { action, source })
}

/// Returns the entries of the first list of that name below `node`. Names are compared without their namespace.
fn members<'a, 'input>(node: Node<'a, 'input>, list: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    let list = node.descendants().find(|node| node.tag_name().name() == list);
    list.into_iter()
        .flat_map(|list| list.children())
        .filter(|node| node.tag_name().name() == "member")
}

fn text(node: Node<'_, '_>, name: &'static str) -> Option<String> {
    let child = node.children().find(|child| child.tag_name().name() == name)?;
    Some(child.text().unwrap_or_default().to_owned())
}

fn pairs(node: Node<'_, '_>, list: &'static str, key: &'static str, value: &'static str) -> BTreeMap<String, String> {
    members(node, list)
        .filter_map(|pair| Some((text(pair, key)?, text(pair, value)?)))
        .collect()
}

fn stack(node: Node<'_, '_>) -> anyhow::Result<StackDescription> {
    Ok(StackDescription {
        status: text(node, "StackStatus").context("the response has a stack without a status")?,
        status_reason: text(node, "StackStatusReason"),
        outputs: pairs(node, "Outputs", "OutputKey", "OutputValue"),
        tags: pairs(node, "Tags", "Key", "Value"),
    })
}

fn event(node: Node<'_, '_>) -> anyhow::Result<StackEvent> {
    Ok(StackEvent {
        resource: text(node, "LogicalResourceId").context("the response has an event without a resource")?,
        status: text(node, "ResourceStatus").context("the response has an event without a status")?,
        reason: text(node, "ResourceStatusReason"),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const DESCRIBED: &str = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <DescribeStacksResult><Stacks><member>
    <StackName>shop-platform</StackName>
    <StackStatus>UPDATE_COMPLETE</StackStatus>
    <Outputs>
      <member><OutputKey>EventBus</OutputKey><OutputValue>shop &amp; bus</OutputValue></member>
      <member><OutputKey>Empty</OutputKey><OutputValue/></member>
    </Outputs>
    <Tags><member><Key>fingerprint</Key><Value>12ab</Value></member></Tags>
  </member></Stacks></DescribeStacksResult>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</DescribeStacksResponse>"#;

    #[test]
    fn stack_description_is_read_with_outputs_and_tags() {
        let document = Document::parse(DESCRIBED).unwrap();
        let found = stack(members(document.root_element(), "Stacks").next().unwrap()).unwrap();
        assert_eq!(found.status, "UPDATE_COMPLETE");
        assert_eq!(found.status_reason, None);
        let outputs =
            [("Empty", ""), ("EventBus", "shop & bus")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found.outputs, BTreeMap::from(outputs));
        assert_eq!(found.tags.get("fingerprint").map(String::as_str), Some("12ab"));
    }

    #[test]
    fn refusal_is_read_with_code_and_message() {
        let answer = r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error>
            <Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id x does not exist</Message>
            </Error></ErrorResponse>"#;
        let refused = refusal(StatusCode::BAD_REQUEST, answer);
        assert_eq!(refused.code, "ValidationError");
        assert_eq!(refused.message, "Stack with id x does not exist");
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, "<html>").code, "502 Bad Gateway");
    }

    /// Reads the request of one connection, answers it with `answer` and closes.
    async fn serve_once(listener: &TcpListener, answer: &str) {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        // The last field of the form.
        while !request.ends_with(b"Value=12ab") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0);
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn stack_with_lost_first_answer_counts_as_created() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = CloudFormation::new(&crate::aws::config(&format!(
            "http://{}",
            listener.local_addr().unwrap()
        )));
        let request = StackRequest {
            name: "shop",
            template: "Resources: {}",
            parameters: &[],
            tag: ("fingerprint", "12ab"),
        };
        let body = "<ErrorResponse><Error><Code>AlreadyExistsException</Code></Error></ErrorResponse>";
        let refused = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let server = async {
            serve_once(&listener, "").await;
            serve_once(&listener, &refused).await;
        };
        let client = client.unwrap();
        let (created, ()) = tokio::join!(client.create_stack(&request), server);
        created.unwrap();
    }

    #[test]
    fn stack_request_numbers_its_parameters_from_one() {
        let request = StackRequest {
            name: "shop",
            template: "Resources: {}",
            parameters: &[("Prefix", "shop".to_owned()), ("EventBusName", "bus".to_owned())],
            tag: ("fingerprint", "12ab"),
        };
        let fields = fields(&request);
        let value = |name: &str| {
            fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("Parameters.member.1.ParameterKey"), Some("Prefix"));
        assert_eq!(value("Parameters.member.2.ParameterValue"), Some("bus"));
        assert_eq!(value("Parameters.member.0.ParameterKey"), None);
    }
}
