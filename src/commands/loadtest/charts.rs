//! Charts of a run as inline SVG: no script, no other file, colours from the page's style.

use std::fmt::Write as _;

/// The size of a chart, in its own units; the page scales it.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
/// Room for labels.
const LEFT: f64 = 44.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 34.0;

/// One dimension of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    ticks: Vec<(f64, String)>,
    name: String,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// A line; its class gives the colour.
    Line(&'static str, Vec<(f64, f64)>),
    /// A line with the area under it.
    Area(&'static str, Vec<(f64, f64)>),
    /// Bars on top of each other: from, to, and its part from below to above.
    Bars(&'static str, Vec<Bar>),
    /// A shade from one value to another, over the whole height.
    Shade(f64, f64),
}

/// A piece of a bar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    /// Left and right.
    pub(super) x: (f64, f64),
    /// Lower and upper end.
    pub(super) y: (f64, f64),
}

impl Axis {
    /// From 0 to at least `most`, in round steps.
    pub(super) fn linear(name: &str, most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step * 5.0 >= most * 0.999)
            .unwrap_or(power * 10.0);
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= most + step * 0.999 {
            ticks.push((at, plain(at)));
            at += step;
        }
        let to = ticks.last().map_or(most, |(value, _)| *value);
        Self {
            from: 0.0,
            to,
            is_log: false,
            ticks,
            name: name.to_owned(),
        }
    }

    /// From exactly 0 to exactly `most`.
    pub(super) fn span(name: &str, most: f64) -> Self {
        let mut axis = Self::linear(name, most);
        axis.to = most.max(1e-9);
        axis.ticks.retain(|(value, _)| *value <= axis.to * 1.0001);
        axis
    }

    /// Powers of ten (with 2 and 5 where there are few) around `least` to `most`.
    pub(super) fn log(name: &str, least: f64, most: f64) -> Self {
        let least = if least > 0.0 { least } else { 0.001 };
        let (from, to) = (round_down(least), round_up(most.max(least * 1.01)));
        let few = (to / from).log10() <= 3.01;
        let mut ticks = Vec::new();
        let mut power = 10_f64.powf(from.log10().floor());
        while power <= to * 1.001 {
            for factor in [1.0, 2.0, 5.0] {
                let value = power * factor;
                let fits = (from * 0.999..=to * 1.001).contains(&value);
                if fits && (few || factor < 1.5) {
                    ticks.push((value, plain(value)));
                }
            }
            power *= 10.0;
        }
        Self {
            from,
            to,
            is_log: true,
            ticks,
            name: name.to_owned(),
        }
    }

    /// Shares of all requests, stretched so that 99.99 % is as far from 99.9 % as that from 99 %.
    pub(super) fn nines(name: &str, most: f64) -> Self {
        let ticks = [
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.99999, "99.999 %"),
        ];
        let to = nines(most).max(nines(0.99));
        let ticks = ticks
            .into_iter()
            .map(|(share, label)| (nines(share), label.to_owned()));
        Self {
            from: 0.0,
            to,
            is_log: false,
            ticks: ticks.filter(|(value, _)| *value <= to * 1.001).collect(),
            name: name.to_owned(),
        }
    }

    /// Where a value lies, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = if self.is_log {
            let value = value.max(self.from);
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }
}

/// The place of a share of all requests on an axis of [`Axis::nines`].
pub(super) fn nines(share: f64) -> f64 {
    -(1.0 - share.min(1.0 - 1e-9)).log10()
}

