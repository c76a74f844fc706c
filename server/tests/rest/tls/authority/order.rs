//! An order with its authorizations and challenges, and how they are shown (RFC 8555 §7.1).

use serde_json::{Value, json};

pub const KINDS: [&str; 2] = ["http-01", "tls-alpn-01"];

pub struct Order {
    pub account: String,
    pub authorizations: Vec<Authorization>,
    /// In PEM.
    pub certificate: Option<String>,
}

pub struct Authorization {
    pub domain: String,
    pub token: String,
    pub state: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Pending,
    /// By a kind of challenge.
    Valid(&'static str),
    Invalid(&'static str, String),
}

impl Order {
    pub fn proof(&self) -> Option<&'static str> {
        match self.authorizations.first()?.state {
            Standing::Valid(kind) => Some(kind),
            Standing::Pending | Standing::Invalid(..) => None,
        }
    }

    pub fn domains(&self) -> Vec<String> {
        self.authorizations.iter().map(|authorization| authorization.domain.clone()).collect()
    }

    pub fn is_ready(&self) -> bool {
        self.authorizations.iter().all(|authorization| matches!(authorization.state, Standing::Valid(_)))
    }

    fn status(&self) -> &'static str {
        let failed = |authorization: &Authorization| matches!(authorization.state, Standing::Invalid(..));
        match () {
            () if self.authorizations.iter().any(failed) => "invalid",
            () if self.certificate.is_some() => "valid",
            () if self.is_ready() => "ready",
            () => "pending",
        }
    }

    /// `url` makes an address of a path.
    pub fn show(&self, number: usize, url: impl Fn(&str) -> String) -> Value {
        let authorizations: Vec<String> =
            (0..self.authorizations.len()).map(|n| url(&format!("authorization/{number}/{n}"))).collect();
        let identifiers: Vec<Value> =
            self.domains().iter().map(|domain| json!({ "type": "dns", "value": domain })).collect();
        let mut order = json!({
            "status": self.status(),
            "identifiers": identifiers,
            "authorizations": authorizations,
            "finalize": url(&format!("finalize/{number}")),
        });
        if self.certificate.is_some() {
            order["certificate"] = json!(url(&format!("certificate/{number}")));
        }
        order
    }
}

impl Authorization {
    pub fn show(&self, path: &str, url: impl Fn(&str) -> String) -> Value {
        let status = match self.state {
            Standing::Pending => "pending",
            Standing::Valid(_) => "valid",
            Standing::Invalid(..) => "invalid",
        };
        let challenges: Vec<Value> = KINDS.iter().map(|kind| self.challenge(kind, path, &url)).collect();
        json!({
            "status": status,
            "identifier": { "type": "dns", "value": self.domain },
            "challenges": challenges,
        })
    }

    pub fn challenge(&self, kind: &str, path: &str, url: impl Fn(&str) -> String) -> Value {
        let mut challenge = json!({
            "type": kind,
            "url": url(&format!("challenge/{path}/{kind}")),
            "token": self.token,
            "status": "pending",
        });
        match &self.state {
            Standing::Valid(by) if *by == kind => challenge["status"] = json!("valid"),
            Standing::Invalid(by, why) if *by == kind => {
                challenge["status"] = json!("invalid");
                challenge["error"] =
                    json!({ "type": "urn:ietf:params:acme:error:connection", "detail": why, "status": 400 });
            }
            Standing::Pending | Standing::Valid(_) | Standing::Invalid(..) => {}
        }
        challenge
    }
}
