//! When to ask for a certificate: a value without a clock.

use std::time::Duration;

use banter_protocol::rest::UnixMillis;

use crate::tls::certificate::Validity;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How an attempt failed, as far as that says when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The authority was not reached, or it is not well.
    Unreachable,
    /// The authority answered, and its answer was no. Asking again soon would use up what it allows: Let's Encrypt
    /// counts five failed validations per account, name and hour, of which an attempt can make two.
    Refused,
}

/// Waiting times that double with each failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Failure {
    /// The first waiting time and the longest.
    const fn waits(self) -> (Duration, Duration) {
        match self {
            Failure::Unreachable => (Duration::from_secs(10), Duration::from_secs(3600)),
            Failure::Refused => (Duration::from_secs(1800), Duration::from_secs(12 * 3600)),
        }
    }
}

impl Backoff {
    /// How long to wait after one more failure.
    pub fn after(&mut self, failure: Failure) -> Duration {
        let (first, longest) = failure.waits();
        let wait = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures += 1;
        wait
    }
}

/// The moment at which two thirds of a certificate's life are over.
pub fn renewal(validity: Validity) -> UnixMillis {
    let life = validity.until.0.saturating_sub(validity.from.0);
    UnixMillis(validity.from.0 + life / 3 * 2)
}

/// How long to rest after a certificate was obtained, whatever the clock says: where it is wrong, the next renewal seems
/// due at once, and one a day is as much as an authority puts up with.
pub fn pause(validity: Validity) -> Duration {
    let life = validity.until.0.saturating_sub(validity.from.0);
    u64::try_from(life / 3).map_or(DAY, |third| Duration::from_millis(third).min(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..4).map(|_| backoff.after(Failure::Unreachable).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80]);
        let mut backoff = Backoff { failures: u32::MAX - 1 };
        assert_eq!(backoff.after(Failure::Unreachable).as_secs(), 3600);
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..6).map(|_| backoff.after(Failure::Refused).as_secs()).collect();
        assert_eq!(waits, [1800, 3600, 7200, 14_400, 28_800, 43_200]);
    }

    #[test]
    fn a_certificate_of_ninety_days_is_renewed_after_sixty() {
        let day = 24 * 3600 * 1000;
        let validity = Validity { from: UnixMillis(day), until: UnixMillis(91 * day) };
        assert_eq!((renewal(validity), pause(validity)), (UnixMillis(61 * day), DAY));
        let validity = Validity { until: UnixMillis(day + 6000), ..validity };
        assert_eq!(pause(validity), Duration::from_secs(2));
        let validity = Validity { until: UnixMillis(0), ..validity };
        assert_eq!(pause(validity), DAY, "one that never was valid");
    }
}
