//! What a caller may send for a link: every field checked, every complaint in one answer.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "JSON will have no more kinds of values"
)]

mod reader;

use serde_json::Value;

use crate::domain::code::ShortCode;
use crate::domain::label::Verdict;
use crate::domain::link::LinkFields;
use crate::domain::query::QueryForward;
use crate::domain::target::TargetPolicy;
use crate::service::link_input::reader::Reader;
use crate::service::link_input::reader::Sent;
pub use crate::service::link_input::reader::text;

/// The longest title of a link, in characters.
pub const MAX_TITLE: usize = 512;
const MAX_NOTES: usize = 4_096;
const MAX_TAGS: usize = 20;
const MAX_TAG: usize = 64;
const MIN_CODE_LENGTH: u64 = 4;
const MAX_CODE_LENGTH: u64 = 32;

/// Fields of the contract that this release does not implement.
const NOT_YET: [&str; 3] = ["max_visits", "password", "has_password"];
/// Fields of an answer that nobody can set.
const READ_ONLY: [&str; 8] = [
    "category",
    "risk",
    "short_url",
    "clicks",
    "created_at",
    "updated_at",
    "version",
    "owner",
];

/// Fields that a link gets only later.
const ON_CHANGE: [&str; 2] = ["risk_override", "block_reason"];

/// One complaint about one field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// JSON pointer to the field.
    pub pointer: String,
    /// Stable word.
    pub code: &'static str,
    /// For people: the problem and the remedy.
    pub detail: String,
}

impl FieldError {
    /// A complaint whose detail begins with the name of the field.
    #[must_use]
    pub fn at(pointer: &str, code: &'static str, problem: &str) -> Self {
        let name = pointer.trim_start_matches('/');
        Self {
            pointer: pointer.to_owned(),
            code,
            detail: format!("{name} {problem}").trim_start().to_owned(),
        }
    }
}

/// A link to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLinkInput {
    /// The code that is wished for.
    pub code: Option<ShortCode>,
    /// Whether somebody may have asked for that code before: then the caches are told at once,
    /// instead of forgetting within seconds that nobody had made it.
    pub announce: bool,
    /// How long a random code is to be.
    pub code_length: Option<usize>,
    /// Whether an equal link of the caller will do.
    pub reuse_existing: bool,
    /// What it is.
    pub fields: LinkFields,
}

/// What decides about targets: the policy, and the host that the request was sent to.
#[derive(Clone, Copy, Debug)]
pub struct TargetRules<'request> {
    /// The policy of this deployment.
    pub policy: &'request TargetPolicy,
    /// The request's `Host`, one more host of ours.
    pub host: Option<&'request str>,
}

/// Reads the body of a creation.
///
/// # Errors
/// Every complaint.
pub fn new_link(body: &Value, rules: TargetRules<'_>) -> Result<NewLinkInput, Vec<FieldError>> {
    let mut reader = Reader::of(body, rules)?;
    let target = match reader.map.get("long_url") {
        None | Some(Value::Null) => {
            reader.taken.push("long_url");
            reader.complain("/long_url", "required", "is required: the URL to shorten");
            None
        }
        Some(_) => reader.target("long_url").flatten(),
    };
    let mut fields = LinkFields::to(target.unwrap_or_default());
    let code = reader.text("code", 64).flatten();
    let code = code.and_then(|text| match ShortCode::custom(&text) {
        Ok(code) => Some(code),
        Err(error) => {
            reader.complain("/code", "invalid_code", &error.to_string());
            None
        }
    });
    let code_length = reader.code_length();
    let reuse_existing = reader.flag("reuse_existing").flatten().unwrap_or(false);
    reader.fields(&mut fields);
    reader.finish()?;
    Ok(NewLinkInput {
        announce: code.is_some(),
        code,
        code_length,
        reuse_existing,
        fields,
    })
}

/// Applies a JSON merge patch to the fields of a link.
///
/// # Errors
/// Every complaint.
pub fn patch(
    body: &Value,
    mut fields: LinkFields,
    rules: TargetRules<'_>,
) -> Result<LinkFields, Vec<FieldError>> {
    let mut reader = Reader::of(body, rules)?;
    if let Some(target) = reader.target("long_url") {
        match target {
            Some(target) => fields.target = target,
            None if matches!(body.get("long_url"), Some(Value::Null)) => {
                reader.complain("/long_url", "required", "cannot be cleared");
            }
            None => (),
        }
    }
    if reader.map.contains_key("code") {
        reader.taken.push("code");
        reader.complain("/code", "immutable", "cannot be changed; make another link");
    }
    reader.fields(&mut fields);
    reader.verdicts(&mut fields);
    reader.finish()?;
    Ok(fields)
}