/// A chart; `title` is read aloud.
pub(super) fn chart(title: &str, (x, y): (&Axis, &Axis), marks: &[Mark]) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(title)
    );
    let across = |value: f64| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
    let down = |value: f64| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
    for mark in marks {
        if let Mark::Shade(from, to) = mark {
            let (left, right) = (across(*from), across(*to));
            put(
                &mut svg,
                format_args!(
                    "<rect class=\"shade\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    right - left,
                    HEIGHT - TOP - BOTTOM
                ),
            );
        }
    }
    for (value, label) in &y.ticks {
        let at = down(*value);
        put(
            &mut svg,
            format_args!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>\
             <text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                escape(label)
            ),
        );
    }
    for (value, label) in &x.ticks {
        let at = across(*value);
        put(
            &mut svg,
            format_args!(
                "<path class=\"grid\" d=\"M{at:.1} {TOP}V{:.1}\"/>\
             <text class=\"tick middle\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 15.0,
                escape(label)
            ),
        );
    }
    put(
        &mut svg,
        format_args!(
            "<text class=\"name end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"name\" x=\"2\" y=\"10\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            escape(&x.name),
            escape(&y.name)
        ),
    );
    for mark in marks {
        match mark {
            Mark::Line(class, points) => {
                let path = path(points, &across, &down);
                put(
                    &mut svg,
                    format_args!("<path class=\"line {class}\" d=\"{path}\"/>"),
                );
            }
            Mark::Area(class, points) => {
                let (Some(first), Some(last)) = (points.first(), points.last()) else {
                    continue;
                };
                let (bottom, path) = (down(y.from), path(points, &across, &down));
                put(
                    &mut svg,
                    format_args!(
                        "<path class=\"area {class}\" d=\"{path}L{:.1} {bottom:.1}L{:.1} {bottom:.1}Z\"/>\
                     <path class=\"line {class}\" d=\"{path}\"/>",
                        across(last.0),
                        across(first.0)
                    ),
                );
            }
            Mark::Bars(class, bars) => {
                for bar in bars.iter().filter(|bar| bar.y.1 > bar.y.0) {
                    let (left, right) = (across(bar.x.0), across(bar.x.1));
                    let (low, high) = (down(bar.y.0), down(bar.y.1));
                    put(
                        &mut svg,
                        format_args!(
                            "<rect class=\"bar {class}\" x=\"{left:.1}\" y=\"{high:.1}\" \
                         width=\"{:.1}\" height=\"{:.1}\"/>",
                            (right - left - 0.5).max(0.5),
                            (low - high).max(0.5)
                        ),
                    );
                }
            }
            Mark::Shade(..) => (),
        }
    }
    svg.push_str("</svg>");
    svg
}

fn path(points: &[(f64, f64)], across: &impl Fn(f64) -> f64, down: &impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for (n, (x, y)) in points.iter().enumerate() {
        let letter = if n == 0 { 'M' } else { 'L' };
        put(
            &mut path,
            format_args!("{letter}{:.1} {:.1}", across(*x), down(*y)),
        );
    }
    path
}

fn put(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).unwrap_or_default(); // a text takes everything
}

fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [5.0, 2.0, 1.0];
    let step = steps
        .into_iter()
        .find(|step| step * power <= value * 1.000_001);
    step.unwrap_or(1.0) * power
}

fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps
        .into_iter()
        .find(|step| step * power >= value * 0.999_999);
    step.unwrap_or(10.0) * power
}

/// A number without needless digits.
fn plain(value: f64) -> String {
    if value >= 10_000.0 {
        let thousands = value / 1_000.0;
        return format!("{}k", plain(thousands));
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn axes_have_round_ticks_around_the_values() {
        let axis = Axis::linear("x", 1_487.0);
        assert_eq!(labels(&axis), ["0", "500", "1000", "1500"]);
        assert_eq!(
            labels(&Axis::linear("x", 0.0)),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
        assert_eq!(labels(&Axis::linear("x", 120_000.0)).last(), Some(&"150k"));
        let axis = Axis::log("ms", 0.3, 42.0);
        assert_eq!(
            labels(&axis),
            ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]
        );
        assert_eq!(
            labels(&Axis::log("ms", 0.01, 5_000.0)),
            ["0.01", "0.1", "1", "10", "100", "1000"]
        );
    }

    #[test]
    fn values_lie_where_they_belong() {
        let axis = Axis::log("ms", 1.0, 100.0);
        assert!((axis.share(10.0) - 0.5).abs() < 1e-9);
        assert_eq!(axis.share(0.0), 0.0);
        assert!((nines(0.999) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_chart_has_no_script_and_no_hole_for_one() {
        let axis = Axis::linear("<script>", 1.0);
        let marks = [Mark::Line("a", vec![(0.0, 0.0), (1.0, 1.0)])];
        let svg = chart("\"><script>", (&axis, &axis), &marks);
        assert!(!svg.contains("<script"), "{svg}");
        assert!(svg.contains("M44.0 206.0L446.0 24.0"), "{svg}");
    }
}
