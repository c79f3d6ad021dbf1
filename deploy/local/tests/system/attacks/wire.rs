//! Requests exactly as they are written, over HTTP/1.1 and HTTP/2: no client tidies a path up, adds a header, or
//! follows a redirect.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take: less than the 20 s for which `Prefer: wait` holds one that is worth waiting for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// How long the answer may take.
    pub(crate) within: Duration,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What came after the answer, where one connection gave several.
    pub(crate) rest: Vec<u8>,
}

impl Got {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// As HTTP/1.1, on a connection of its own.
pub(crate) async fn http1(address: SocketAddr, sent: &Sent) -> anyhow::Result<Got> {
    let has = |name: &str| sent.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut head = format!("{} {} HTTP/1.1\r\n", sent.method, sent.path).into_bytes();
    if !has("host") {
        head.extend_from_slice(b"host: shop\r\n");
    }
    if !has("connection") {
        head.extend_from_slice(b"connection: close\r\n");
    }
    if !has("transfer-encoding") && (!sent.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&sent.method)) {
        head.extend_from_slice(format!("content-length: {}\r\n", sent.body.len()).as_bytes());
    }
    for (name, value) in &sent.headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&sent.body);
    bytes(address, &head, sent.method == "HEAD", sent.within).await
}

/// These bytes as they are, and what comes back until the other side closes.
pub(crate) async fn bytes(address: SocketAddr, sent: &[u8], head: bool, within: Duration) -> anyhow::Result<Got> {
    let (mut reading, mut writing) = TcpStream::connect(address).await?.into_split();
    let mut arrived = Vec::new();
    let exchange = async {
        // Whoever refuses a body may close before it has arrived. What was said by then counts.
        let (_, _) = tokio::join!(writing.write_all(sent), reading.read_to_end(&mut arrived));
    };
    let in_time = timeout(within, exchange).await;
    ensure!(
        in_time.is_ok(),
        "not over after {within:?}: {:?}",
        String::from_utf8_lossy(&arrived)
    );
    parse(&arrived, head)
}

fn parse(arrived: &[u8], head_only: bool) -> anyhow::Result<Got> {
    let text = String::from_utf8_lossy(arrived);
    let (head, _) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("no answer: {text:?}"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .context("no status")?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let status: u16 = status.parse()?;
    let after = &arrived[head.len() + 4..];
    let of = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let (body, rest) = if head_only || [204, 304].contains(&status) {
        (Vec::new(), after)
    } else if of("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        dechunked(after)?
    } else {
        let length = of("content-length").map_or(Ok(after.len()), str::parse)?;
        let (body, rest) = after.split_at_checked(length).context("the answer broke off")?;
        (body.to_vec(), rest)
    };
    let rest = rest.to_vec();
    Ok(Got {
        status,
        headers,
        body,
        rest,
    })
}

fn dechunked(mut left: &[u8]) -> anyhow::Result<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = left
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .context("half a chunk")?;
        let size = std::str::from_utf8(&left[..end])?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        left = &left[end + 2..];
        let (chunk, after) = left.split_at_checked(size + 2).context("half a chunk")?;
        body.extend_from_slice(&chunk[..size]);
        left = after;
        if size == 0 {
            return Ok((body, left));
        }
    }
}

/// As HTTP/2 without TLS, on a connection of its own.
pub(crate) async fn http2(address: SocketAddr, sent: &Sent) -> anyhow::Result<Got> {
    let exchange = async {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (mut requests, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
        // Ends with the exchange, which tells its errors.
        tokio::spawn(async { drop(connection.await) });
        let answer = requests.send_request(as_http2(sent)?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        Ok(Got {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body,
            rest: Vec::new(),
        })
    };
    match timeout(sent.within, exchange).await {
        Ok(got) => got,
        Err(_) => bail!("not over after {:?}", sent.within),
    }
}

fn as_http2(sent: &Sent) -> anyhow::Result<Request<Full<Bytes>>> {
    let host = sent.headers.iter().find(|(name, _)| name == "host");
    let host = host.map_or(Ok("shop"), |(_, value)| std::str::from_utf8(value))?;
    let uri = Uri::builder()
        .scheme("http")
        .authority(host)
        .path_and_query(sent.path.as_str());
    let mut request = Request::builder().method(sent.method).uri(uri.build()?);
    for (name, value) in sent.headers.iter().filter(|(name, _)| name != "host") {
        request = request.header(
            HeaderName::from_bytes(name.as_bytes())?,
            HeaderValue::from_bytes(value)?,
        );
    }
    Ok(request.body(Full::new(Bytes::from(sent.body.clone())))?)
}
