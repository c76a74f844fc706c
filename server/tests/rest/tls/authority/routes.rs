//! The authority's resources (RFC 8555 §7).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head, post};
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::certificates::Request as CertificateRequest;
use super::jws::{self, Fault, Signed};
use super::order::{Authorization, KINDS, Order, Standing};
use super::validation::validate;
use super::{Conduct, Shared};

const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

type Ca = State<Arc<Shared>>;
type Answer = Result<Response, Fault>;

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/directory", get(directory))
        .route("/nonce", head(|| async {}))
        .route("/account", post(account))
        .route("/order", post(new_order))
        .route("/order/{number}", post(order))
        .route("/authorization/{number}/{n}", post(authorization))
        .route("/challenge/{number}/{n}/{kind}", post(challenge))
        .route("/finalize/{number}", post(finalize))
        .route("/certificate/{number}", post(certificate))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), add_nonce))
        .with_state(shared)
}

async fn add_nonce(State(ca): Ca, request: Request, next: Next) -> Response {
    if ca.state().conduct == Conduct::Unwell {
        return (StatusCode::INTERNAL_SERVER_ERROR, "<html>out of order</html>").into_response();
    }
    let mut response = next.run(request).await;
    let nonce = HeaderValue::from_str(&ca.state().accounts.nonce()).expect("text");
    response.headers_mut().insert("replay-nonce", nonce);
    response
}

async fn directory(State(ca): Ca) -> axum::Json<Value> {
    axum::Json(json!({
        "newNonce": ca.url("nonce"), "newAccount": ca.url("account"), "newOrder": ca.url("order"),
        "revokeCert": ca.url("revoke"), "keyChange": ca.url("key"),
    }))
}

async fn account(State(ca): Ca, OriginalUri(uri): OriginalUri, body: Bytes) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    if signed.account.is_some() || signed.payload["termsOfServiceAgreed"] != true {
        return Err(Fault::Malformed);
    }
    let number = ca.state().accounts.register(signed.key);
    let location = ca.url(&format!("account/{number}"));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(json!({ "status": "valid" })))
        .into_response())
}

async fn new_order(State(ca): Ca, OriginalUri(uri): OriginalUri, body: Bytes) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    let account = signed.account.ok_or(Fault::Malformed)?;
    let identifiers = signed.payload["identifiers"].as_array().ok_or(Fault::Malformed)?;
    let mut state = ca.state();
    let number = state.orders.len();
    let authorization = |identifier: &Value| {
        let domain = identifier["value"].as_str().filter(|_| identifier["type"] == "dns")?.to_owned();
        Some(Authorization { token: format!("token-{number}-{domain}"), domain, state: Standing::Pending })
    };
    let authorizations = identifiers.iter().map(authorization).collect::<Option<_>>();
    let order = Order { account, authorizations: authorizations.ok_or(Fault::Malformed)?, certificate: None };
    let shown = order.show(number, |path| ca.url(path));
    state.orders.push(order);
    let location = ca.url(&format!("order/{number}"));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(shown)).into_response())
}

async fn order(
    State(ca): Ca,
    OriginalUri(uri): OriginalUri,
    Path(number): Path<usize>,
    body: Bytes,
) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    let mut state = ca.state();
    let order = owned(&mut state.orders, number, &signed)?;
    Ok(axum::Json(order.show(number, |path| ca.url(path))).into_response())
}

async fn authorization(
    State(ca): Ca,
    OriginalUri(uri): OriginalUri,
    Path((number, n)): Path<(usize, usize)>,
    body: Bytes,
) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    let mut state = ca.state();
    let authorization = owned(&mut state.orders, number, &signed)?.authorizations.get(n);
    let shown = authorization.ok_or(Fault::Malformed)?.show(&format!("{number}/{n}"), |path| ca.url(path));
    Ok(axum::Json(shown).into_response())
}

async fn challenge(
    State(ca): Ca,
    OriginalUri(uri): OriginalUri,
    Path((number, n, kind)): Path<(usize, usize, String)>,
    body: Bytes,
) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    if signed.payload != json!({}) {
        return Err(Fault::Malformed);
    }
    let kind = KINDS.into_iter().find(|known| *known == kind).ok_or(Fault::Malformed)?;
    let (domain, token, shown) = {
        let mut state = ca.state();
        let authorization =
            owned(&mut state.orders, number, &signed)?.authorizations.get(n).ok_or(Fault::Malformed)?;
        let shown = authorization.challenge(kind, &format!("{number}/{n}"), |path| ca.url(path));
        (authorization.domain.clone(), authorization.token.clone(), shown)
    };
    let key_authorization = format!("{token}.{}", signed.key.thumbprint());
    tokio::spawn(async move {
        let mut doors = ca.doors.subscribe();
        let doors = doors.wait_for(Option::is_some).await.expect("the authority lives").expect("known");
        let outcome = validate(kind, doors, &domain, &token, &key_authorization).await;
        ca.state().orders[number].authorizations[n].state = match outcome {
            Ok(()) => Standing::Valid(kind),
            Err(why) => Standing::Invalid(kind, why),
        };
    });
    Ok(axum::Json(shown).into_response())
}

async fn finalize(
    State(ca): Ca,
    OriginalUri(uri): OriginalUri,
    Path(number): Path<usize>,
    body: Bytes,
) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    let csr = jws::decode(signed.payload["csr"].as_str().ok_or(Fault::Malformed)?)?;
    let request = CertificateRequest::read(&csr).ok_or(Fault::Malformed)?;
    let mut state = ca.state();
    let (conduct, lifetime) = (state.conduct, state.lifetime.unwrap_or(LIFETIME));
    let order = owned(&mut state.orders, number, &signed)?;
    if !order.is_ready() || order.domains() != request.names {
        return Err(Fault::Malformed);
    }
    order.certificate = Some(match conduct {
        Conduct::WrongKey => ca.issuer.issue(&request.names, &KeyPair::generate().expect("a key"), lifetime),
        Conduct::WrongName => ca.issuer.issue(&["other.example".to_owned()], &request.key, lifetime),
        Conduct::Empty => "\n".to_owned(),
        Conduct::Honest | Conduct::Unwell => ca.issuer.issue(&request.names, &request.key, lifetime),
    });
    Ok(axum::Json(order.show(number, |path| ca.url(path))).into_response())
}

async fn certificate(
    State(ca): Ca,
    OriginalUri(uri): OriginalUri,
    Path(number): Path<usize>,
    body: Bytes,
) -> Answer {
    let signed = open(&ca, uri.path(), &body)?;
    let mut state = ca.state();
    let chain = owned(&mut state.orders, number, &signed)?.certificate.clone().ok_or(Fault::Malformed)?;
    Ok(([(header::CONTENT_TYPE, "application/pem-certificate-chain")], chain).into_response())
}

fn open(ca: &Shared, path: &str, body: &[u8]) -> Result<Signed, Fault> {
    let url = ca.url(path.trim_start_matches('/'));
    ca.state().accounts.open(body, &url, &ca.url("account/"))
}

fn owned<'a>(orders: &'a mut [Order], number: usize, signed: &Signed) -> Result<&'a mut Order, Fault> {
    let order = orders.get_mut(number).ok_or(Fault::Malformed)?;
    if signed.account.as_ref() == Some(&order.account) { Ok(order) } else { Err(Fault::Malformed) }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let kind = match self {
            Fault::BadNonce => "badNonce",
            Fault::Malformed => "malformed",
            Fault::AccountDoesNotExist => "accountDoesNotExist",
        };
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        let problem = json!({ "type": kind, "detail": "refused by the test", "status": 400 });
        (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response()
    }
}
