//! Two servers side by side: how many times the first one's value is the second's, over the turns of each.

use std::fmt::Write;

use serde::Serialize;

use super::Report;

/// Ratios of the first server's runs to the second's.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub ratios: Vec<Ratio>,
}

/// The mean of a ratio over turns, with the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    pub name: &'static str,
    /// Whether a higher value is the better one.
    pub is_more_better: bool,
    pub mean: f64,
    pub lowest: f64,
    pub highest: f64,
}

/// Of a run, if it has been measured.
type Value = fn(&Report) -> Option<f64>;

/// What is compared, and whether more of it is better.
const VALUES: [(&str, bool, Value); 7] = [
    ("packets per CPU second", true, |report| Some(report.server?.packets_per_cpu_second)),
    ("CPU per participant", false, |report| Some(report.server?.cpu_per_participant)),
    ("memory per participant", false, |report| Some(report.server?.resident_per_participant)),
    ("joins per CPU second", true, |report| report.joins.per_cpu_second),
    ("time to be connected, p50", false, |report| report.joins.connected.p50),
    ("delay, p50", false, |report| report.latency.p50),
    ("delay, p99", false, |report| report.latency.p99),
];

impl Comparison {
    /// Of runs in turn: first, second, first, second. `None` if there is no whole turn.
    pub fn of(runs: &[Report]) -> Option<Self> {
        let turns: Vec<_> = runs.chunks_exact(2).collect();
        let ratios: Vec<Ratio> = VALUES
            .iter()
            .filter_map(|&(name, is_more_better, value)| {
                let of_turn = |turn: &&[Report]| {
                    let [first, second] = turn else { return None };
                    Some(value(first)? / value(second).filter(|value| *value > 0.0)?)
                };
                let ratios: Vec<f64> = turns.iter().filter_map(of_turn).collect();
                Ratio::of(name, is_more_better, &ratios)
            })
            .collect();
        (!ratios.is_empty()).then_some(Self { ratios })
    }

    /// For people.
    pub fn to_table(&self) -> String {
        let mut table = "first server : second server\n".to_owned();
        for Ratio { name, mean, lowest, highest, .. } in &self.ratios {
            writeln!(table, "  {name:26}  {mean:.2} ({lowest:.2} to {highest:.2})")
                .expect("a string takes everything");
        }
        table
    }
}

impl Ratio {
    fn of(name: &'static str, is_more_better: bool, ratios: &[f64]) -> Option<Self> {
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let lowest = ratios.iter().copied().reduce(f64::min)?;
        let highest = ratios.iter().copied().reduce(f64::max)?;
        Some(Self { name, is_more_better, mean, lowest, highest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_has_a_mean_and_a_spread() {
        let ratio = Ratio::of("delay, p50", false, &[0.5, 0.25, 0.75]).expect("there are values");
        assert_eq!((ratio.mean, ratio.lowest, ratio.highest), (0.5, 0.25, 0.75));
        assert_eq!(Ratio::of("delay, p50", false, &[]), None);
        assert!(Comparison::of(&[]).is_none());
    }
}
