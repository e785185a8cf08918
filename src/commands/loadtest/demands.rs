//! Whether a run can measure what is demanded of it: asked before it begins.

use super::args::RunArgs;
use super::args::USUAL_RATE;
use super::options::Operation;
use super::options::Rate;

impl RunArgs {
    /// Whether a step at `rate` has enough requests for every percentile of --slo.
    ///
    /// # Errors
    /// What to do about it.
    pub(super) fn is_long_enough(&self, rate: Rate) -> Result<(), String> {
        let seconds = self.form_at(rate).duration.as_secs_f64();
        let missing = self
            .slo
            .iter()
            .find(|one| one.requests_needed() > (seconds * rate.0 + 0.5).floor());
        missing.map_or(Ok(()), |one| {
            let needed = one.requests_needed();
            Err(format!(
                "{seconds} s at {:.0}/s are too few requests for {one}, which takes {needed:.0}: \
                 name a --duration of {:.0}s, or none",
                rate.0,
                (needed / rate.0).ceil()
            ))
        })
    }

    /// Refuses a threshold that this run cannot measure, before it begins.
    ///
    /// # Errors
    /// Why, and what to do.
    pub(super) fn check_thresholds(&self) -> Result<(), String> {
        for one in &self.threshold {
            if let Some(operation) = one.operation()
                && !self.mix.has(&[operation])
            {
                return Err(format!(
                    "--threshold {one}: no {operation} is in --mix {}",
                    self.mix
                ));
            }
            if one.is_of_clicks() {
                let follows = self.mix.has(&[Operation::Redirect, Operation::Head]);
                if self.settle.is_zero() || !follows {
                    return Err(format!(
                        "--threshold {one}: clicks are not compared; leave --settle at its default \
                         and let --mix have redirects"
                    ));
                }
            }
            let Some(planned) = self.planned() else {
                continue;
            };
            let share = one.operation().map_or(1.0, |one| self.mix.share(one));
            let (planned, needed) = ((planned * share).ceil(), one.requests_needed());
            if planned < needed {
                return Err(format!(
                    "--threshold {one}: {planned:.0} requests are planned for it, and it takes \
                     {needed:.0}: run for longer"
                ));
            }
        }
        Ok(())
    }

    /// How many requests the plan has; nothing where that is not known beforehand.
    fn planned(&self) -> Option<f64> {
        if self.find_max || self.ramp.is_some() || self.concurrency.is_some() {
            return None;
        }
        let form = self.form();
        let rate = self.rate.unwrap_or(USUAL_RATE).0;
        Some(rate * form.duration.as_secs_f64())
    }
}
