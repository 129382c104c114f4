// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows of named values, as a table or as JSON.

use call_device::quoted;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    /// An identifier: hexadecimal in a table, a number in JSON.
    Id(u16),
    Bool(bool),
    Text(String),
    List(Vec<Value>),
    None,
}

/// One row, in the order of its columns.
pub(crate) type Row = Vec<(&'static str, Value)>;

impl Value {
    pub(crate) fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    fn plain(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Id(id) => format!("{id:#06x}"),
            Self::Bool(bit) => (if *bit { "yes" } else { "no" }).into(),
            Self::Text(text) => text.clone(),
            Self::List(values) => values.iter().map(Self::plain).collect::<Vec<_>>().join(","),
            Self::None => "-".into(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Id(id) => id.to_string(),
            Self::Bool(bit) => bit.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(values) => format!("[{}]", values.iter().map(Self::json).collect::<Vec<_>>().join(",")),
            Self::None => "null".into(),
        }
    }
}

/// Writes a row as one JSON object.
pub(crate) fn object(row: &Row) -> String {
    let fields: Vec<String> = row.iter().map(|(name, value)| format!("\"{name}\":{}", value.json())).collect();
    format!("{{{}}}", fields.join(","))
}

/// Writes rows as a JSON array.
pub(crate) fn array(rows: &[Row]) -> String {
    format!("[{}]", rows.iter().map(object).collect::<Vec<_>>().join(","))
}

/// Writes a row as lines of `name: value`.
pub(crate) fn lines(row: &Row) -> String {
    row.iter().map(|(name, value)| format!("{name}: {}\n", value.plain())).collect()
}

/// Writes one row without its names.
pub(crate) fn line(row: &Row) -> String {
    row.iter().map(|(_, value)| value.plain()).collect::<Vec<_>>().join("  ") + "\n"
}

/// Writes rows as a table with a head; without rows there is a line that says so.
pub(crate) fn table(rows: &[Row]) -> String {
    let Some(first) = rows.first() else { return "none\n".into() };
    let head: Vec<String> = first.iter().map(|(name, _)| (*name).into()).collect();
    let body = rows.iter().map(|row| row.iter().map(|(_, value)| value.plain()).collect());
    let all: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..first.len()).map(width).collect();
    all.iter()
        .map(|row| {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_tables_and_json() {
        let row = |name: &str, n| -> Row {
            vec![("name", Value::text(name)), ("ids", Value::List(vec![Value::Id(n)])), ("end", Value::None)]
        };
        let rows = [row("a", 0x8001), row("long\"", 2)];
        assert_eq!(table(&rows), "name   ids     end\na      0x8001  -\nlong\"  0x0002  -\n");
        let json = r#"[{"name":"a","ids":[32769],"end":null},{"name":"long\"","ids":[2],"end":null}]"#;
        assert_eq!(array(&rows), json);
        assert_eq!(table(&[]), "none\n");
        assert_eq!(lines(&row("a", 1)), "name: a\nids: 0x0001\nend: -\n");
    }
}
