//! Cells of tables: `stage.question[0].column`, and their rows `stage.question[0]`.

use serde_json::{Map, Value};

/// A row of cells, by the ids of their columns.
pub(super) type Row = Map<String, Value>;

/// A cell of a table, or a row of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    /// `stage.question`.
    pub table: &'a str,
    /// Its row, from 0.
    pub row: usize,
    /// The id of its column; none for the whole row.
    pub column: Option<&'a str>,
}

impl<'a> Cell<'a> {
    /// The cell or the row that a path names; none for another path.
    pub fn parse(path: &'a str) -> Option<Self> {
        let (table, rest) = path.split_once('[')?;
        let (row, rest) = rest.split_once(']')?;
        let row = row.parse().ok()?;
        let column = rest.strip_prefix('.').map(|column| column.split('[').next().unwrap_or(column));
        Some(Self { table, row, column })
    }

    /// The rows with this cell changed. Without a value the cell is left open, or the row taken away.
    pub fn put(&self, mut rows: Vec<Row>, value: Option<Value>) -> Vec<Row> {
        match (self.column, value) {
            (None, None) => {
                if self.row < rows.len() {
                    rows.remove(self.row);
                }
            }
            (column, value) => {
                if rows.len() <= self.row {
                    rows.resize_with(self.row + 1, Row::new);
                }
                match (column, value) {
                    (Some(column), Some(value)) => {
                        rows[self.row].insert(column.to_owned(), value);
                    }
                    (Some(column), None) => {
                        rows[self.row].remove(column);
                    }
                    (None, _) => {}
                }
            }
        }
        rows
    }
}

/// The answer that a problem's path names: a question or a cell, without the entry of a list.
pub(super) fn answer_of(path: &str) -> &str {
    let from = path.find("].").map_or(0, |at| at + 1);
    path[from..].find('[').map_or(path, |at| &path[..from + at])
}

/// Rows as they were given; what is none counts as an empty row.
pub(super) fn rows_in(value: &Value) -> Vec<Row> {
    let row = |value: &Value| value.as_object().cloned().unwrap_or_default();
    value.as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_names_a_question_a_row_or_a_cell() {
        assert_eq!(Cell::parse("a.b"), None);
        assert_eq!(Cell::parse("a.b[x].c"), None);
        assert_eq!(Cell::parse("a.b[2]"), Some(Cell { table: "a.b", row: 2, column: None }));
        let cell = Cell { table: "a.b", row: 0, column: Some("c") };
        assert_eq!([Cell::parse("a.b[0].c"), Cell::parse("a.b[0].c[4]")], [Some(cell), Some(cell)]);
        let answers = ["a.b", "a.b[2]", "a.b[2].c", "a.b[2].c[1]"].map(answer_of);
        assert_eq!(answers, ["a.b", "a.b", "a.b[2].c", "a.b[2].c"]);
    }

    #[test]
    fn a_cell_makes_its_row_and_a_row_goes_with_its_cells() {
        let rows = |path: &str, rows: &Value, value: Option<Value>| {
            Cell::parse(path).map(|cell| json!(cell.put(rows_in(rows), value)))
        };
        assert_eq!(rows("a.b[1].c", &json!([]), Some(json!(1))), Some(json!([{}, {"c": 1}])));
        assert_eq!(rows("a.b[0].c", &json!([{"c": 1, "d": 2}]), None), Some(json!([{"d": 2}])));
        assert_eq!(rows("a.b[0]", &json!([{"c": 1}, {"c": 2}]), None), Some(json!([{"c": 2}])));
        assert_eq!(rows("a.b[1]", &json!([{"c": 1}]), Some(json!({}))), Some(json!([{"c": 1}, {}])));
        assert_eq!(rows("a.b[7]", &json!([{"c": 1}]), None), Some(json!([{"c": 1}])));
    }
}
