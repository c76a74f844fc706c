//! A page to look at: one file, nothing loaded from elsewhere, no script.

use std::fmt::Write;

use super::plot::{Line, Owner, Plot, Unit};
use super::{Comparison, Document, Moment, Report};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(document: &Document<'_>) -> String {
    let Document { arguments: args, runs, comparison, version } = document;
    let title = format!(
        "{} × {} participants, {} talking",
        args.rooms,
        args.publishers + args.subscribers,
        args.speakers()
    );
    let plots: String = plots(runs, comparison.is_some()).iter().filter_map(Plot::to_html).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>banter-load: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"about\">banter-load {version}</p>\n{}{}{}\
         <h2>Over time</h2>\n<div class=\"plots\">\n{plots}</div>\n\
         <h2>All numbers</h2>\n{}<h2>Arguments</h2>\n<p><code>{}</code></p>\n</main>\n</body>\n</html>\n",
        key(runs, comparison.is_some()),
        tiles(runs),
        comparison.map(ratios).unwrap_or_default(),
        table(runs),
        escaped(&serde_json::to_string(args).unwrap_or_default()),
    )
}

/// Which colour is whose.
fn key(runs: &[Report], is_comparison: bool) -> String {
    let names = runs.iter().take(if is_comparison { 2 } else { 1 });
    let items = names
        .zip(["first", "second"])
        .map(|(run, class)| format!("<li><i class=\"{class}\"></i>{}</li>", escaped(&run.url)));
    format!("<ul class=\"key\">{}</ul>\n", items.collect::<String>())
}

/// What matters most, of the first run.
fn tiles(runs: &[Report]) -> String {
    let Some(run) = runs.first() else { return String::new() };
    let millis = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2} ms"));
    let mut tiles = vec![
        (
            "Missing in streams",
            format!("{:.3} %", run.missing * 100.0),
            format!("{} of {} came", run.packets_out, run.packets_expected),
        ),
        ("Added delay, p50", millis(run.latency.p50), format!("p99 {}", millis(run.latency.p99))),
        ("Connected after, p50", millis(run.joins.connected.p50), format!("{} bots", run.bots)),
    ];
    if let Some(server) = &run.server {
        let cores = server.cpu / run.seconds.max(f64::MIN_POSITIVE);
        tiles.push((
            "Packets per CPU second",
            format!("{:.0}", server.packets_per_cpu_second),
            format!("{cores:.2} cores in use"),
        ));
        tiles.push((
            "Memory per participant",
            format!("{:.1} KiB", server.resident_per_participant / 1024.0),
            format!("{:.1} MiB in all", server.resident as f64 / f64::from(1 << 20)),
        ));
    }
    if let Some(bare) = &run.bare {
        tiles.push((
            "Beside bare sendmmsg",
            format!("{:.2} ×", bare.ratio),
            format!("{:.2} µs of CPU a copy", bare.server),
        ));
    }
    let tiles = tiles.into_iter().map(|(name, value, more)| {
        format!("<div class=\"tile\"><span>{name}</span><b>{value}</b><small>{more}</small></div>\n")
    });
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.collect::<String>())
}

/// How many times better the first server is.
fn ratios(comparison: &Comparison) -> String {
    let better = |ratio: &super::comparison::Ratio, value: f64| {
        if ratio.is_more_better { value } else { 1.0 / value.max(f64::MIN_POSITIVE) }
    };
    let most = comparison.ratios.iter().map(|ratio| better(ratio, ratio.mean)).fold(1.0, f64::max);
    let rows = comparison.ratios.iter().map(|ratio| {
        let mean = better(ratio, ratio.mean);
        let ends = [better(ratio, ratio.lowest), better(ratio, ratio.highest)];
        let (lowest, highest) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        format!(
            "<tr><th>{}</th><td>{mean:.2} ×</td><td>{lowest:.2} to {highest:.2}</td>\
             <td class=\"bar\"><i style=\"width:{:.1}%\"></i></td></tr>\n",
            ratio.name,
            mean / most * 100.0
        )
    });
    format!(
        "<h2>First server beside the second</h2>\n<div class=\"scroll\"><table>\n\
         <thead><tr><th></th><th>better by, mean of turns</th><th>spread</th><th></th></tr></thead>\n{}</table></div>\n",
        rows.collect::<String>()
    )
}

fn plots(runs: &[Report], is_comparison: bool) -> Vec<Plot> {
    let line = |at: usize, is_dashed, points| Line {
        owner: if is_comparison && at % 2 == 1 { Owner::Second } else { Owner::First },
        is_later: at >= if is_comparison { 2 } else { 1 },
        is_dashed,
        points,
    };
    let over_time = |is_dashed, value: fn(&Moment) -> Option<f64>| {
        let lines = runs.iter().enumerate().map(move |(at, run)| {
            let points = run.series.iter().filter_map(|moment| Some((moment.second, value(moment)?)));
            line(at, is_dashed, points.collect())
        });
        lines.collect::<Vec<_>>()
    };
    let curves = runs.iter().enumerate().map(|(at, run)| {
        let within = run.latency_curve.iter().filter(|(share, _)| *share <= 99.0);
        line(at, false, within.map(|&(share, time)| (time, share)).collect())
    });
    let plot = |title, note, y, lines| Plot { title, note, x: Unit::Seconds, y, lines };
    vec![
        Plot {
            x: Unit::Milliseconds,
            ..plot("Packets that have come within", "up to 99 %", Unit::PerCent, curves.collect())
        },
        plot(
            "Added delay",
            "p50, dashed p99",
            Unit::Milliseconds,
            [over_time(false, |moment| moment.p50), over_time(true, |moment| moment.p99)].concat(),
        ),
        plot(
            "Packets to the bots",
            "a second",
            Unit::Count,
            over_time(false, |moment| Some(moment.packets_per_second)),
        ),
        plot(
            "Lost",
            "of those expected",
            Unit::PerCent,
            over_time(false, |moment| Some(moment.lost * 100.0)),
        ),
        plot("Server's CPU", "cores in use", Unit::Cores, over_time(false, |moment| moment.server_cores)),
        plot(
            "Server's memory",
            "resident",
            Unit::Mebibytes,
            over_time(false, |moment| Some(moment.server_resident? as f64 / f64::from(1 << 20))),
        ),
    ]
}

fn table(runs: &[Report]) -> String {
    let columns: Vec<_> = runs.iter().map(Report::rows).collect();
    // Not every run has every row.
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in columns.iter().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let mut text = "<div class=\"scroll\"><table>\n<thead><tr><th></th>".to_owned();
    let put = |text: &mut String, cell: &str| {
        write!(text, "{cell}").expect("a string takes everything");
    };
    runs.iter().for_each(|run| put(&mut text, &format!("<th>{}</th>", escaped(&run.url))));
    put(&mut text, "</tr></thead>\n");
    for name in names {
        put(&mut text, &format!("<tr><th>{name}</th>"));
        for column in &columns {
            let value = column.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value);
            put(&mut text, &format!("<td>{}</td>", escaped(value)));
        }
        put(&mut text, "</tr>\n");
    }
    put(&mut text, "</table></div>\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
