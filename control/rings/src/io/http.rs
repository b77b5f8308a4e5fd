//! CRLs and OCSP responses over HTTP: plain GET and POST with limits of time, size and place, and no redirects.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::revocation::{Fetch, FetchError};

/// Asks over HTTP (RFC 6960 A.1, RFC 5280 4.2.1.13). Signatures protect what comes, so it is not TLS.
#[derive(Debug, Clone)]
pub struct Http {
    /// For everything from looking up the name to the last octet.
    pub time_limit: Duration,
    /// Octets of a body.
    pub size_limit: usize,
    /// Hosts that may be asked, and with a dot in front their subdomains. `None`: whomever a certificate names.
    pub hosts: Option<Vec<String>>,
    /// `HOST:PORT` of a proxy that is asked instead.
    pub proxy: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { time_limit: Duration::from_secs(10), size_limit: 16 << 20, hosts: None, proxy: None }
    }
}

impl Fetch for Http {
    async fn fetch(&self, url: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, FetchError> {
        let failed = |problem: String| FetchError { url: url.to_owned(), problem };
        let asked = tokio::time::timeout(self.time_limit, self.ask(url, body)).await;
        match asked {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(failed(format!("no answer within {} s", self.time_limit.as_secs_f32()))),
        }
    }
}

impl Http {
    async fn ask(&self, url: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        let uri: Uri = url.parse().map_err(|_| "no address".to_owned())?;
        let (host, port) = self.place(&uri)?;
        let stream = match &self.proxy {
            Some(proxy) => TcpStream::connect(proxy).await.map_err(|e| format!("proxy {proxy}: {e}"))?,
            None => {
                TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(|e| e.to_string())?
            }
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let exchange = async {
            let response = sender.send_request(self.request(&uri, body)?).await.map_err(|e| e.to_string())?;
            if response.status() != StatusCode::OK {
                return Err(format!("it answers {}; redirects are not followed", response.status()));
            }
            let body = Limited::new(response.into_body(), self.size_limit);
            body.collect().await.map(|whole| whole.to_bytes().to_vec()).map_err(|e| e.to_string())
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            // The connection may end before the answer was taken out of it.
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(e) => Err(e.to_string()),
            },
        }
    }

    /// Host and port, if they may be asked.
    fn place<'a>(&self, uri: &'a Uri) -> Result<(&'a str, u16), String> {
        if uri.scheme_str() != Some("http") {
            return Err("only http: is asked".to_owned());
        }
        let host = uri.host().ok_or("no host")?;
        let allowed = |entry: &String| match entry.strip_prefix('.') {
            Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => entry.eq_ignore_ascii_case(host),
        };
        match &self.hosts {
            Some(hosts) if !hosts.iter().any(allowed) => {
                Err(format!("{host} is not among the hosts that may be asked"))
            }
            _ => Ok((host, uri.port_u16().unwrap_or(80))),
        }
    }

    fn request(&self, uri: &Uri, body: Option<Vec<u8>>) -> Result<Request<Full<Bytes>>, String> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let target = if self.proxy.is_some() { uri.to_string() } else { path.to_owned() };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let builder = Request::builder().uri(target).header(HOST, authority).header(USER_AGENT, "ravelin");
        let built = match body {
            None => builder.header(ACCEPT, "*/*").body(Full::default()),
            Some(body) => builder
                .method("POST")
                .header(CONTENT_TYPE, "application/ocsp-request")
                .header(ACCEPT, "application/ocsp-response")
                .body(Full::from(body)),
        };
        built.map_err(|e| e.to_string())
    }
}
