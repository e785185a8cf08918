//! Every expression of every dashboard and rule, where it stands, and which of them cannot have an
//! answer here.

use serde_json::Value;

use crate::files;

/// Metrics of programs that do not run natively, with the reason.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "redpanda_",
        "Kafka stands in for Redpanda, which is not packaged",
    ),
    ("cloudflared_", "a tunnel needs Cloudflare"),
];

/// Metrics of subcommands that this build may lack.
const LATER: &[(&str, &str)] = &[
    ("urlshort_classify_", "classify"),
    ("urlshort_blocklist_", "classify"),
    ("urlshort_links_blocked_", "classify"),
    ("urlshort_link_events_", "classify"),
    ("urlshort_loadtest_", "loadtest"),
];

/// When an expression must have an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// While everything is well and there is traffic.
    Always,
    /// Once something broke.
    AfterFaults,
    /// Not here; it must be accepted all the same.
    NotHere,
}

/// One expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) place: String,
    pub(crate) text: String,
    pub(crate) when: When,
}

/// All of them, ready to be asked.
pub(crate) fn all() -> Vec<Expression> {
    let mut found = Vec::new();
    for file in files::list("dashboards", ".json") {
        dashboard(&file, &mut found);
    }
    for file in files::list("deploy/prometheus/rules", ".yml") {
        rules(&file, &mut found);
    }
    found
}

fn dashboard(file: &str, found: &mut Vec<Expression>) {
    let board = files::yaml(file);
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = substituted(target["expr"].as_str().unwrap());
            found.push(Expression {
                place: format!("{file}: {title}"),
                when: when(&text, When::Always),
                text,
            });
        }
    }
    for annotation in board["annotations"]["list"].as_array().unwrap() {
        found.push(Expression {
            place: format!("{file}: annotation {}", annotation["name"]),
            text: substituted(annotation["expr"].as_str().unwrap()),
            // They mark restarts and alerts.
            when: When::AfterFaults,
        });
    }
}

fn rules(file: &str, found: &mut Vec<Expression>) {
    for rule in rules_of(file) {
        let text = rule["expr"].as_str().unwrap();
        let (name, text) = match rule["record"].as_str() {
            Some(name) => (name, text.to_owned()),
            // An alert is silent while all is well: ask for both sides of its comparisons.
            None => (rule["alert"].as_str().unwrap(), with_bool(text)),
        };
        found.push(Expression {
            place: format!("{file}: {name}"),
            when: when(&text, When::Always),
            text,
        });
    }
}

/// The rules of a file, over all its groups.
pub(crate) fn rules_of(file: &str) -> Vec<Value> {
    let text = files::yaml(file);
    let groups = text["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// Whether a name belongs to a subcommand that this build has not got.
pub(crate) fn is_later(name: &str) -> bool {
    LATER
        .iter()
        .any(|(prefix, command)| name.contains(prefix) && !files::has_command(command))
}

fn when(text: &str, usual: When) -> When {
    let elsewhere = ELSEWHERE.iter().any(|(prefix, _)| text.contains(prefix));
    if elsewhere || is_later(text) {
        When::NotHere
    } else {
        usual
    }
}

/// What Grafana fills in, with everything selected; the interval suits a scrape each second.
fn substituted(text: &str) -> String {
    text.replace("$__rate_interval", "15s")
        .replace("$job", ".*")
        .replace("$instance", ".*")
        .replace("$shard", ".*")
}

/// `a > b` keeps the series for which it holds, `a > bool b` all for which there are both.
pub(crate) fn with_bool(text: &str) -> String {
    let mut out = String::new();
    let (mut in_braces, mut quote) = (false, None);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let mut taken = letter.len_utf8();
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => (),
            (None, '"' | '\'') => quote = Some(letter),
            (None, '{' | '}') => in_braces = letter == '{',
            (None, '<' | '>' | '=' | '!') if !in_braces => {
                taken = if rest[1..].starts_with('=') { 2 } else { 1 };
                out += &rest[..taken];
                out += " bool";
                rest = &rest[taken..];
                continue;
            }
            _ => (),
        }
        out += &rest[..taken];
        rest = &rest[taken..];
    }
    out
}

#[test]
fn comparisons_become_questions_for_both_sides() {
    for (text, expected) in [
        ("up == 0", "up == bool 0"),
        (
            "a{b!=\"c\",d=~\"e>f\"} >= 1 and g < 2",
            "a{b!=\"c\",d=~\"e>f\"} >= bool 1 and g < bool 2",
        ),
        ("sum(rate(a[5m])) > 0.9", "sum(rate(a[5m])) > bool 0.9"),
    ] {
        assert_eq!(with_bool(text), expected);
    }
}

/// Prometheus 3 keeps `le="60"` as `le="60.0"`: such a label must be matched both ways.
#[test]
fn a_bucket_that_ends_at_a_whole_number_is_found_by_every_prometheus() {
    for expression in all() {
        for rest in expression.text.split("le=\"").skip(1) {
            let edge = rest.split('"').next().unwrap();
            assert!(edge.contains('.'), "{}: le={edge}", expression.place);
        }
    }
}
