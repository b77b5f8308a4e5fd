//! One request to the control process, for the command.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::view::Problem;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("cannot reach ravelin-control at {path}: {source}; is it running, and may you use the socket?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("ravelin-control: {0}")]
    Http(#[from] hyper::Error),
    /// It said no.
    #[error("{}", .0.error)]
    Problem(Problem),
    /// It is there, but cannot reach the packet process.
    #[error("{}", .0.error)]
    Unavailable(Problem),
    /// An answer that this command does not understand.
    #[error("ravelin-control gave an answer that does not fit: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Asks `path` of the control process behind `socket`; `body` makes it a POST.
pub async fn ask<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &'static str,
    body: Option<&impl Serialize>,
) -> Result<T, ClientError> {
    let unreachable = |source| ClientError::Unreachable { path: socket.to_owned(), source };
    let stream = tokio::net::UnixStream::connect(socket).await.map_err(unreachable)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = hyper::Uri::from_static(path);
    request.headers_mut().insert("host", hyper::header::HeaderValue::from_static("ravelin"));
    request.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    let response = sender.send_request(request).await?;
    let status = response.status();
    let octets = response.into_body().collect().await?.to_bytes();
    match status {
        StatusCode::OK => Ok(serde_json::from_slice(&octets)?),
        StatusCode::SERVICE_UNAVAILABLE => Err(ClientError::Unavailable(serde_json::from_slice(&octets)?)),
        _ => Err(ClientError::Problem(serde_json::from_slice(&octets)?)),
    }
}
