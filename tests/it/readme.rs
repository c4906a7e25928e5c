//! Runs what the READMEs show: each is one session in a copy of the samples.
//!
//! `<!-- file: NAME -->` before a fence writes the fence's text to that file. A `console` fence is
//! run: `$ gulou …` is the real program, the lines below are what it prints (stdout, or stderr when
//! it fails), `…` stands for any text, alone on a line for any lines, and `[exit N]` for the code.

use std::fs;

use crate::support::{Project, repository, require};

#[test]
fn nodejs_and_all_else_of_the_readme_works() {
    run_session("README.md");
}

#[test]
fn nodejs_and_all_else_of_the_chinese_readme_works() {
    run_session("README.zh-CN.md");
}

fn run_session(name: &str) {
    require("node");
    let text = fs::read_to_string(repository().join(name)).unwrap();
    let project = Project::samples();
    let mut commands = 0;
    for fence in fences(&text) {
        if let Some(file) = &fence.file {
            project.write(file, &fence.text);
        } else if fence.language == "console" {
            for command in commands_of(&fence.text) {
                check(&project, &command, name);
                commands += 1;
            }
        }
    }
    assert!(commands >= 5, "only {commands} commands found in {name}");
}

struct Fence {
    language: String,
    file: Option<String>,
    text: String,
}

fn fences(markdown: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut file = None;
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("<!-- file: ") {
            file = Some(name.trim_end_matches("-->").trim().to_owned());
        } else if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let text = inside.join("\n") + "\n";
            found.push(Fence { language: language.to_owned(), file: file.take(), text });
        }
    }
    found
}

#[derive(Debug, PartialEq)]
struct Shown {
    args: Vec<String>,
    output: Vec<String>,
    code: i32,
}

fn commands_of(session: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    for line in session.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let args = words(command);
            assert_eq!(args[0], "gulou", "only gulou is run: {command}");
            found.push(Shown { args: args[1..].to_vec(), output: Vec::new(), code: 0 });
        } else if let Some(last) = found.last_mut() {
            match line.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')) {
                Some(code) => last.code = code.parse().unwrap(),
                None => last.output.push(line.to_owned()),
            }
        }
    }
    found
}

/// Splits as a shell does, as far as the README needs it: blanks, and single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn check(project: &Project, shown: &Shown, readme: &str) {
    let args: Vec<&str> = shown.args.iter().map(String::as_str).collect();
    let ran = project.gulou(&args).expect_code(shown.code);
    let printed = if shown.code == 0 { &ran.stdout } else { &ran.stderr };
    let lines: Vec<&str> = printed.lines().collect();
    let pattern: Vec<&str> = shown.output.iter().map(String::as_str).collect();
    assert!(
        matches(&pattern, &lines, |pattern| *pattern == "…", |pattern, line| line_matches(pattern, line)),
        "{readme}: gulou {args:?} prints\n{printed}\nand not\n{}",
        shown.output.join("\n")
    );
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let pattern: Vec<char> = pattern.trim_end().chars().collect();
    let line: Vec<char> = line.trim_end().chars().collect();
    matches(&pattern, &line, |c| *c == '…', |a, b| a == b)
}

/// Whether `items` match `pattern`, whose wildcards stand for any number of items.
fn matches<P, T>(pattern: &[P], items: &[T], is_wild: fn(&P) -> bool, same: fn(&P, &T) -> bool) -> bool {
    // reach[i]: the pattern so far can end before item i.
    let mut reach = vec![false; items.len() + 1];
    reach[0] = true;
    for part in pattern {
        let mut next = vec![false; items.len() + 1];
        if is_wild(part) {
            let mut open = false;
            for (index, slot) in next.iter_mut().enumerate() {
                open |= reach[index];
                *slot = open;
            }
        } else {
            for (index, item) in items.iter().enumerate() {
                next[index + 1] = reach[index] && same(part, item);
            }
        }
        reach = next;
    }
    reach[items.len()]
}

#[test]
fn a_session_is_read_and_matched_right() {
    let fences = fences(
        "<!-- file: a/b.json -->\n```json\n{}\n```\n\n```console\n$ gulou next 'a b'\nx\n[exit 2]\n```\n",
    );
    assert_eq!((fences[0].file.as_deref(), fences[0].text.as_str()), (Some("a/b.json"), "{}\n"));
    assert_eq!(fences[1].file, None);
    let shown = Shown { args: vec!["next".into(), "a b".into()], output: vec!["x".into()], code: 2 };
    assert_eq!(commands_of(&fences[1].text), [shown]);

    assert!(line_matches("run … succeeded", "run 12 succeeded"));
    assert!(!line_matches("run … succeeded", "run 12 failed"));
    let lines = |pattern: &[&str], printed: &[&str]| {
        matches(pattern, printed, |p| *p == "…", |p, line| line_matches(p, line))
    };
    assert!(lines(&["a", "…", "c"], &["a", "b", "b", "c"]));
    assert!(lines(&["…"], &[]));
    assert!(!lines(&["a", "…"], &["b"]));
    assert!(!lines(&[], &["b"]));
}
