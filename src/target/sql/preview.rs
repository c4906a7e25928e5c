//! What a run would do, with what its parameters stand for.

use serde_json::{Map, Value, json};

use super::{SqlTarget, counted};
use crate::db::Values;
use crate::run::{Fire, Preview, Scalar};
use crate::settings::{SqlStatement, SqlWork};

impl SqlTarget {
    /// What a run would do.
    pub fn preview(&self, fire: &Fire) -> Preview {
        let database = &self.settings.database;
        let seconds = self.settings.timeout.as_secs_f64();
        let mut data = json!({ "target": "sql", "database": database, "timeout_s": seconds });
        let (mut lines, statements, page) = match &self.settings.work {
            SqlWork::Statements { statements, transaction } => {
                let how = if *transaction { "in one transaction" } else { "each on its own" };
                let count = counted(statements.len() as u64, "statement");
                data["transaction"] = (*transaction).into();
                let line = format!("runs {count} in database {database}, {how}, within {seconds} s");
                (vec![line], statements.as_slice(), None)
            }
            SqlWork::Pages(pages) => {
                data["page"] = pages.page.into();
                let line = format!(
                    "repeats a statement in database {database} until it changes no row; {} and {seconds} s at a time",
                    counted(pages.page.into(), "row")
                );
                (vec![line], std::slice::from_ref(&pages.statement), Some(pages.page))
            }
            SqlWork::Backup(settings) => {
                let backup = self.copy(settings, fire);
                let copy = backup.folder.join(backup.name()).display().to_string();
                let keeps = settings
                    .keep
                    .map_or_else(|| "all are kept".to_owned(), |keep| format!("the newest {keep} are kept"));
                data["file"] = copy.clone().into();
                (vec![format!("copies database {database} to {copy}; of its copies, {keeps}")], &[][..], None)
            }
        };
        let values = self.values(fire, page);
        let mut bound = Map::new();
        for statement in statements {
            lines.extend(statement.text.lines().map(|line| format!("  {line}").trim_end().to_owned()));
            bound.extend(self.bound(statement, &values));
        }
        lines.extend(bound.iter().map(|(name, value)| format!("{name} is {value}")));
        if !statements.is_empty() {
            data["statements"] =
                statements.iter().map(|statement| Value::from(statement.text.as_str())).collect();
            data["parameters"] = bound.into();
        }
        Preview { lines, data, problem: None }
    }

    /// The parameters of a statement and their values. A server may be told a time in the type of its column.
    fn bound(&self, statement: &SqlStatement, values: &Values) -> Vec<(String, Value)> {
        let names = self.database.dialect().parameters(&statement.text);
        let value = |name: &str| match values.get(name)? {
            Scalar::Int(value) => Some(Value::from(value)),
            Scalar::Text(text) => Some(Value::from(text)),
            _ => None,
        };
        names.iter().filter_map(|found| Some((found.text.to_owned(), value(found.text)?))).collect()
    }
}
