//! The export of a batch: `target.batch.action.export`.

use std::path::{Component, Path, PathBuf};

use super::daemon::absolute;
use super::decode::{Fields, Keys, Node};
use super::function::Scope;
use super::template::sourced;
use super::{follow, http};
use crate::settings::{ActionSettings, ExportFormat, ExportSettings, HttpBody, ROWS_A_SHEET, TemplateSource};

const KEYS: Keys =
    Keys::only(&["file", "format", "headers", "dates", "sheet", "bom", "formulas", "keep", "then"]);

/// A file is posted, unless the request says what it carries.
const FILE: http::Usage = http::Usage { method: "POST", body: HttpBody::Empty };

/// Characters that a sheet's name cannot have, and its longest, with room for a number behind it.
const NOT_IN_SHEETS: [char; 7] = ['[', ']', ':', '*', '?', '/', '\\'];
const LONGEST_SHEET: usize = 25;

/// Keys of a batch that mean nothing to an export.
const NO_EFFECT: [&str; 7] =
    ["pages", "concurrency", "window", "rate", "on_uncertain", "patience", "pause_on_errors"];

/// Reads an export of the function folder `dir`.
pub(super) fn read(node: &Node<'_>, dir: &Path, scope: &Scope<'_>) -> Option<ActionSettings> {
    let fields = node.object(&KEYS)?;
    let file = fields.need("file", |node| file(node, dir, &scope.daemon.folder));
    let format = format(&fields, file.as_ref());
    let headers = fields.read("headers", |node| {
        let header = |(name, node): (&str, Node<'_>)| Some((name.to_owned(), node.text()?.to_owned()));
        node.entries()?.into_iter().map(header).collect::<Option<Vec<_>>>()
    });
    let dates = fields.read("dates", |node| {
        node.list()?.iter().map(|node| node.text().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    let keep = fields.read("keep", |node| node.integer(1..=10_000));
    let then = match fields.get("then") {
        Some(node) => Some(follow::read(node, dir, scope.daemon.mail_names.as_deref(), &FILE)?),
        None => None,
    };
    Some(ActionSettings::Export(Box::new(ExportSettings {
        file: file?,
        dir: absolute(dir, ""),
        format: format?,
        headers: headers.unwrap_or_default(),
        dates: dates.unwrap_or_default(),
        keep: keep.and_then(|keep| u32::try_from(keep).ok()),
        then,
    })))
}

/// Says what else in the batch does not go with an export.
pub(super) fn check(batch: &Fields<'_>) {
    if let Some(node) = batch.get("mark") {
        let help = "delete `mark`; to take each row once, have `where` compare a time with `:fire_time`";
        node.error("an export reads rows and marks none", help.to_owned());
    }
    for node in NO_EFFECT.iter().filter_map(|key| batch.get(key)) {
        node.warning("this has no effect on an export", None);
    }
}

/// The template of the path. `project`: the folder of the daemon config.
fn file(node: &Node<'_>, dir: &Path, project: &Path) -> Option<TemplateSource> {
    let source = sourced(node)?;
    let filled = filled_in(source.text.trim());
    let path = Path::new(&filled);
    let is_up = |part: &Component<'_>| *part == Component::ParentDir;
    let mut behind = path.components().skip_while(|part| is_up(part) || *part == Component::CurDir);
    if behind.any(|part| is_up(&part)) {
        let help =
            "`..` leads up from the function's folder, so it stands at the beginning: `../../var/reports/…`";
        node.error("the path has `..` behind a folder's name", help.to_owned());
        return None;
    }
    let dir = absolute(dir, "");
    let target = plain(&dir.join(path));
    // The function folders need not lie beside the daemon config.
    let beside = dir.ancestors().nth(2).unwrap_or(&dir);
    let may_be_in = [absolute(project, "."), beside.to_owned()].map(|folder| plain(&folder));
    if path.is_relative() && !may_be_in.iter().any(|folder| target.starts_with(folder)) {
        let help = format!(
            "from the function's folder `../../` leads to {}; if another place is meant, write it as an absolute path",
            may_be_in[1].display()
        );
        node.error("the path leads out of the project with its `..`", help);
        return None;
    }
    if lies_in(&dir, &filled) {
        let help = "each export counts as a change of the function; write as in `../../var/reports/…`";
        node.warning("the file goes into the function's own folder", help.to_owned());
    }
    Some(source)
}

/// Whether `path`, seen from `dir`, lies in it, by the letter.
pub(super) fn lies_in(dir: &Path, path: &str) -> bool {
    plain(&dir.join(path)).starts_with(plain(dir))
}

/// A template with a letter in the place of each `{{ … }}` and `{% … %}`.
fn filled_in(template: &str) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        filled.push_str(&rest[..at]);
        filled.push('x');
        let ends = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        // Without an end, the template has an error of its own.
        rest = rest[at..].split_once(ends).map_or("", |(_, rest)| rest);
    }
    filled + rest
}

/// Without `.` and `..`, by the letter.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn format(fields: &Fields<'_>, file: Option<&TemplateSource>) -> Option<ExportFormat> {
    let word = if let Some(node) = fields.get("format") {
        node.word(&["xlsx", "csv"])?
    } else {
        let name = file?.text.trim().to_ascii_lowercase();
        match name.rsplit_once('.') {
            Some((_, "xlsx")) => "xlsx",
            Some((_, "csv")) => "csv",
            _ => {
                let help = "end the file's name with `.xlsx` or `.csv`, or say `format`";
                fields.node().error("nothing says what kind of file this is", help.to_owned());
                return None;
            }
        }
    };
    let foreign: &[&str] = if word == "csv" { &["sheet"] } else { &["bom", "formulas"] };
    for (key, node) in foreign.iter().filter_map(|key| Some((key, fields.get(key)?))) {
        node.error(format!("`{key}` means nothing to {word}"), "delete it".to_owned());
    }
    if word == "csv" {
        let bom = fields.read("bom", Node::boolean).unwrap_or(false);
        let formulas = fields.read("formulas", |node| node.word(&["escape", "keep"]));
        return Some(ExportFormat::Csv { bom, escape: formulas != Some("keep") });
    }
    let sheet = match fields.get("sheet") {
        Some(node) => sheet(node)?,
        None => "Sheet".to_owned(),
    };
    Some(ExportFormat::Xlsx { sheet, rows: ROWS_A_SHEET })
}

fn sheet(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    let is_wrong = name.contains(|c: char| c.is_control() || NOT_IN_SHEETS.contains(&c))
        || name.starts_with('\'')
        || name.ends_with('\'')
        || name.encode_utf16().count() > LONGEST_SHEET;
    if is_wrong {
        let help = format!("at most {LONGEST_SHEET} characters, without any of `[]:*?/\\`");
        node.error(format!("`{name}` cannot be the name of a sheet"), help);
        return None;
    }
    Some(name.to_owned())
}
