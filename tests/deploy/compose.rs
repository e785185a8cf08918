//! `deploy/compose.yaml` as compose sees it: merged, with its variables filled in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;

use crate::files;

/// The stack that the file describes.
#[derive(Debug)]
pub(crate) struct Compose {
    pub(crate) whole: Value,
    /// Every `${NAME}` of the file with its default.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Compose {
    /// The file with its defaults, as without an `.env`.
    pub(crate) fn read() -> Self {
        let mut whole = files::yaml("deploy/compose.yaml");
        let mut variables = BTreeMap::new();
        fill(&mut whole, &mut variables);
        Self { whole, variables }
    }

    pub(crate) fn services(&self) -> &Map<String, Value> {
        self.whole["services"].as_object().unwrap()
    }

    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> &Value {
        let service = self.services().get(name);
        service.unwrap_or_else(|| panic!("compose.yaml has no service {name}"))
    }

    /// The variables that a service's process gets.
    pub(crate) fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let variables = self.service(name)["environment"].as_object();
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        variables
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// The services that run the image of this program.
    pub(crate) fn ours(&self) -> BTreeSet<&str> {
        let ours = self.services().iter().filter(|(_, service)| {
            let image = service["image"].as_str();
            image.is_some_and(|image| image.starts_with("urlshort:"))
        });
        ours.map(|(name, _)| name.as_str()).collect()
    }
}

/// Fills `${NAME:-default}` in with its default, and notes it.
fn fill(value: &mut Value, variables: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = filled(text, variables),
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, variables)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, variables)),
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

fn filled(text: &str, variables: &mut BTreeMap<String, String>) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').expect("a closed ${");
        let (name, default) = inside
            .split_once(":-")
            .unwrap_or_else(|| panic!("{text:?}: a variable without a default"));
        let before_that = variables.insert(name.to_owned(), default.to_owned());
        assert!(
            before_that.is_none_or(|other| other == default),
            "{name} has two defaults"
        );
        out.push_str(before);
        out.push_str(default);
        rest = behind;
    }
    out + rest
}
