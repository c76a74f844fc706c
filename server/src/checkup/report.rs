//! Findings, and how they are shown.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It works, but somebody should look at it.
    Warn,
    Fail,
    /// It was not looked at; the detail says why.
    Skip,
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Stable name for programs.
    pub check: &'static str,
    /// The same for people.
    pub name: &'static str,
    pub result: Verdict,
    /// What was found, on one line.
    pub detail: String,
    /// The likely cause of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Numbers, by name; times are in milliseconds.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub measured: Map<String, Value>,
}

impl Finding {
    pub fn new(check: &'static str, name: &'static str, result: Verdict, detail: impl Into<String>) -> Self {
        Self { check, name, result, detail: detail.into(), cause: None, fix: None, measured: Map::new() }
    }

    pub fn because(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    pub fn measured(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.measured.insert(name.to_owned(), value.into());
        self
    }
}

/// All findings, in order. As JSON:
///
/// ```json
/// {"version": 1, "program": "doctor", "ok": false, "counts": {"ok": 9, "warn": 1, "fail": 1, "skip": 2},
///  "checks": [{"check": "udp4", "name": "UDP over IPv4", "result": "fail", "detail": "…", "cause": "…", "fix": "…",
///              "measured": {"loss_percent": 5.0}}]}
/// ```
///
/// `cause`, `fix` and `measured` are there only where there is something to say. Names of checks and numbers stay; texts may
/// change from version to version.
#[derive(Clone, Debug)]
pub struct Report {
    pub program: &'static str,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is broken. Warnings are no failures.
    pub fn is_ok(&self) -> bool {
        self.count(Verdict::Fail) == 0
    }

    pub fn to_json(&self) -> String {
        let counts = [Verdict::Ok, Verdict::Warn, Verdict::Fail, Verdict::Skip]
            .map(|verdict| (word(verdict).to_lowercase(), Value::from(self.count(verdict))));
        let document = serde_json::json!({
            "version": 1,
            "program": self.program,
            "ok": self.is_ok(),
            "counts": Value::Object(counts.into_iter().collect()),
            "checks": self.findings,
        });
        format!("{document:#}\n")
    }

    /// A line for each finding, with what is wrong and what to do below it, and a line for all of them.
    pub fn to_text(&self, coloured: bool) -> String {
        let width = self.findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for finding in &self.findings {
            let word = paint(finding.result, &format!("{:4}", word(finding.result)), coloured);
            let _ = writeln!(text, "{word}  {:width$}  {}", finding.name, finding.detail);
            for (what, line) in [("cause", &finding.cause), ("fix", &finding.fix)] {
                if let Some(line) = line {
                    let _ = writeln!(text, "      {:width$}  {what}: {line}", "");
                }
            }
        }
        text + &self.summary(coloured)
    }

    fn summary(&self, coloured: bool) -> String {
        let (fail, warn, skip) =
            (self.count(Verdict::Fail), self.count(Verdict::Warn), self.count(Verdict::Skip));
        let verdict = if fail > 0 { Verdict::Fail } else { Verdict::Ok };
        let said = match fail {
            0 => "nothing fails".to_owned(),
            1 => "1 check fails".to_owned(),
            several => format!("{several} checks fail"),
        };
        format!(
            "\n{}, {} ok, {warn} to look at, {skip} skipped\n",
            paint(verdict, &said, coloured),
            self.count(Verdict::Ok)
        )
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.result == verdict).count()
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
        Verdict::Skip => "skip",
    }
}

fn paint(verdict: Verdict, text: &str, coloured: bool) -> String {
    let code = match verdict {
        _ if !coloured => return text.to_owned(),
        Verdict::Ok => 32,
        Verdict::Warn => 33,
        Verdict::Fail => 31,
        Verdict::Skip => 90,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_aligned_with_cause_and_fix_below_them() {
        assert_eq!(
            report().to_text(false),
            "ok    UDP over IPv4  12 ms\n\
             FAIL  TCP            no answer\n\
             \x20                    cause: a firewall\n\
             \x20                    fix: open it\n\
             \n\
             1 check fails, 1 ok, 0 to look at, 0 skipped\n"
        );
        assert!(report().to_text(true).contains("\x1b[31mFAIL\x1b[0m"));
    }

    #[test]
    fn the_document_has_what_programs_look_for() {
        let document: Value = serde_json::from_str(&report().to_json()).expect("JSON");
        assert_eq!((&document["version"], &document["ok"]), (&Value::from(1), &Value::from(false)));
        assert_eq!(document["counts"]["fail"], 1);
        assert_eq!(document["checks"][0]["measured"]["round_trip"], 12.5);
        assert_eq!(document["checks"][1]["result"], "fail");
        assert_eq!(document["checks"][0].get("cause"), None);
    }

    fn report() -> Report {
        let findings = vec![
            Finding::new("udp4", "UDP over IPv4", Verdict::Ok, "12 ms").measured("round_trip", 12.5),
            Finding::new("tcp", "TCP", Verdict::Fail, "no answer").because("a firewall").fix("open it"),
        ];
        Report { program: "probe", findings }
    }
}
