//! Fields of a JSON object by type: each complaint names its field, none ends the reading.

use serde_json::Map;
use serde_json::Value;

use crate::domain::route::RedirectStatus;
use crate::domain::time::Timestamp;
use crate::service::link_input::FieldError;
use crate::service::link_input::TargetRules;
use crate::service::link_input::has_control;

/// Reads an object field by field and collects what is wrong.
pub(super) struct Reader<'body> {
    pub(super) map: &'body Map<String, Value>,
    pub(super) taken: Vec<&'static str>,
    pub(super) complaints: Vec<FieldError>,
    rules: TargetRules<'body>,
}

/// `None`: not sent. `Some(None)`: null. What is wrong is complained about and counts as not sent.
pub(super) type Sent<T> = Option<Option<T>>;

/// The text at `pointer`, of at most `max` characters; `None`: null.
///
/// # Errors
/// What is wrong with it.
pub fn text(pointer: &str, value: &Value, max: usize) -> Result<Option<String>, FieldError> {
    let wrong = |code, problem: &str| Err(FieldError::at(pointer, code, problem));
    match value {
        Value::Null => Ok(None),
        Value::String(text) if has_control(text) => {
            wrong("control_characters", "contains control characters")
        }
        Value::String(text) if text.chars().count() > max => {
            wrong("too_long", &format!("is longer than {max} characters"))
        }
        Value::String(text) => Ok(Some(text.clone())),
        _ => wrong("wrong_type", "must be a text"),
    }
}

impl<'body> Reader<'body> {
    pub(super) fn of(
        body: &'body Value,
        rules: TargetRules<'body>,
    ) -> Result<Self, Vec<FieldError>> {
        let Value::Object(map) = body else {
            return Err(vec![FieldError {
                pointer: String::new(),
                code: "wrong_type",
                detail: "the body must be a JSON object".to_owned(),
            }]);
        };
        Ok(Self {
            map,
            taken: Vec::new(),
            complaints: Vec::new(),
            rules,
        })
    }

    pub(super) fn complain(&mut self, pointer: &str, code: &'static str, detail: &str) {
        self.complaints.push(FieldError::at(pointer, code, detail));
    }

    pub(super) fn value(&mut self, name: &'static str) -> Option<&'body Value> {
        self.taken.push(name);
        self.map.get(name)
    }

    pub(super) fn text(&mut self, name: &'static str, max: usize) -> Sent<String> {
        match text(&format!("/{name}"), self.value(name)?, max) {
            Ok(text) => Some(text),
            Err(wrong) => {
                self.complaints.push(wrong);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Sent<bool> {
        match self.value(name)? {
            Value::Null => Some(None),
            Value::Bool(flag) => Some(Some(*flag)),
            _ => {
                self.complain(&format!("/{name}"), "wrong_type", "must be true or false");
                None
            }
        }
    }

    pub(super) fn time(&mut self, name: &'static str) -> Sent<Timestamp> {
        let pointer = format!("/{name}");
        match self.value(name)? {
            Value::Null => Some(None),
            Value::String(text) => match Timestamp::parse(text) {
                Ok(time) => Some(Some(time)),
                Err(error) => {
                    self.complain(&pointer, "invalid_time", &error.to_string());
                    None
                }
            },
            _ => {
                self.complain(&pointer, "wrong_type", "must be an RFC 3339 time in a text");
                None
            }
        }
    }

    pub(super) fn target(&mut self, name: &'static str) -> Sent<String> {
        let pointer = format!("/{name}");
        match self.value(name)? {
            Value::Null => Some(None),
            Value::String(text) => match self.rules.policy.check(text, self.rules.host) {
                Ok(target) => Some(Some(target.as_str().to_owned())),
                Err(error) => {
                    self.complain(&pointer, error.code(), &error.to_string());
                    Some(None)
                }
            },
            _ => {
                self.complain(&pointer, "wrong_type", "must be a URL in a text");
                Some(None)
            }
        }
    }

    pub(super) fn redirect_status(&mut self) -> Sent<RedirectStatus> {
        let number = match self.value("redirect_status")? {
            Value::Null => return Some(None),
            value => value.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        match number.map(RedirectStatus::try_from) {
            Some(Ok(status)) => Some(Some(status)),
            _ => {
                let problem = "must be 301, 302, 307 or 308";
                self.complain("/redirect_status", "invalid_choice", problem);
                None
            }
        }
    }

    pub(super) fn choice<T>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Sent<T>
    where
        T: Copy,
    {
        let word = match self.value(name)? {
            Value::Null => return Some(None),
            Value::String(word) => word.as_str(),
            _ => "",
        };
        if let Some((_, choice)) = choices.iter().find(|(known, _)| *known == word) {
            return Some(Some(*choice));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let problem = format!("must be one of {}", words.join(", "));
        self.complain(&format!("/{name}"), "invalid_choice", &problem);
        None
    }
}
