//! This file reads an API description (`OpenAPI`) into what the page about the API shows.

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// How many references and parts of a schema are followed before it is cut off.
const DEEPEST: usize = 8;

/// The page about the API: its operations, in groups by their first tag.
#[derive(Debug, Serialize)]
pub(super) struct Reference {
    title: String,
    version: String,
    description: Vec<String>,
    servers: Vec<String>,
    groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: Vec<String>,
    parameters: Vec<Field>,
    bodies: Vec<Body>,
    responses: Vec<Response>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    place: String,
    kind: String,
    required: bool,
    description: String,
}

#[derive(Debug, Serialize)]
struct Body {
    media: String,
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Response {
    status: String,
    class: String,
    description: String,
    media: String,
}

/// A document, whose parts refer to each other.
struct Document<'a>(&'a Value);

impl Reference {
    /// What is missing in `document` is left out; nothing in it can fail.
    pub(super) fn of(document: &Value) -> Self {
        let info = document.get("info").unwrap_or(&Value::Null);
        let servers = items(document, "servers").map(|server| text(server, "url"));
        Self {
            title: text(info, "title"),
            version: text(info, "version"),
            description: paragraphs(&text(info, "description")),
            servers: servers.collect(),
            groups: Document(document).groups(),
        }
    }
}

impl Document<'_> {
    /// In the order of the document's tags, then as they come.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = items(self.0, "tags")
            .map(|tag| Group::named(text(tag, "name")))
            .collect();
        for (path, methods) in members(self.0, "paths") {
            for method in METHODS {
                let Some(operation) = methods.get(method) else {
                    continue;
                };
                let tag = items(operation, "tags").find_map(Value::as_str);
                let name = tag.unwrap_or("Operations");
                let operation = self.operation(path, method, methods, operation);
                match groups.iter_mut().find(|group| group.name == name) {
                    Some(group) => group.operations.push(operation),
                    None => groups.push(Group {
                        name: name.to_owned(),
                        operations: vec![operation],
                    }),
                }
            }
        }
        groups.retain(|group| !group.operations.is_empty());
        groups
    }

    fn operation(&self, path: &str, method: &str, methods: &Value, value: &Value) -> Operation {
        let shared = items(methods, "parameters");
        let parameters = shared.chain(items(value, "parameters"));
        let body = self.resolved(value.get("requestBody").unwrap_or(&Value::Null));
        Operation {
            id: anchor(method, path),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(value, "summary"),
            description: paragraphs(&text(value, "description")),
            parameters: parameters.map(|field| self.parameter(field)).collect(),
            bodies: members(body, "content")
                .map(|(media, content)| Body {
                    media: media.clone(),
                    fields: self.fields(content.get("schema").unwrap_or(&Value::Null), 0),
                })
                .collect(),
            responses: members(value, "responses")
                .map(|(status, response)| self.response(status, response))
                .collect(),
        }
    }

    fn parameter(&self, value: &Value) -> Field {
        let value = self.resolved(value);
        let schema = value.get("schema").unwrap_or(&Value::Null);
        let described = text(value, "description");
        Field {
            name: text(value, "name"),
            place: text(value, "in"),
            kind: self.kind(schema, 0),
            required: value.get("required").and_then(Value::as_bool) == Some(true),
            description: if described.is_empty() {
                text(self.resolved(schema), "description")
            } else {
                described
            },
        }
    }

    fn response(&self, status: &str, value: &Value) -> Response {
        let value = self.resolved(value);
        let media: Vec<&str> = members(value, "content")
            .map(|(media, _)| media.as_str())
            .collect();
        Response {
            status: status.to_owned(),
            class: status.chars().take(1).collect(),
            description: text(value, "description"),
            media: media.join(", "),
        }
    }

    /// The properties of a schema and of all its parts.
    fn fields(&self, schema: &Value, depth: usize) -> Vec<Field> {
        if depth > DEEPEST {
            return Vec::new();
        }
        let schema = self.resolved(schema);
        let required: Vec<&str> = items(schema, "required")
            .filter_map(Value::as_str)
            .collect();
        let own = members(schema, "properties").map(|(name, property)| Field {
            name: name.clone(),
            place: String::new(),
            kind: self.kind(property, depth + 1),
            required: required.contains(&name.as_str()),
            description: self.description(property),
        });
        let mut fields: Vec<Field> = own.collect();
        for part in parts(schema) {
            fields.extend(self.fields(part, depth + 1));
        }
        fields.sort_by_key(|field| !field.required);
        fields
    }

    fn description(&self, property: &Value) -> String {
        let own = text(property, "description");
        if own.is_empty() {
            return text(self.resolved(property), "description");
        }
        own
    }

    /// The type in words: `string (uri)`, `array of string`, `active, disabled`.
    fn kind(&self, schema: &Value, depth: usize) -> String {
        if depth > DEEPEST {
            return "…".to_owned();
        }
        let schema = self.resolved(schema);
        let choices: Vec<String> = items(schema, "enum").map(plain).collect();
        if !choices.is_empty() {
            return choices.join(", ");
        }
        let alternatives: Vec<String> = parts(schema)
            .map(|part| self.kind(part, depth + 1))
            .collect();
        let types: Vec<String> = match schema.get("type") {
            Some(Value::Array(types)) => types.iter().map(plain).collect(),
            Some(one) => vec![plain(one)],
            None if !alternatives.is_empty() => alternatives,
            None if schema.get("properties").is_some() => vec!["object".to_owned()],
            None => vec!["any".to_owned()],
        };
        let mut kind = types.join(" or ");
        if let Some(items) = schema.get("items") {
            kind = format!("{kind} of {}", self.kind(items, depth + 1));
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str) {
            kind = format!("{kind} ({format})");
        }
        if let Some(default) = schema.get("default") {
            kind = format!("{kind}, default {}", plain(default));
        }
        kind
    }

    /// The end of a chain of `$ref`, or where the chain becomes too long.
    fn resolved<'b>(&'b self, value: &'b Value) -> &'b Value {
        let mut value = value;
        for _ in 0..DEEPEST {
            let pointer = value.get("$ref").and_then(Value::as_str);
            let target = pointer
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.0.pointer(pointer));
            match target {
                Some(target) => value = target,
                None => break,
            }
        }
        value
    }
}

