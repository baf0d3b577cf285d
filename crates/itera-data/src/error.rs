//! What can be wrong with a source: what, where, and what to do about it.

use crate::text::shown;
use itera_core::ids::Split;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An error of sourcing. The message says what and where; [`DataError::remedy`] says what to do.
/// Neither quotes a cell: lines, column names and counts only.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is no such file.
    #[error("there is no file {path:?} in the project")]
    NotFound {
        /// The path as given.
        path: String,
    },
    /// The path leads out of the project.
    #[error("the path {path:?} leads out of the project")]
    Outside {
        /// The path as given.
        path: String,
    },
    /// The path is a folder or a device.
    #[error("{path:?} is not a file")]
    NotAFile {
        /// The path as given.
        path: String,
    },
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The name of the file does not tell its format.
    #[error("the name {path:?} does not tell the format")]
    UnknownFormat {
        /// The path as given.
        path: String,
    },
    /// The file has no rows.
    #[error("{path} holds no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The first line is not a header.
    #[error("line 1 is not a header: {why}")]
    NoHeader {
        /// By which sign.
        why: &'static str,
    },
    /// Two columns have one name.
    #[error("two columns are named {}", shown(.column))]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A registered column is not in the source.
    #[error("the source has no column {}{}", shown(.column), nearest_text(.nearest))]
    MissingColumn {
        /// The registered name.
        column: String,
        /// The column of the most similar name, if any is similar.
        nearest: Option<String>,
    },
    /// There are too many columns to be a table.
    #[error("the source has more than {limit} columns (at line {line})")]
    TooManyColumns {
        /// Where the limit was passed.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// A row has more or fewer fields than the header.
    #[error("line {line} has {found} fields, the header has {expected}")]
    FieldCount {
        /// Line on which the row begins, from 1.
        line: u64,
        /// Fields of the header.
        expected: usize,
        /// Fields of the row.
        found: usize,
    },
    /// A row is not UTF-8.
    #[error("line {line} is not UTF-8")]
    InvalidUtf8 {
        /// Line on which the row begins, from 1.
        line: u64,
    },
    /// A row is not JSON.
    #[error("line {line} is not valid JSON{}", column_text(.column))]
    InvalidJson {
        /// Line, from 1.
        line: u64,
        /// Byte of the line at which it stops being JSON, from 1, where known.
        column: Option<usize>,
    },
    /// A row is JSON, but no object.
    #[error("line {line} holds JSON that is not an object")]
    NotAnObject {
        /// Line on which the row begins, from 1.
        line: u64,
    },
    /// The file does not hold one JSON array.
    #[error("the file is not one JSON array of objects (line {line})")]
    NotAnArray {
        /// Line, from 1.
        line: u64,
    },
    /// A row is too large to be one.
    #[error("the row at line {line} is larger than {limit} bytes")]
    RowTooLong {
        /// Line on which the row begins, from 1.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// Rows share a key.
    #[error("column {} is not a key: {duplicates} drawn rows repeat a key, first at line {line}", shown(.column))]
    DuplicateKey {
        /// The key column.
        column: String,
        /// Rows whose key was seen before, among the rows drawn.
        duplicates: u64,
        /// Line of the first of them.
        line: u64,
    },
    /// A registered column is empty in every row.
    #[error("column {} is empty in all {rows} rows", shown(.column))]
    AllEmpty {
        /// The column.
        column: String,
        /// Rows of the source.
        rows: u64,
    },
    /// No row is left.
    #[error("no row is left of {rows}{}", dropped_text(.dropped))]
    NothingLeft {
        /// Rows of the source.
        rows: u64,
        /// Rows left out because a registered column was empty, by column.
        dropped: BTreeMap<String, u64>,
    },
    /// A stake is not a number.
    #[error("line {line}: the severity column {} does not hold a finite number", shown(.column))]
    SeverityNotNumeric {
        /// Line on which the row begins, from 1.
        line: u64,
        /// The severity column.
        column: String,
    },
    /// A column has too many values to split by.
    #[error("column {} has more than {limit} values, too many for a slice or a stratum", shown(.column))]
    TooManyValues {
        /// The column.
        column: String,
        /// The limit.
        limit: usize,
    },
    /// The registered columns have too many joint values to split by.
    #[error("the slice and stratum columns have more than {limit} combinations")]
    TooManyStrata {
        /// The limit.
        limit: usize,
    },
    /// The sample cannot be divided so that each part has rows.
    #[error("{rows} rows in {groups} groups that must stay together are too few: {split} would be empty")]
    TooFewRows {
        /// Rows drawn.
        rows: u64,
        /// Groups that must not be torn apart, single rows included.
        groups: u64,
        /// The part that would have none.
        split: Split,
    },
    /// The shares of the split are no shares.
    #[error("the shares of train, dev and test must be finite, not negative and above 0 in sum")]
    BadShares,
    /// The file changed while it was read.
    #[error("{path} changed while it was read")]
    SourceChanged {
        /// The file.
        path: PathBuf,
    },
}

fn nearest_text(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {}?", shown(name)))
}

fn column_text(column: &Option<usize>) -> String {
    column.map_or_else(String::new, |column| format!(" (at byte {column})"))
}

fn dropped_text(dropped: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> =
        dropped.iter().map(|(column, rows)| format!("{rows} with {} empty", shown(column))).collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

impl DataError {
    /// What to do about it, for the person.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "give the path of the file relative to the project's folder",
            Self::Outside { .. } => "copy the file into the project (a link that leads out of it is not followed)",
            Self::NotAFile { .. } => "name one file",
            Self::Io { .. } => "check that this account may read the file",
            Self::UnknownFormat { .. } => "set source.format to csv, tsv, ndjson or json",
            Self::Empty { .. } => "export the rows again",
            Self::NoHeader { .. } => "put a line with the names of the columns first",
            Self::DuplicateColumn { .. } => "rename one of the two columns",
            Self::MissingColumn { .. } => "name a column as describe_source lists it",
            Self::TooManyColumns { .. } => "check the delimiter, or export the columns that matter",
            Self::FieldCount { .. } => "check the quoting and the delimiter of that line",
            Self::InvalidUtf8 { .. } => "convert the file to UTF-8, for example with iconv",
            Self::InvalidJson { .. } => "check that line; NDJSON holds one object a line, JSON one array of objects",
            Self::NotAnObject { .. } => "make every row an object of named columns",
            Self::NotAnArray { .. } => "set source.format to ndjson, or wrap the objects in one array",
            Self::RowTooLong { .. } => "check the quoting before that line; a quote may not be closed",
            Self::DuplicateKey { .. } => {
                "name a column whose value is unique for each row, or none, to use the row's position"
            }
            Self::AllEmpty { .. } => "name the column that holds the values",
            Self::NothingLeft { .. } => "fill the registered columns in the source, or register others",
            Self::SeverityNotNumeric { .. } => "export plain numbers (a dot for decimals, no currency, no thousands)",
            Self::TooManyValues { .. } | Self::TooManyStrata { .. } => {
                "slice by columns of few values; add a column with coarser groups if need be"
            }
            Self::TooFewRows { .. } => "source more rows, give that part a larger share, or cluster by a finer column",
            Self::BadShares => "give shares such as 0.3, 0.5 and 0.2",
            Self::SourceChanged { .. } => "export the rows to a file that nothing writes to, and try again",
        }
    }
}
