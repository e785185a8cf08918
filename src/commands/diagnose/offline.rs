//! The effective configuration: each value, and who set it. Nobody is asked.

use serde_json::Value;
use serde_json::json;

use crate::commands::report;
use crate::config::Loaded;

/// Prints what holds, without secrets.
pub(super) fn offline(loaded: &Loaded, as_json: bool) {
    let settings = loaded.effective();
    if as_json {
        let rows: Vec<Value> = settings
            .iter()
            .map(|setting| {
                json!({"key": setting.key, "value": setting.value,
                    "source": setting.source.to_string()})
            })
            .collect();
        report::json(&json!({"schema_version": 1, "settings": rows}));
        return;
    }
    let widest = |text: fn(&crate::config::Setting) -> &str| {
        let widths = settings.iter().map(|setting| text(setting).chars().count());
        widths.max().unwrap_or(0).min(60)
    };
    let (keys, values) = (
        widest(|setting| setting.key.as_str()),
        widest(|setting| setting.value.as_str()),
    );
    report::line(&format!("{:<keys$}  {:<values$}  SOURCE", "KEY", "VALUE"));
    for setting in &settings {
        report::line(&format!(
            "{:<keys$}  {:<values$}  {}",
            setting.key,
            if setting.value.is_empty() {
                "-"
            } else {
                &setting.value
            },
            setting.source
        ));
    }
}
