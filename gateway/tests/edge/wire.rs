//! Clients that speak as they are told to: TLS with these certificates, HTTP/2, and HTTP/3 by another Envoy.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::{Settings, Tls};
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::envoy::Envoy;
use crate::harness::{DEADLINE, client};

/// A certificate and its key in files, and all certificates that there ever were.
pub(crate) struct Certificates {
    folder: TempDir,
    trusted: RootCertStore,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut certificates = Self {
            folder: tempfile::tempdir().unwrap(),
            trusted: RootCertStore::empty(),
        };
        certificates.renew();
        certificates
    }

    /// Puts another one in the place of the one that is there, as certificates are renewed: file by file, each at once.
    pub(crate) fn renew(&mut self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.trusted.add(cert.der().clone()).unwrap();
        for (name, text) in [("tls.crt", cert.pem()), ("tls.key", signing_key.serialize_pem())] {
            let next = self.file("next");
            fs::write(&next, text).unwrap();
            fs::rename(next, self.file(name)).unwrap();
        }
        cert.der().clone()
    }

    /// Has a gateway use it, on a port that is free for TCP and UDP.
    pub(crate) fn apply(&self) -> impl FnOnce(&mut Settings) + use<> {
        let tls = Tls {
            certificate_file: self.file("tls.crt"),
            key_file: self.file("tls.key"),
            secret_file: self.file("secret.yaml"),
            public_port: 443,
        };
        |settings| {
            settings.listen = free_port();
            settings.tls = Some(tls);
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection that offers these protocols.
    pub(crate) async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> TlsStream<TcpStream> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.trusted.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    /// An Envoy that passes everything on over HTTP/3 and nothing else, and where it listens.
    pub(crate) async fn http3(&self, address: SocketAddr) -> (Envoy, SocketAddr) {
        let envoy = Envoy::start(&http3_client(address.port(), &self.file("tls.crt")));
        let listens = envoy.ready(&client()).await;
        (envoy, listens)
    }
}

/// Free for TCP and UDP, for the moment.
pub(crate) fn free_port() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// An answer over HTTP/2.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A connection over HTTP/2.
#[derive(Clone)]
pub(crate) struct Http2(SendRequest<bytes::Bytes>);

impl Http2 {
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        // Ends with the connection, whose errors the requests on it tell.
        tokio::spawn(async { drop(connection.await) });
        Self(requests)
    }

    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, h2::Error> {
        let exchange = async {
            let (head, body) = request.into_parts();
            let mut requests = self.0.clone().ready().await?;
            let (answer, mut sending) = requests.send_request(Request::from_parts(head, ()), body.is_empty())?;
            if !body.is_empty() {
                sending.send_data(body.into(), true)?;
            }
            let (head, mut arriving) = answer.await?.into_parts();
            let mut body = Vec::new();
            while let Some(data) = arriving.data().await {
                let data = data?;
                arriving.flow_control().release_capacity(data.len())?;
                body.extend_from_slice(&data);
            }
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        tokio::time::timeout(DEADLINE, exchange).await.unwrap()
    }

    /// Whether a further request may be sent.
    pub(crate) async fn is_open(&self) -> bool {
        self.0.clone().ready().await.is_ok()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, h2::Error> {
        let request = Request::get(format!("http://shop{path}"));
        self.send(request.body(Vec::new()).unwrap()).await
    }
}

fn http3_client(port: u16, trusted: &Path) -> String {
    let trusted = trusted.display();
    format!(
        r#"
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}
static_resources:
  listeners:
    - name: client
      address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: client
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{{ match: {{ prefix: / }}, route: {{ cluster: edge }} }}]
  clusters:
    - name: edge
      connect_timeout: 5s
      load_assignment:
        cluster_name: edge
        endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }}] }}]
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{ http3_protocol_options: {{}} }}
      transport_socket:
        name: envoy.transport_sockets.quic
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport
          upstream_tls_context:
            sni: localhost
            common_tls_context:
              validation_context:
                trusted_ca: {{ filename: "{trusted}" }}
"#
    )
}
