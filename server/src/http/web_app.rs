//! The web app, embedded. Every address that is not a file of it is a page inside it.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web-app"]
struct Files;

const PAGE: &str = "index.html";

pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return ApiError::method_not_allowed().into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return ApiError::not_found().into_response();
    }
    if method == Method::HEAD && path.is_empty() {
        return is_alive();
    }
    if let Some(file) = Files::get(path) {
        return answer(path, file, &headers);
    }
    // A missing file with an extension is an error; a page's address has none.
    if path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return ApiError::not_found().into_response();
    }
    match Files::get(PAGE) {
        Some(file) => answer(PAGE, file, &headers),
        None => ApiError::not_found().into_response(),
    }
}

/// LiveKit's clients ask this way, also from pages of other origins, whether the network is back.
fn is_alive() -> Response {
    let kind = HeaderValue::from_static(content_type(PAGE));
    let anyone = HeaderValue::from_static("*");
    [(header::CONTENT_TYPE, kind), (header::ACCESS_CONTROL_ALLOW_ORIGIN, anyone)].into_response()
}

fn answer(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = etag(&file);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|seen| *seen == tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let cache = HeaderValue::from_static(caching(path));
    let kind = HeaderValue::from_static(content_type(path));
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache), (header::ETAG, tag)], body)
        .into_response()
}

fn etag(file: &EmbeddedFile) -> HeaderValue {
    let digest: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak, since the compression layer may change the bytes.
    HeaderValue::from_str(&format!("W/\"{digest}\"")).expect("hexadecimal digits are valid in a header")
}

/// Vite puts a hash of the content into the names below `assets/`, so those never change.
fn caching(path: &str) -> &'static str {
    if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webp") => "image/webp",
        Some("woff2") => "font/woff2",
        Some("wasm") => "application/wasm",
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        Some("wav") => "audio/wav",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
