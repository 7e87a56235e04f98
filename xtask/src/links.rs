//! Documents must not point at what is not there.

use std::path::Path;

/// Checks the relative links of all Markdown files: the file exists; where the link's text is `` `name` `` and the file is
/// Rust, the file says `name`; where a link has a `#fragment` into a Markdown file, that file has such a heading.
pub(crate) fn run(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in super::files(root, "md")? {
        let text = std::fs::read_to_string(&file)?;
        let folder = file.parent().unwrap_or(root);
        for link in links(&text) {
            if let Some(problem) = check(&link, &file, folder) {
                problems.push(format!("{}:{}: {problem}", file.strip_prefix(root)?.display(), link.line));
            }
        }
    }
    Ok(problems)
}

struct Link<'a> {
    line: usize,
    text: &'a str,
    target: &'a str,
}

/// All `[text](target)` outside of code.
fn links(text: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        let mut from = 0;
        while let Some(middle) = line[from..].find("](").map(|at| from + at) {
            let Some(end) = line[middle..].find(')').map(|at| middle + at) else { break };
            let start = line[..middle].rfind('[').map_or(middle, |at| at + 1);
            found.push(Link { line: number + 1, text: &line[start..middle], target: &line[middle + 2..end] });
            from = end;
        }
    }
    found
}

fn check(link: &Link<'_>, file: &Path, folder: &Path) -> Option<String> {
    let target = link.target.split(' ').next().unwrap_or_default();
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { file.to_owned() } else { folder.join(path) };
    if !path.exists() {
        return Some(format!("{target} does not exist"));
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let content = || std::fs::read_to_string(&path).unwrap_or_default();
    if extension == "md" && !fragment.is_empty() && !headings(&content()).iter().any(|h| h == fragment) {
        return Some(format!("{target}: no such heading"));
    }
    let name = link.text.strip_prefix('`').and_then(|t| t.strip_suffix('`'))?;
    // `Discovery::address` or `decide()`: the last word must be in the file. A path names the file itself.
    let word = name.trim_end_matches("()").trim_start_matches("fn ").rsplit("::").next()?;
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    (extension == "rs" && is_word && path.file_stem().is_none_or(|stem| stem != word) && !content().contains(word))
        .then(|| format!("{target} does not say `{word}`"))
}

/// Headings as the fragments that lead to them.
fn headings(text: &str) -> Vec<String> {
    let slug = |heading: &str| {
        let lower = heading.trim().to_lowercase();
        let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines().filter(|l| l.starts_with('#')).map(|l| slug(l.trim_start_matches('#'))).collect()
}

#[cfg(test)]
mod tests;
