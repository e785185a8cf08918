//! This file holds the rules of the house that no compiler knows, as tests over the sources.

#[path = "tidy/source.rs"]
mod source;

use source::Source;
use source::code_of;
use source::has_word;
use source::modules_used;
use source::sources;

/// The layer of each top-level module; imports point from higher numbers to lower ones.
const LAYERS: &[(&str, u8)] = &[
    ("cli", 7),
    ("commands", 6),
    ("app", 5),
    ("http", 4),
    ("pipeline", 4),
    ("service", 3),
    ("classify", 2),
    ("store", 2),
    ("cache", 2),
    ("events", 2),
    ("classify", 2),
    ("config", 1),
    ("telemetry", 1),
    ("slots", 1),
    ("shutdown", 1),
    ("domain", 0),
];

/// The longest a file may be, without the tests at its end.
const LONGEST: usize = 400;

/// Names that say nothing of what a module is for.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager"];

#[test]
fn imports_point_down_the_layers() {
    let mut offences = Vec::new();
    for source in sources(&["src"]) {
        let module = source.module();
        let Some(own) = module.first() else {
            continue; // the roots may name every module
        };
        let Some(own_layer) = layer(own) else {
            offences.push(format!(
                "{}:1: {own} has no layer in tests/tidy.rs",
                source.path
            ));
            continue;
        };
        for (line, used) in modules_used(&source, module.len()) {
            let down = used == *own || layer(&used).is_some_and(|layer| layer < own_layer);
            if !down {
                let path = &source.path;
                offences.push(format!("{path}:{line}: {own} must not import {used}"));
            }
        }
    }
    check("imports point down the layers", &offences);
}

#[test]
fn no_file_is_longer_than_400_lines_before_its_tests() {
    let mut offences = Vec::new();
    for source in sources(&["src", "tests"]) {
        let n_lines = match source.n_lines_before_tests {
            0 => source.text.lines().count(),
            n_lines => n_lines,
        };
        if n_lines > LONGEST {
            offences.push(format!("{}:{n_lines}: {n_lines} lines", source.path));
        }
    }
    check("a second responsibility is a second file", &offences);
}

#[test]
fn only_the_report_prints() {
    let macros = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
    let offences = uses_of(&macros, |path| path == "src/commands/report.rs");
    check("only src/commands/report.rs prints", &offences);
}

#[test]
fn only_the_command_line_reads_the_environment() {
    let reads = ["env::var", "env::vars", "env::var_os", "env::vars_os"];
    let offences = uses_of(&reads, |path| {
        path.starts_with("src/commands/") || path == "src/cli.rs" || path == "src/main.rs"
    });
    check(
        "src/commands, src/cli.rs and src/main.rs read the environment",
        &offences,
    );
}

#[test]
fn only_telemetry_counts() {
    let macros = [
        "counter!",
        "gauge!",
        "histogram!",
        "describe_counter!",
        "describe_gauge!",
        "describe_histogram!",
    ];
    let offences = uses_of(&macros, |path| {
        path.starts_with("src/telemetry/") || path == "src/telemetry.rs"
    });
    check(
        "only src/telemetry uses the macros of the metrics crate",
        &offences,
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut offences = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        if !source.text.starts_with("//! ") {
            offences.push(format!("{}:1: no //! header", source.path));
        }
    }
    check("every file starts with its //! header", &offences);
}

#[test]
fn no_module_has_an_empty_name() {
    let mut offences = Vec::new();
    for source in sources(&["src", "tests", "benches"]) {
        for name in source.path.trim_end_matches(".rs").split('/') {
            if EMPTY_NAMES.contains(&name) {
                offences.push(format!("{}:1: is named {name}", source.path));
            }
        }
        for (line, code) in (1..).zip(source.code.lines()) {
            for name in EMPTY_NAMES {
                if has_word(code, &format!("mod {name}")) {
                    offences.push(format!("{}:{line}: a module named {name}", source.path));
                }
            }
        }
    }
    check("a name says what the module is for", &offences);
}

#[test]
fn nothing_that_ships_unwraps() {
    let mut offences = Vec::new();
    for source in sources(&["src"]) {
        for (line, code) in source.shipped() {
            if code.contains(".unwrap()") {
                offences.push(format!("{}:{line}: .unwrap()", source.path));
            }
        }
    }
    check("expect(\"why this cannot happen\"), or an error", &offences);
}

#[test]
fn the_reader_of_sources_tells_code_from_text() {
    let text = "let a = 'x'; // println!\n/* crate::a /* b */ */ let b: &'a str = r#\"crate::c\"#;\nlet c = \"\\\"d\\\"\"; e();\n";
    let expected = ["let a =    ;", "let b: &'a str =", "e();"];
    let code = code_of(text);
    assert_eq!(code.lines().count(), 3);
    for (line, part) in code.lines().zip(expected) {
        assert!(line.contains(part), "{line:?} should contain {part:?}");
    }
    for gone in ["println", "crate", "d"] {
        assert!(!has_word(&code, gone), "{gone} is not code in {code:?}");
    }
    let used =
        "use crate::{\n    a::{x, y},\n    b,\n};\nuse crate::c::d;\nsuper::super::e::f();\n";
    let source = Source {
        path: "src/m/n.rs".to_owned(),
        text: used.to_owned(),
        code: used.to_owned(),
        n_lines_before_tests: 6,
    };
    let names: Vec<(usize, String)> = modules_used(&source, 2);
    let expected = [(2, "a"), (3, "b"), (5, "c"), (6, "e")].map(|(n, s)| (n, s.to_owned()));
    assert_eq!(names, expected);
}

/// Fails with one line for each offence.
#[track_caller]
fn check(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}, but:\n{}", offences.join("\n"));
}

fn layer(module: &str) -> Option<u8> {
    let found = LAYERS.iter().find(|(name, _)| *name == module);
    found.map(|(_, layer)| *layer)
}

/// Every use of one of `words` in code that ships, but for the files that may.
fn uses_of(words: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources(&["src"]) {
        if may(&source.path) {
            continue;
        }
        for (line, code) in source.shipped() {
            for word in words {
                if has_word(code, word) {
                    offences.push(format!("{}:{line}: {word}", source.path));
                }
            }
        }
    }
    offences
}
