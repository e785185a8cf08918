//! This file turns counts into the bars of a chart that is drawn on the server.
//!
//! # Why
//!
//! The chart must work without script, and the content security policy forbids inline styles.
//! So it is an SVG that the page stretches; its texts stand beside it as HTML and stay legible
//! on a phone.

use serde::Serialize;

/// The units across and down; they fit a stretched SVG, not pixels.
const WIDTH: u64 = 10_000;
const HEIGHT: u64 = 1_000;

/// A bar is never wider, however few there are.
const WIDEST_BAR: u64 = 400;

/// What is not zero is to be seen.
const LOWEST_PART: u64 = 12;

/// The clicks of one interval, by kind.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// What people read below the bar, such as "12 Nov".
    pub label: String,
    /// When the interval starts, for machines.
    pub start: String,
    /// Clicks by people.
    pub human: u64,
    /// Clicks by bots.
    pub bot: u64,
    /// Fetches by services that show what is behind a link.
    pub preview: u64,
}

/// Everything that the template draws.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    width: u64,
    height: u64,
    top: u64,
    middle: u64,
    bars: Vec<Bar>,
    labels: Vec<String>,
    summary: String,
    is_empty: bool,
}

#[derive(Debug, Serialize)]
struct Bar {
    title: String,
    slot_x: u64,
    slot_width: u64,
    x: u64,
    width: u64,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    kind: &'static str,
    y: u64,
    height: u64,
}

impl Point {
    fn total(&self) -> u64 {
        self.human
            .saturating_add(self.preview)
            .saturating_add(self.bot)
    }
}

impl Chart {
    /// Stacks the kinds of each point; the scale ends at a round number.
    pub(super) fn of(series: &[Point]) -> Self {
        let busiest = series.iter().max_by_key(|point| point.total());
        let top = round_up(busiest.map_or(0, Point::total));
        let n_points = u64::try_from(series.len()).unwrap_or(WIDTH).max(1);
        let slot_width = (WIDTH / n_points).max(1);
        let bars = (0..)
            .zip(series)
            .map(|(index, point)| Bar::of(point, index, slot_width, top));
        Self {
            width: slot_width * n_points,
            height: HEIGHT,
            top,
            middle: top / 2,
            bars: bars.collect(),
            labels: labels(series),
            summary: summary(series, busiest),
            is_empty: busiest.is_none_or(|point| point.total() == 0),
        }
    }
}

impl Bar {
    fn of(point: &Point, index: u64, slot_width: u64, top: u64) -> Self {
        let width = (slot_width * 7 / 10).clamp(1, WIDEST_BAR);
        let slot_x = index * slot_width;
        let mut y = HEIGHT;
        let mut parts = Vec::new();
        for (kind, count) in [
            ("human", point.human),
            ("preview", point.preview),
            ("bot", point.bot),
        ] {
            let height = height(count, top).min(y);
            if height > 0 {
                y -= height;
                parts.push(Part { kind, y, height });
            }
        }
        Self {
            title: title(point),
            slot_x,
            slot_width,
            x: slot_x + (slot_width - width) / 2,
            width,
            parts,
        }
    }
}

fn height(count: u64, top: u64) -> u64 {
    if count == 0 {
        return 0;
    }
    let scaled = u128::from(count) * u128::from(HEIGHT) / u128::from(top.max(1));
    u64::try_from(scaled).map_or(HEIGHT, |height| height.clamp(LOWEST_PART, HEIGHT))
}

/// The next of 2, 4, 6, 8, 10, 20, 40 …: its half is a whole number too.
fn round_up(count: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [2, 4, 6, 8, 10] {
            match power.checked_mul(step) {
                Some(round) if round < count => {}
                Some(round) => return round,
                None => return count,
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Five labels at most, from the first to the last.
fn labels(series: &[Point]) -> Vec<String> {
    let last = series.len().saturating_sub(1);
    let shown = series.len().min(5);
    let steps = shown.saturating_sub(1).max(1);
    (0..shown)
        .filter_map(|step| series.get(last * step / steps))
        .map(|point| point.label.clone())
        .collect()
}

fn title(point: &Point) -> String {
    let counted = |count: u64, one: &str, many: &str| {
        let noun = if count == 1 { one } else { many };
        format!("{} {noun}", grouped(count))
    };
    format!(
        "{}: {}, {}, {}",
        point.label,
        counted(point.human, "person", "people"),
        counted(point.preview, "preview", "previews"),
        counted(point.bot, "bot", "bots")
    )
}

fn summary(series: &[Point], busiest: Option<&Point>) -> String {
    let total = series
        .iter()
        .fold(0_u64, |sum, point| sum.saturating_add(point.total()));
    match (total, busiest) {
        (1, Some(point)) => format!("One click, on {}.", point.label),
        (2.., Some(point)) => format!(
            "{} clicks with bots and previews. Busiest: {}, with {}.",
            grouped(total),
            point.label,
            grouped(point.total())
        ),
        (_, _) => "No clicks in this time.".to_owned(),
    }
}

/// `1234567` as people read it: `1,234,567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(counts: &[u64]) -> Vec<Point> {
        let point = |(index, &human)| Point {
            label: format!("day {index}"),
            start: String::new(),
            human,
            bot: 0,
            preview: 0,
        };
        counts.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_link_without_clicks_has_an_empty_chart() {
        for series in [points(&[]), points(&[0; 30])] {
            let chart = Chart::of(&series);
            assert!(chart.is_empty);
            assert!(chart.bars.iter().all(|bar| bar.parts.is_empty()));
            assert_eq!((chart.top, chart.middle), (2, 1));
        }
    }

    #[test]
    fn one_huge_day_leaves_the_others_visible() {
        let chart = Chart::of(&points(&[1, 0, 5_000_000, 2]));
        let heights: Vec<u64> = chart
            .bars
            .iter()
            .map(|bar| bar.parts.iter().map(|part| part.height).sum())
            .collect();
        assert_eq!(heights, [LOWEST_PART, 0, 833, LOWEST_PART]);
        assert_eq!(chart.top, 6_000_000);
    }

    #[test]
    fn counts_beyond_reason_stay_in_the_picture() {
        let mut series = points(&[u64::MAX]);
        series.extend(points(&[1; 11_000]));
        series.iter_mut().for_each(|point| point.bot = u64::MAX);
        let chart = Chart::of(&series);
        let parts = chart.bars.iter().flat_map(|bar| &bar.parts);
        assert!(parts.into_iter().all(|part| part.y + part.height <= HEIGHT));
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        for (count, round) in [(0, 2), (2, 2), (3, 4), (11, 20), (101, 200), (799, 800)] {
            assert_eq!(round_up(count), round, "{count}");
        }
    }

    #[test]
    fn labels_go_from_the_first_to_the_last() {
        assert_eq!(labels(&points(&[0; 2])), ["day 0", "day 1"]);
        let five = labels(&points(&[0; 30]));
        assert_eq!(five, ["day 0", "day 7", "day 14", "day 21", "day 29"]);
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(count), text);
        }
    }
}
