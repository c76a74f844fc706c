//! Requests to a certificate authority, over the program's own HTTP client.

use std::iter::successors;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use bytes::{Bytes, BytesMut};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

/// For one request with its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// For the body of an answer: a chain of certificates has a few KiB.
const MAX_BODY: usize = 256 * 1024;

/// Speaks https only, to authorities that this machine's roots know.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

impl Client {
    pub fn new() -> Result<Self, reqwest::Error> {
        let agent = concat!("banter/", env!("CARGO_PKG_VERSION"));
        let client =
            reqwest::Client::builder().https_only(true).timeout(TIMEOUT).user_agent(agent).build()?;
        Ok(Self(client))
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(Body::new(body), MAX_BODY).await.map_err(other)?;
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut response = request.send().await.map_err(other)?;
        let mut answer = Response::new(());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(other)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Error::Other("the answer is too long".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(BytesResponse { parts: answer.into_parts().0, body: Box::new(body.freeze()) })
    }
}

/// With all causes in one line: the first one alone says only that something went wrong.
fn other(error: impl std::error::Error) -> Error {
    let causes = successors(error.source(), |cause| cause.source());
    Error::Other(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")).into())
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}
