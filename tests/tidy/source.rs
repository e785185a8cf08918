//! This file reads the sources for the rules: what is code in them, and what of it ships.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// One source file, read for the rules.
pub(crate) struct Source {
    /// Relative to the checkout, with `/` between its parts.
    pub(crate) path: String,
    /// As it is on disk.
    pub(crate) text: String,
    /// `text` with comments and literals blanked out, line for line.
    pub(crate) code: String,
    /// The lines before the tests at its end; none where the whole file is test code.
    pub(crate) n_lines_before_tests: usize,
}

impl Source {
    /// The numbered lines of code that end up in the program.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines().take(self.n_lines_before_tests))
    }

    /// The names from the crate's root down: `["store", "postgres"]`; empty for the roots.
    pub(crate) fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/");
        let mut names: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        names.pop_if(|last| matches!(*last, "mod" | "main" | "lib"));
        names
    }
}

/// Whether `word` occurs in `code` with nothing that continues a name on either side.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let in_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(in_name) && !after.is_some_and(in_name)
    })
}

/// The top-level modules that `source`, `depth` modules below the root, names, each with its line.
pub(crate) fn modules_used(source: &Source, depth: usize) -> Vec<(usize, String)> {
    let mut used = names_after(&source.code, "crate::");
    // As many `super` as the module is deep lead to the root too; inside the tests at the end
    // of a file they count from one module further down.
    let to_root = "super::".repeat(depth);
    for (line, name) in names_after(&source.code, &to_root) {
        if name != "super" && line <= source.n_lines_before_tests {
            used.push((line, name));
        }
    }
    used
}

/// The names that follow `prefix` directly or in the braces after it.
fn names_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let (before, rest) = code.split_at(at + prefix.len());
        if before.trim_end_matches(prefix).ends_with([':', '_']) {
            continue; // a part of a longer path
        }
        let mut line = before.lines().count();
        let mut depth = 0_usize;
        let mut name = String::new();
        let mut complete = false;
        for letter in rest.chars() {
            match letter {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 1 => complete = false,
                _ if depth <= 1 && !complete && (letter.is_alphanumeric() || letter == '_') => {
                    name.push(letter);
                    continue;
                }
                _ => {}
            }
            if !name.is_empty() {
                names.push((line, std::mem::take(&mut name)));
                complete = letter != ',';
            }
            if letter == '\n' {
                line += 1;
            }
            if depth == 0 && !letter.is_whitespace() {
                break;
            }
        }
    }
    names
}

/// Reads every Rust file below `folders`, in order of their paths.
pub(crate) fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let mut sources: Vec<Source> = files.iter().map(|file| read(root, file)).collect();
    let test_files: HashSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let module = source.module().join("/");
        let is_test = |test: &String| {
            module == *test
                || module
                    .strip_prefix(test.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        if !source.path.starts_with("src/") || test_files.iter().any(is_test) {
            source.n_lines_before_tests = 0;
        }
    }
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return; // a folder that need not exist, as benches
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(root: &Path, file: &Path) -> Source {
    let text = fs::read_to_string(file).expect("a source file is readable UTF-8");
    let code = code_of(&text);
    let relative = file.strip_prefix(root).expect("found below the root");
    let tests = test_items(&code).find(|(_, item)| item.ends_with('{'));
    let n_lines_before_tests = tests.map_or(code.lines().count(), |(mark, _)| mark - 1);
    Source {
        path: relative.to_string_lossy().replace('\\', "/"),
        n_lines_before_tests,
        text,
        code,
    }
}

/// The modules marked `#[cfg(test)]`: the line of the mark, and the text `mod name` on.
fn test_items(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = || (1..).zip(code.lines().map(str::trim));
    lines()
        .filter(|(_, line)| *line == "#[cfg(test)]")
        .filter_map(move |(mark, _)| {
            let mut after = lines().skip(mark).map(|(_, line)| line);
            let item = after.find(|line| line.contains("mod ") || line.ends_with([';', '{']))?;
            item.contains("mod ").then_some((mark, item))
        })
}

/// The module paths of the files that `source` declares for tests alone.
fn test_modules(source: &Source) -> Vec<String> {
    let mut paths = Vec::new();
    for (_, item) in test_items(&source.code) {
        if let Some((_, name)) = item.trim_end_matches(';').rsplit_once("mod ")
            && item.ends_with(';')
        {
            let mut path = source.module();
            path.push(name);
            paths.push(path.join("/"));
        }
    }
    paths
}

/// `text` with comments and the contents of literals replaced by spaces, line for line.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let in_name = code.ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            end_of_block_comment(rest)
        } else if letter == '"' {
            end_of_literal(rest, '"')
        } else if let Some(end) = end_of_raw_string(rest).filter(|_| !in_name) {
            end
        } else if letter == '\'' && is_character(rest) {
            end_of_literal(rest, '\'')
        } else {
            code.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            continue;
        };
        let (gone, left) = rest.split_at(end);
        code.extend(
            gone.chars()
                .map(|gone| if gone == '\n' { '\n' } else { ' ' }),
        );
        rest = left;
    }
    code
}

/// A quote that opens a character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    match letters.next() {
        Some('\\') => true,
        Some(_) => letters.next() == Some('\''),
        None => false,
    }
}

fn end_of_literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        if letter == quote && !escaped {
            return at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    text.len()
}

fn end_of_raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let n_hashes = after.len() - after.trim_start_matches('#').len();
    let (hashes, quoted) = after.split_at(n_hashes);
    let inside = quoted.strip_prefix('"')?;
    let close = format!("\"{hashes}");
    let length = inside
        .find(&close)
        .map_or(inside.len(), |at| at + close.len());
    Some(text.len() - inside.len() + length)
}

fn end_of_block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}
