//! A run as lines of text: name and value.

use std::fmt::Write;

use super::{Report, Spread};

impl Report {
    /// For people.
    pub fn to_table(&self) -> String {
        let rows = self.rows();
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut table = format!("{}\n", self.url);
        for (name, value) in rows {
            writeln!(table, "  {name:width$}  {value}").expect("a string takes everything");
        }
        table
    }

    /// What is told in the table and on the page.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("bots", format!("{}, {} failed", self.bots, self.failed)),
            ("measured", format!("{:.1} s, stamps read by {} bots", self.seconds, self.sampled)),
            ("packets to the server", self.packets_in.to_string()),
            (
                "packets to the bots",
                format!(
                    "{} of {}, {:.3} % did not come, {:.3} % missing in their streams",
                    self.packets_out,
                    self.packets_expected,
                    self.lost * 100.0,
                    self.missing * 100.0
                ),
            ),
            (
                "duplicated, reordered, late",
                format!("{}, {}, {}", self.duplicated, self.reordered, self.late),
            ),
        ];
        if self.recovered > 0 {
            rows.push(("recovered by redundancy", self.recovered.to_string()));
        }
        rows.extend([
            ("delay", self.latency.to_string()),
            ("last listener after the first", self.skew.to_string()),
            ("let in after", self.joins.let_in.to_string()),
            ("connected after", self.joins.connected.to_string()),
            ("first sound after", self.joins.first_sound.to_string()),
            ("joins", self.joins_row()),
        ]);
        if self.returns > 0 {
            rows.push(("came back", format!("{}, let in after {}", self.returns, self.returned)));
        }
        rows.extend(self.server_rows());
        rows.push(("harness's CPU", format!("{:.2} s, media threads: {}", self.harness_cpu, self.threads)));
        if let Some(failure) = &self.first_failure {
            rows.push(("first failure", failure.clone()));
        }
        rows
    }

    fn joins_row(&self) -> String {
        let joins = &self.joins;
        let rate = format!("all connected after {:.1} s, {:.0} a second", joins.seconds, joins.per_second);
        match joins.per_cpu_second {
            Some(per_cpu_second) => format!("{rate}, {per_cpu_second:.0} a second of the server's CPU"),
            None => rate,
        }
    }

    fn server_rows(&self) -> Vec<(&'static str, String)> {
        let Some(server) = &self.server else { return Vec::new() };
        let each = server.resident_per_participant / 1024.0;
        let who = if self.packets_in == 0 { "an idle participant" } else { "a participant" };
        let mut rows = vec![
            (
                "server's CPU",
                format!("{:.2} s, {:.1} % of a core", server.cpu, server.cpu / self.seconds * 100.0),
            ),
            ("packets per CPU second", format!("{:.0}", server.packets_per_cpu_second)),
            (
                "each",
                format!("{:.4} % of a core and {each:.1} KiB for {who}", server.cpu_per_participant * 100.0),
            ),
            (
                "server's memory",
                format!(
                    "{:.1} MiB, {:.1} before anybody came, {:.1} when all had left",
                    mebibytes(server.resident),
                    mebibytes(server.resident_empty),
                    mebibytes(server.resident_left)
                ),
            ),
        ];
        if let Some(bare) = &self.bare {
            rows.push((
                "CPU of a copy",
                format!(
                    "{:.2} µs, {:.2} times that of bare sendmmsg ({:.2} µs)",
                    bare.server, bare.ratio, bare.sendmmsg
                ),
            ));
        }
        rows
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.p50, self.p95, self.p99, self.max) {
            (Some(p50), Some(p95), Some(p99), Some(max)) => {
                write!(f, "p50 {p50:.2}, p95 {p95:.2}, p99 {p99:.2}, max {max:.2} ms")
            }
            _ => f.write_str("none"),
        }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
