//! A network that loses packets.

use clap::ValueEnum;
use rand::RngExt;
use rand::rngs::StdRng;

/// Which packets a network loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Those to the server.
    Up,
    /// Those from it.
    Down,
    Both,
}

/// Shares of the media packets, 0 to 1, that are lost each way. What sets a connection up is spared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    up: f64,
    down: f64,
}

impl Loss {
    pub fn new(percent: f64, direction: Direction) -> Self {
        let share = percent / 100.0;
        Self {
            up: if direction == Direction::Down { 0.0 } else { share },
            down: if direction == Direction::Up { 0.0 } else { share },
        }
    }

    pub fn takes_up(&self, packet: &[u8], rng: &mut StdRng) -> bool {
        takes(self.up, packet, rng)
    }

    pub fn takes_down(&self, packet: &[u8], rng: &mut StdRng) -> bool {
        takes(self.down, packet, rng)
    }
}

/// RTP and RTCP begin with a version of 2 (RFC 7983 §7).
fn takes(share: f64, packet: &[u8], rng: &mut StdRng) -> bool {
    share > 0.0 && packet.first().is_some_and(|first| first >> 6 == 2) && rng.random_bool(share)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn so_much_of_the_media_is_lost_and_of_nothing_else() {
        let mut rng = StdRng::seed_from_u64(5);
        let loss = Loss::new(10.0, Direction::Down);
        let mut count =
            |loss: Loss, first: u8| (0..10_000).filter(|_| loss.takes_down(&[first, 0], &mut rng)).count();
        assert!((900..1_100).contains(&count(loss, 0x80)));
        assert_eq!((count(loss, 0x16), count(Loss::default(), 0x80)), (0, 0));
        assert_eq!(count(Loss::new(10.0, Direction::Up), 0x80), 0);
    }
}
