//! A plot as SVG, drawn by hand: some lines over a grid.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 26.0;
/// Lines of the grid, about.
const STEPS: f64 = 5.0;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    First,
    Second,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub owner: Owner,
    /// From one of a server's later turns.
    pub is_later: bool,
    pub is_dashed: bool,
    pub points: Vec<(f64, f64)>,
}

/// What a value means to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    PerCent,
    Count,
    Cores,
    Mebibytes,
}

#[derive(Clone, Debug)]
pub struct Plot {
    pub title: &'static str,
    pub note: &'static str,
    pub x: Unit,
    pub y: Unit,
    pub lines: Vec<Line>,
}

impl Plot {
    /// A figure, if there is anything to see.
    pub fn to_html(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().count() < 2 {
            return None;
        }
        let x = Scale::over(points().map(|point| point.0), (LEFT, WIDTH - RIGHT));
        let y = Scale::over(points().map(|point| point.1), (HEIGHT - BOTTOM, TOP));
        let mut svg = String::new();
        self.draw_grid(&mut svg, &x, &y);
        self.lines.iter().for_each(|line| draw_line(&mut svg, line, &x, &y));
        let Self { title, note, .. } = self;
        Some(format!(
            "<figure><figcaption>{title} <span>{note}</span></figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{svg}</svg></figure>\n"
        ))
    }

    fn draw_grid(&self, svg: &mut String, x: &Scale, y: &Scale) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in y.ticks() {
            let at = y.place(value);
            let label = self.y.label(value, y.step);
            put(svg, format_args!(r#"<path class="grid" d="M{LEFT} {at:.1}H{right}"/>"#));
            let (left, below) = (LEFT - 8.0, at + 4.0);
            put(svg, format_args!(r#"<text x="{left}" y="{below:.1}" text-anchor="end">{label}</text>"#));
        }
        for value in x.ticks() {
            let (at, below) = (x.place(value), HEIGHT - 8.0);
            let label = self.x.label(value, x.step);
            put(svg, format_args!(r#"<text x="{at:.1}" y="{below}" text-anchor="middle">{label}</text>"#));
        }
        put(svg, format_args!(r#"<path class="axis" d="M{LEFT} {bottom}H{right}"/>"#));
    }
}

fn draw_line(svg: &mut String, line: &Line, x: &Scale, y: &Scale) {
    let class = match line.owner {
        Owner::First => "first",
        Owner::Second => "second",
    };
    let dashed = if line.is_dashed { " dashed" } else { "" };
    let later = if line.is_later { " later" } else { "" };
    if let [(one, value)] = line.points[..] {
        let (at, height) = (x.place(one), y.place(value));
        return put(
            svg,
            format_args!(r#"<circle class="{class}{later}" cx="{at:.1}" cy="{height:.1}" r="4"/>"#),
        );
    }
    put(svg, format_args!(r#"<polyline class="{class}{dashed}{later}" points=""#));
    for &(one, value) in &line.points {
        put(svg, format_args!("{:.1},{:.1} ", x.place(one), y.place(value)));
    }
    put(svg, format_args!(r#""/>"#));
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a string takes everything");
}

/// From values to places on the page, from zero to a round number.
#[derive(Clone, Copy, Debug)]
struct Scale {
    end: f64,
    step: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let highest = values.fold(0.0, f64::max);
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = round(highest / STEPS);
        Self { end: (highest / step).ceil() * step, step, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * value / self.end
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let Self { end, step, .. } = *self;
        (0..=(end / step).round() as u32).map(move |tick| f64::from(tick) * step)
    }
}

/// The nearest of 1, 2, 5, 10, 20, … that is not below.
fn round(value: f64) -> f64 {
    let magnitude = 10f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| round * magnitude >= value * (1.0 - 1e-9));
    round.unwrap_or(10.0) * magnitude
}

impl Unit {
    fn label(self, value: f64, step: f64) -> String {
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let number = match value {
            1e6.. => format!("{:.1} M", value / 1e6),
            1e4.. => format!("{:.0} k", value / 1e3),
            _ => format!("{value:.digits$}"),
        };
        match self {
            Self::Seconds => format!("{number} s"),
            Self::Milliseconds => format!("{number} ms"),
            Self::PerCent => format!("{number} %"),
            Self::Mebibytes => format!("{number} MiB"),
            Self::Count | Self::Cores => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (highest, end, step) in
            [(9.3, 10.0, 2.0), (0.031, 0.04, 0.01), (100.0, 100.0, 20.0), (0.0, 1.0, 0.2)]
        {
            let scale = Scale::over([0.0, highest].into_iter(), (0.0, 1.0));
            assert!(
                (scale.end - end).abs() < 1e-9 && (scale.step - step).abs() < 1e-9,
                "{highest}: {scale:?}"
            );
        }
        assert_eq!(Unit::Milliseconds.label(0.25, 0.05), "0.25 ms");
        assert_eq!(Unit::Count.label(250_000.0, 50_000.0), "250 k");
    }

    #[test]
    fn a_plot_has_its_lines_and_an_empty_one_is_none() {
        let line = Line {
            owner: Owner::Second,
            is_later: false,
            is_dashed: true,
            points: vec![(0.0, 1.0), (1.0, 2.0)],
        };
        let plot =
            Plot { title: "Delay", note: "", x: Unit::Seconds, y: Unit::Milliseconds, lines: vec![line] };
        let html = plot.to_html().expect("there are points");
        assert!(html.contains(r#"class="second dashed""#), "{html}");
        assert!(Plot { lines: Vec::new(), ..plot }.to_html().is_none());
    }
}
