//! The one-time code with which the first owner sets the server up. It lives in memory: each start has its own.

use subtle::ConstantTimeEq;

use super::secrets;

/// The hash of the code. The code itself is only in the link that was printed.
#[derive(Clone, Copy, Debug)]
pub struct SetupCode([u8; 32]);

impl SetupCode {
    pub fn new(code: &str) -> Self {
        Self(secrets::hash(code))
    }

    pub fn fits(&self, code: &str) -> bool {
        self.0.ct_eq(&secrets::hash(code)).into()
    }
}
