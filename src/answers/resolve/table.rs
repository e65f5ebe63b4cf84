//! Tables: rows of cells, each checked by the question that is its column.

use serde_json::{Map, Value};

use super::{UNANSWERED, asked};
use crate::answers::resolve::refusal::{Refusal, kind_of};
use crate::answers::resolve::value::{check, is_empty, nothing};
use crate::guide::Question;
use crate::suggest::did_you_mean;
use crate::yaml::quoted;

/// Every row with all its columns; or what is wrong with each cell.
pub(super) fn check_rows(question: &Question, value: &Value) -> Result<Value, Vec<Refusal>> {
    let whole = |message: String, hint: String| Err(vec![Refusal::new(message, hint)]);
    let Value::Array(rows) = value else {
        return whole(format!("{} is given where rows are expected", kind_of(value)), form(question));
    };
    if rows.is_empty() {
        return whole("must not be empty".to_owned(), form(question));
    }
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let few = question.min.is_some_and(|min| count < min);
    if few || question.max.is_some_and(|max| count > max) {
        let message = format!("has too {} rows: {count}", if few { "few" } else { "many" });
        return whole(message, format!("allowed: {}", super::allowed(question)));
    }
    let mut kept = Vec::new();
    let mut refused = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let within = format!("[{index}]");
        match row {
            Value::Object(cells) => kept.push(Value::Object(check_row(question, cells, &within, &mut refused))),
            other => refused.push(Refusal {
                within,
                ..Refusal::new(format!("{} is given where a row is expected", kind_of(other)), form(question))
            }),
        }
    }
    if refused.is_empty() { Ok(Value::Array(kept)) } else { Err(refused) }
}

fn check_row(
    question: &Question,
    cells: &Map<String, Value>,
    within: &str,
    refused: &mut Vec<Refusal>,
) -> Map<String, Value> {
    let known = || question.columns.iter().map(|column| column.id.as_str());
    for key in cells.keys().filter(|key| !known().any(|column| column == *key)) {
        let hint = format!("known: {}{}", known().collect::<Vec<_>>().join(", "), did_you_mean(key, known()));
        let refusal = Refusal::new(format!("{} is not a column of this table", quoted(key)), hint);
        refused.push(Refusal { within: within.to_owned(), ..refusal });
    }
    let mut kept = Map::new();
    for column in &question.columns {
        match check_cell(column, cells.get(&column.id)) {
            Ok(value) => {
                kept.insert(column.id.clone(), value);
            }
            Err(all) => refused.extend(
                all.into_iter()
                    .map(|refusal| Refusal { within: format!("{within}.{}{}", column.id, refusal.within), ..refusal }),
            ),
        }
    }
    kept
}

/// A cell as it is kept. One that is left out has its default.
fn check_cell(column: &Question, given: Option<&Value>) -> Result<Value, Vec<Refusal>> {
    match given.filter(|value| !value.is_null()).or(column.default.as_ref()) {
        Some(value) if column.optional && is_empty(value) => Ok(nothing(column)),
        Some(value) => check(column, value),
        None if column.optional => Ok(nothing(column)),
        None => Err(vec![Refusal::new(UNANSWERED, asked(column))]),
    }
}

/// How rows are written.
fn form(question: &Question) -> String {
    let cells: Vec<_> = question.columns.iter().filter(|column| !column.optional && column.default.is_none()).collect();
    let cells: Vec<_> = cells.iter().map(|column| format!("{}: …", column.id)).collect();
    format!("write a list of rows: [{{{}}}]", cells.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn told(more: &str, value: &Value) -> Result<Value, Vec<String>> {
        let text = format!(
            "{{id: clouds, ask: 'Which?', type: table{more}, columns: [{{id: host, ask: 'Which host?', type: hostname}}, \
             {{id: port, ask: 'Which port?', type: port, default: 5000}}, \
             {{id: regions, ask: 'Which regions?', type: list, optional: true}}, \
             {{id: note, ask: 'A note?', type: text, optional: true}}]}}"
        );
        let question: Question = crate::yaml::from_slice("question.yaml", text.as_bytes()).unwrap();
        let told = |one: &Refusal| format!("{}: {} ({})", one.within, one.message, one.hint);
        check(&question, value).map_err(|all| all.iter().map(told).collect())
    }

    #[test]
    fn every_row_has_every_column() {
        let rows = json!([{"host": "a.example.org"}, {"host": "b.example.org", "port": 5001, "regions": ["x", 2], "note": ""}]);
        let kept = json!([
            {"host": "a.example.org", "port": 5000, "regions": [], "note": ""},
            {"host": "b.example.org", "port": 5001, "regions": ["x", "2"], "note": ""},
        ]);
        assert_eq!(told("", &rows), Ok(kept));
        assert_eq!(told(", optional: true", &json!([])), Ok(json!([])));
    }

    #[test]
    fn every_cell_that_is_wrong_is_named() {
        let rows = json!([{"host": "A", "prot": 1}, {"port": 0, "regions": ["x", 1.5]}, "c.example.org"]);
        let refused = told("", &rows).unwrap_err();
        let starts = [
            "[0]: 'prot' is not a column of this table (known: host, port, regions, note; did you mean port?)",
            "[0].host: ",
            "[1].host: must be answered (Which host? Allowed: a host name",
            "[1].port: 0 is out of range",
            "[1].regions[1]: a number is given",
            "[2]: text is given where a row is expected (write a list of rows: [{host: …}])",
        ];
        assert_eq!(refused.len(), starts.len(), "{refused:?}");
        for (one, start) in refused.iter().zip(starts) {
            assert!(one.starts_with(start), "{one}");
        }
    }

    #[test]
    fn rows_are_counted_and_a_table_is_a_list() {
        let row = json!({"host": "a.example.org"});
        assert!(told(", max: 1", &json!([row, row])).unwrap_err()[0].contains("too many rows: 2 (allowed: a table"));
        assert!(told(", min: 2", &json!([row])).unwrap_err()[0].contains("too few rows: 1"));
        assert!(told("", &json!([])).unwrap_err()[0].contains("must not be empty"));
        assert!(told("", &row).unwrap_err()[0].contains("a section is given where rows are expected"));
    }
}
