//! One row as it is read, and the columns by which it is asked.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::rc::Rc;

/// A column, found once so that rows can be asked quickly.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its place among the cells; unused for objects.
    index: usize,
}

/// The content of one row.
#[derive(Debug)]
pub(crate) enum Record {
    /// Cells under a header.
    Cells { header: Rc<[String]>, cells: csv::StringRecord },
    /// An object.
    Object(Map<String, Value>),
}

impl Record {
    /// The column of that name, as far as this row can tell.
    pub(crate) fn column(&self, name: &str) -> Option<Column> {
        let index = match self {
            Self::Cells { header, .. } => header.iter().position(|column| column == name)?,
            Self::Object(_) => usize::MAX,
        };
        Some(Column { name: name.to_owned(), index })
    }

    /// The cell's text; empty where it is absent or null. Numbers and nested values of an object
    /// are given as JSON.
    pub(crate) fn text(&self, column: &Column) -> Cow<'_, str> {
        match self {
            Self::Cells { cells, .. } => Cow::Borrowed(cells.get(column.index).unwrap_or_default()),
            Self::Object(fields) => fields.get(&column.name).map_or(Cow::Borrowed(""), value_text),
        }
    }

    /// Every column's name and text, in the order of the header or of the names.
    pub(crate) fn cells(&self) -> Vec<(&str, Cow<'_, str>)> {
        match self {
            Self::Cells { header, cells } => {
                header.iter().zip(cells).map(|(name, cell)| (name.as_str(), Cow::Borrowed(cell))).collect()
            }
            Self::Object(fields) => {
                let mut cells: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value_text(value))).collect();
                cells.sort_unstable();
                cells
            }
        }
    }

    /// All columns as the arms get them: cells of delimited files stay text, unchanged.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        match self {
            Self::Cells { header, cells } => {
                header.iter().zip(cells).map(|(name, cell)| (name.clone(), Value::from(cell))).collect()
            }
            Self::Object(fields) => fields.clone(),
        }
    }
}

/// The text of a JSON value: a string's own text, nothing for null, else its JSON.
pub(crate) fn value_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
