//! The certificate of the moment, as rustls asks for it at each handshake.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Certificate;

/// Connections keep the certificate with which they began; the next handshake takes the new one.
#[derive(Debug)]
pub struct Resolver(RwLock<Arc<CertifiedKey>>);

impl Resolver {
    pub fn new(certificate: Certificate) -> Self {
        Self(RwLock::new(certificate.into_certified()))
    }

    pub fn replace(&self, certificate: Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.into_certified();
    }
}

impl ResolvesServerCert for Resolver {
    // There is one certificate, and a client that asks for another name is to see that it is not that one.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
