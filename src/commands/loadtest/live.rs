//! The figures of a running test for Prometheus, so that a dashboard can show them beside the
//! service's own.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::args::RunArgs;
use super::measure::Window;
use super::options::Operation;
use super::run::Second;
use crate::commands::Failure;
use crate::commands::serve::bind;
use crate::http;

/// The bounds of the buckets, in microseconds, with the seconds that Prometheus reads.
const BOUNDS: [(u64, &str); 14] = [
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

/// What has been measured since the program began; shown only where a listener was asked for.
#[derive(Clone)]
pub(super) struct Live(Option<Arc<Mutex<Sum>>>);

struct Sum {
    window: Window,
    wanted: f64,
}

impl Live {
    /// Shows the figures on `--metrics-listen`.
    ///
    /// # Errors
    /// Where the port cannot be had.
    pub(super) fn start(args: &RunArgs) -> Result<Self, Failure> {
        let Some(address) = args.metrics_listen else {
            return Ok(Self(None));
        };
        let listener = bind(address, "--metrics-listen")?;
        let sum = Arc::new(Mutex::new(Sum {
            window: Window::new(),
            wanted: 0.0,
        }));
        let shown = Arc::clone(&sum);
        let text = move || {
            shown
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .render()
        };
        let listening = http::figures(listener, text)
            .map_err(|error| Failure::Failed(format!("--metrics-listen: {error}")))?;
        // It ends with the process.
        tokio::spawn(listening.server);
        Ok(Self(Some(sum)))
    }

    /// Adds a second.
    pub(super) fn note(&self, second: &Second) {
        if let Some(sum) = &self.0 {
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.window.add(&second.window);
            sum.wanted = second.wanted.unwrap_or(0.0);
        }
    }
}

impl Sum {
    fn render(&self) -> String {
        let mut text = String::new();
        let counts = &self.window.counts;
        let name = "urlshort_loadtest_requests_total";
        head(&mut text, name, "counter", "Requests of the load test.");
        let of = Operation::ALL.into_iter().zip(&self.window.by_operation);
        for ((operation, latency), failed) in of.zip(&self.window.failed_by_operation) {
            let right = latency.len() - failed;
            for (outcome, n) in [("ok", right), ("error", *failed)] {
                line(
                    &mut text,
                    &format!("{name}{{operation=\"{operation}\",outcome=\"{outcome}\"}}"),
                    &n.to_string(),
                );
            }
        }
        let figures = [
            (
                "late_starts_total",
                "counter",
                "Starts over 1 ms late.",
                counts.late_busy + counts.late_generator,
            ),
            (
                "dropped_starts_total",
                "counter",
                "Starts given up.",
                counts.dropped,
            ),
        ];
        for (name, kind, help, n) in figures {
            let name = format!("urlshort_loadtest_{name}");
            head(&mut text, &name, kind, help);
            line(&mut text, &name, &n.to_string());
        }
        let name = "urlshort_loadtest_target_rate";
        head(
            &mut text,
            name,
            "gauge",
            "Requests a second that are wanted.",
        );
        line(&mut text, name, &self.wanted.to_string());
        let histograms = [
            (
                "latency",
                "From the intended start to the answer.",
                &self.window.latency,
            ),
            (
                "service",
                "From sending to the answer.",
                &self.window.service,
            ),
        ];
        for (name, help, histogram) in histograms {
            let name = format!("urlshort_loadtest_{name}_seconds");
            head(&mut text, &name, "histogram", help);
            for (bound, shown) in BOUNDS {
                let n = histogram.count_between(0, bound).to_string();
                line(&mut text, &format!("{name}_bucket{{le=\"{shown}\"}}"), &n);
            }
            let n = histogram.len();
            line(
                &mut text,
                &format!("{name}_bucket{{le=\"+Inf\"}}"),
                &n.to_string(),
            );
            line(&mut text, &format!("{name}_count"), &n.to_string());
            #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
            let sum = histogram.mean() * n as f64 / 1e6;
            line(&mut text, &format!("{name}_sum"), &sum.to_string());
        }
        text
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").unwrap_or_default();
}

fn line(text: &mut String, series: &str, value: &str) {
    writeln!(text, "{series} {value}").unwrap_or_default();
}