/// Whether a text holds a control byte; line breaks and tabs are control bytes too.
#[must_use]
pub fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

impl Reader<'_> {
    fn code_length(&mut self) -> Option<usize> {
        let length = match self.value("code_length")? {
            Value::Null => return None,
            value => value.as_u64(),
        };
        match length.filter(|length| (MIN_CODE_LENGTH..=MAX_CODE_LENGTH).contains(length)) {
            Some(length) => usize::try_from(length).ok(),
            None => {
                self.complain(
                    "/code_length",
                    "out_of_range",
                    "must be a whole number from 4 to 32",
                );
                None
            }
        }
    }

    fn tags(&mut self) -> Sent<Vec<String>> {
        let list = match self.value("tags")? {
            Value::Null => return Some(None),
            Value::Array(list) => list,
            _ => {
                self.complain("/tags", "wrong_type", "must be a list of texts");
                return None;
            }
        };
        if list.len() > MAX_TAGS {
            self.complain("/tags", "too_many", "holds more than 20 tags");
            return None;
        }
        let mut tags = Vec::with_capacity(list.len());
        for (index, tag) in list.iter().enumerate() {
            let pointer = format!("/tags/{index}");
            match tag {
                Value::String(tag) if has_control(tag) => {
                    self.complain(
                        &pointer,
                        "control_characters",
                        "contains control characters",
                    );
                }
                Value::String(tag) if tag.trim().is_empty() || tag.chars().count() > MAX_TAG => {
                    self.complain(&pointer, "invalid_tag", "must have 1 to 64 characters");
                }
                Value::String(tag) => tags.push(tag.trim().to_owned()),
                _ => self.complain(&pointer, "wrong_type", "must be a text"),
            }
        }
        tags.sort_unstable();
        tags.dedup();
        Some(Some(tags))
    }

    /// The fields that creation and change share; null is the default.
    fn fields(&mut self, fields: &mut LinkFields) {
        if let Some(title) = self.text("title", MAX_TITLE) {
            fields.title = title.filter(|title| !title.is_empty());
        }
        if let Some(notes) = self.text("notes", MAX_NOTES) {
            fields.notes = notes.filter(|notes| !notes.is_empty());
        }
        if let Some(tags) = self.tags() {
            fields.tags = tags.unwrap_or_default();
        }
        if let Some(disabled) = self.choice("status", &[("active", false), ("disabled", true)]) {
            fields.disabled = disabled.unwrap_or(false);
        }
        if let Some(status) = self.redirect_status() {
            fields.status = status.unwrap_or_default();
        }
        if let Some(time) = self.time("valid_from") {
            fields.valid_from = time;
        }
        if let Some(time) = self.time("expires_at") {
            fields.expires_at = time;
        }
        if let Some(url) = self.target("expired_url") {
            fields.expired_url = url;
        }
        let modes = [
            ("keep", QueryForward::Keep),
            ("override", QueryForward::Override),
            ("off", QueryForward::Off),
        ];
        if let Some(mode) = self.choice("query_forward", &modes) {
            fields.query_forward = mode.unwrap_or_default();
        }
        if let Some(hide) = self.flag("hide_referrer") {
            fields.hide_referrer = hide.unwrap_or(false);
        }
        if let Some(indexable) = self.flag("indexable") {
            fields.indexable = indexable.unwrap_or(false);
        }
        if let (Some(from), Some(end)) = (fields.valid_from, fields.expires_at)
            && end <= from
        {
            self.complain("/expires_at", "out_of_range", "must lie after valid_from");
        }
    }

    /// What an operator says over the classifier; null gives the word back to it.
    fn verdicts(&mut self, fields: &mut LinkFields) {
        let verdicts = [Verdict::Clean, Verdict::Suspicious, Verdict::Malicious];
        let verdicts = verdicts.map(|verdict| (verdict.word(), verdict));
        if let Some(verdict) = self.choice("risk_override", &verdicts) {
            fields.risk_override = verdict;
        }
        // "malicious" follows from a verdict: it is set by risk_override.
        if let Some(legal) = self.choice("block_reason", &[("legal", true)]) {
            fields.legal = legal.unwrap_or(false);
        }
    }

    /// Complains about what nobody asked for.
    fn finish(mut self) -> Result<(), Vec<FieldError>> {
        for name in self.map.keys() {
            if self.taken.contains(&name.as_str()) {
                continue;
            }
            let (code, problem) = if NOT_YET.contains(&name.as_str()) {
                ("not_implemented", "is not implemented yet; leave it out")
            } else if READ_ONLY.contains(&name.as_str()) {
                ("read_only", "cannot be set; leave it out")
            } else if ON_CHANGE.contains(&name.as_str()) {
                (
                    "read_only",
                    "is set by a PATCH of the link, not at its creation",
                )
            } else {
                ("unknown_field", "is no field of a link; is it misspelt?")
            };
            // A pointer's own escapes (RFC 6901), and nothing that could break a log line.
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let pointer = format!("/{}", shown.replace('~', "~0").replace('/', "~1"));
            self.complaints.push(FieldError {
                pointer,
                code,
                detail: format!("{shown} {problem}"),
            });
        }
        if self.complaints.is_empty() {
            Ok(())
        } else {
            Err(self.complaints)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> TargetPolicy {
        TargetPolicy::new([], false)
    }

    #[track_caller]
    fn refused(body: &Value, pointers: &[&str]) {
        let policy = policy();
        let errors = new_link(
            body,
            TargetRules {
                policy: &policy,
                host: None,
            },
        )
        .unwrap_err();
        let got: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(got, pointers, "{errors:?}");
    }

    #[test]
    fn every_bad_field_is_named_in_one_answer() {
        let url = "https://example.com/";
        refused(&json!([]), &[""]);
        refused(&json!({}), &["/long_url"]);
        refused(&json!({"long_url": 5}), &["/long_url"]);
        refused(
            &json!({"long_url": "javascript:x", "title": "a\u{0}", "tags": ["", 3]}),
            &["/long_url", "/title", "/tags/0", "/tags/1"],
        );
        refused(&json!({"long_url": url, "code": "a b"}), &["/code"]);
        refused(&json!({"long_url": url, "code": "Admin"}), &["/code"]);
        refused(
            &json!({"long_url": url, "code_length": 3}),
            &["/code_length"],
        );
        refused(&json!({"long_url": url, "status": "expired"}), &["/status"]);
        refused(
            &json!({"long_url": url, "redirect_status": 303}),
            &["/redirect_status"],
        );
        refused(
            &json!({"long_url": url, "redirect_status": "302"}),
            &["/redirect_status"],
        );
        refused(
            &json!({"long_url": url, "expires_at": "soon"}),
            &["/expires_at"],
        );
        refused(
            &json!({"long_url": url, "valid_from": "2030-01-01T00:00:00Z", "expires_at": "2029-01-01T00:00:00Z"}),
            &["/expires_at"],
        );
        refused(
            &json!({"long_url": url, "expired_url": "ftp://x/"}),
            &["/expired_url"],
        );
        refused(
            &json!({"long_url": url, "query_forward": true}),
            &["/query_forward"],
        );
        refused(
            &json!({"long_url": url, "max_visits": 3, "password": "x", "titel": "x"}),
            &["/max_visits", "/password", "/titel"],
        );
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_clears() {
        let policy = policy();
        let rules = TargetRules {
            policy: &policy,
            host: None,
        };
        let mut old = LinkFields::to("https://example.com/".to_owned());
        old.title = Some("old".to_owned());
        old.tags = vec!["a".to_owned()];
        let new = patch(
            &json!({"title": null, "status": "disabled"}),
            old.clone(),
            rules,
        )
        .unwrap();
        assert_eq!(
            (new.title, new.tags, new.disabled),
            (None, vec!["a".to_owned()], true)
        );
        for bad in [
            json!({"long_url": null}),
            json!({"code": "x"}),
            json!({"version": 3}),
        ] {
            assert!(patch(&bad, old.clone(), rules).is_err(), "{bad}");
        }
    }
}