impl Group {
    fn named(name: String) -> Self {
        Self {
            name,
            operations: Vec::new(),
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    let found = value.get(key).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    let found = value.get(key).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let found = value.get(key).and_then(Value::as_object);
    found.into_iter().flat_map(Map::iter)
}

fn parts(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["allOf", "anyOf", "oneOf"].into_iter();
    lists.flat_map(|list| items(schema, list))
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

fn paragraphs(text: &str) -> Vec<String> {
    let parts = text.split("\n\n").map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A fragment of the page's address: `post-api-v1-links`.
fn anchor(method: &str, path: &str) -> String {
    let words = path
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_and_parts_of_a_schema_become_fields() {
        let document = json!({
            "tags": [{"name": "links"}],
            "paths": {"/links/{code}": {
                "parameters": [{"$ref": "#/components/parameters/code"}],
                "patch": {
                    "tags": ["links"],
                    "requestBody": {"content": {"application/json": {"schema": {"allOf": [
                        {"$ref": "#/components/schemas/writable"},
                        {"properties": {"version": {"type": "integer", "default": 1}}},
                    ]}}}},
                    "responses": {"200": {"description": "changed"}},
                },
            }},
            "components": {
                "parameters": {"code": {"name": "code", "in": "path", "required": true, "schema": {"type": "string"}}},
                "schemas": {"writable": {"properties": {
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "status": {"enum": ["active", "disabled"]},
                    "title": {"type": ["string", "null"]},
                }}},
            },
        });
        let reference = Reference::of(&document);
        let operation = &reference.groups[0].operations[0];
        assert_eq!(operation.id, "patch-links-code");
        assert!(operation.parameters[0].required);
        let kinds: Vec<(&str, &str)> = operation.bodies[0]
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.kind.as_str()))
            .collect();
        let expected = [
            ("status", "active, disabled"),
            ("tags", "array of string"),
            ("title", "string or null"),
            ("version", "integer, default 1"),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let document = json!({
            "paths": {"/a": {"post": {"requestBody": {"content": {"x": {"schema": {"$ref": "#/s"}}}}}}},
            "s": {"allOf": [{"$ref": "#/s"}], "properties": {"a": {"items": {"$ref": "#/s"}, "type": "array"}}},
            "t": {"$ref": "#/t"},
        });
        assert!(!Reference::of(&document).groups[0].operations.is_empty());
        assert!(Reference::of(&Value::Null).groups.is_empty());
    }
}
