//! What columns a source has, without the text of a single cell.

use crate::Result;
use crate::locate::guess_format;
use crate::rows::Rows;
use crate::summary::looks_like_an_id;
use crate::text::number;
use itera_core::frame::SourceFormat;
use itera_core::ids::Digest;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// Distinct values that are counted exactly.
const EXACT: usize = 4_096;
/// Hashes kept to estimate how many more there are; the estimate's standard error is about 3 %.
const KEPT: usize = 1_024;

/// A source as it may be described before a frame is locked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Format, as given or guessed.
    pub format: SourceFormat,
    /// Bytes of the file.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub digest: Digest,
    /// Rows.
    pub rows: u64,
    /// Columns, in the order of the header; by name for JSON.
    pub columns: Vec<ColumnDescription>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDescription {
    /// Its name.
    pub name: String,
    /// What all its cells have in common.
    pub kind: ColumnType,
    /// Share of rows in which it is absent, null or empty (0..1).
    pub null_rate: f64,
    /// How many different values it has, empty ones left out.
    pub distinct: Distinct,
    /// Mean number of characters of the cells that are not empty.
    pub mean_chars: f64,
    /// Parts it might play, by its name and its figures; a guess for the person to confirm.
    pub roles: Vec<Role>,
}

/// What the cells of a column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// No cell holds anything.
    Empty,
    /// `true` or `false`.
    Boolean,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// Dates, with or without a time.
    Date,
    /// Nested JSON.
    Json,
    /// Anything else.
    Text,
}

/// A number of different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Distinct {
    /// The number.
    pub count: u64,
    /// Whether it was counted (up to 4,096) or estimated.
    pub exact: bool,
}

/// A part a column can play in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A unique key per row.
    Key,
    /// The expected answer.
    Label,
    /// A slice of the verdict.
    Slice,
    /// The customer, vendor or document a row belongs to.
    Entity,
    /// When the row was made.
    Time,
    /// The text an arm reads.
    Text,
    /// The stake of a row.
    Severity,
}

/// Describes the file at `path`; the format is guessed from its name where absent.
///
/// # Errors
/// The file cannot be read as a table; see [`DataError`](crate::DataError).
pub fn describe(path: &Path, format: Option<SourceFormat>) -> Result<Description> {
    let format = format.map_or_else(|| guess_format(path), Ok)?;
    let mut source = Rows::open(path, format)?;
    let mut rows = 0_u64;
    let mut tallies: HashMap<String, Tally> = HashMap::new();
    while let Some((_, record)) = source.next()? {
        rows += 1;
        for (name, text) in record.cells() {
            // Looked up twice, so that a name is copied once per column and not once per cell.
            if !tallies.contains_key(name) {
                tallies.insert(name.to_owned(), Tally::default());
            }
            if let Some(tally) = tallies.get_mut(name) {
                tally.add(&text);
            }
        }
    }
    let columns = source
        .columns()
        .into_iter()
        .map(|name| tallies.remove(&name).unwrap_or_default().describe(name, rows))
        .collect();
    let (digest, bytes) = source.digest();
    Ok(Description { format, bytes, digest, rows, columns })
}

#[derive(Default)]
struct Tally {
    filled: u64,
    chars: u64,
    booleans: u64,
    integers: u64,
    numbers: u64,
    dates: u64,
    nested: u64,
    spaced: u64,
    seen: HashSet<u64>,
    lowest: Option<BTreeSet<u64>>,
}

impl Tally {
    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.filled += 1;
        self.chars += text.chars().count() as u64;
        self.spaced += u64::from(text.contains(char::is_whitespace));
        if let Some(figure) = number(text) {
            self.numbers += 1;
            self.integers += u64::from(figure.fract() == 0.0 && !text.contains(['.', 'e', 'E']));
        } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            self.booleans += 1;
        } else if is_date(text) {
            self.dates += 1;
        } else if text.starts_with(['{', '[']) && text.ends_with(['}', ']']) {
            self.nested += 1;
        }
        let hash = blake3::hash(text.as_bytes());
        self.count(u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i])));
    }

    fn count(&mut self, hash: u64) {
        if let Some(lowest) = &mut self.lowest {
            if lowest.last().is_some_and(|last| hash < *last) && lowest.insert(hash) {
                lowest.pop_last();
            }
            return;
        }
        self.seen.insert(hash);
        if self.seen.len() > EXACT {
            let mut lowest: BTreeSet<u64> = self.seen.drain().collect();
            while lowest.len() > KEPT {
                lowest.pop_last();
            }
            self.lowest = Some(lowest);
        }
    }

    /// By the k-th lowest of uniform hashes (Bar-Yossef et al. 2002) beyond what is counted.
    fn distinct(&self) -> Distinct {
        match self.lowest.as_ref().and_then(|lowest| Some((lowest.len(), *lowest.last()?))) {
            None => Distinct { count: self.seen.len() as u64, exact: true },
            Some((kept, last)) => {
                let estimate = (kept - 1) as f64 / (last as f64 / u64::MAX as f64);
                Distinct { count: (estimate.round() as u64).clamp(EXACT as u64 + 1, self.filled), exact: false }
            }
        }
    }

    fn kind(&self) -> ColumnType {
        let all = |count: u64| count == self.filled;
        match () {
            () if self.filled == 0 => ColumnType::Empty,
            () if all(self.booleans) => ColumnType::Boolean,
            () if all(self.integers) => ColumnType::Integer,
            () if all(self.numbers) => ColumnType::Number,
            () if all(self.dates) => ColumnType::Date,
            () if all(self.nested) => ColumnType::Json,
            () => ColumnType::Text,
        }
    }

    fn describe(self, name: String, rows: u64) -> ColumnDescription {
        let kind = self.kind();
        let distinct = self.distinct();
        let mean_chars = if self.filled == 0 { 0.0 } else { self.chars as f64 / self.filled as f64 };
        let null_rate = if rows == 0 { 0.0 } else { (rows - self.filled) as f64 / rows as f64 };
        let roles = self.roles(&name, rows, kind, distinct, mean_chars);
        ColumnDescription { name, kind, null_rate, distinct, mean_chars, roles }
    }

    fn roles(&self, name: &str, rows: u64, kind: ColumnType, distinct: Distinct, mean_chars: f64) -> Vec<Role> {
        let name = name.to_lowercase();
        let called = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        let full = self.filled == rows && rows > 0;
        // An estimate of all rows cannot be told from all rows.
        let unique = full && distinct.count as f64 >= rows as f64 * if distinct.exact { 1.0 } else { 0.9 };
        let numeric = matches!(kind, ColumnType::Integer | ColumnType::Number);
        let text = kind == ColumnType::Text;
        let mut roles = Vec::new();
        if unique && self.spaced == 0 && matches!(kind, ColumnType::Integer | ColumnType::Text) && mean_chars <= 64.0 {
            roles.push(Role::Key);
        }
        let labels = ["label", "target", "truth", "gold", "expected", "answer", "category", "class", "intent"];
        if called(&labels) && !unique {
            roles.push(Role::Label);
        }
        let few = (2..=20).contains(&distinct.count) && distinct.count * 5 <= rows;
        if few && full && (text || matches!(kind, ColumnType::Boolean | ColumnType::Integer)) {
            roles.push(Role::Slice);
        }
        let entities = [
            "customer", "tenant", "vendor", "user", "account", "company", "merchant", "client", "org", "entity",
            "document",
        ];
        if called(&entities) && distinct.count > 1 && !unique && (text || kind == ColumnType::Integer) {
            roles.push(Role::Entity);
        }
        if kind == ColumnType::Date || (called(&["date", "timestamp", "created", "_at", "_time"]) && numeric) {
            roles.push(Role::Time);
        }
        if text && mean_chars >= 15.0 && self.spaced * 2 > self.filled && distinct.count * 2 > rows {
            roles.push(Role::Text);
        }
        let stakes =
            ["amount", "price", "cost", "revenue", "total", "balance", "severity", "weight", "value", "usd", "eur"];
        if numeric && called(&stakes) && !looks_like_an_id(&name) {
            roles.push(Role::Severity);
        }
        roles
    }
}

/// A date in one of the common orders, alone or before a time.
fn is_date(text: &str) -> bool {
    let Some(date) = text.as_bytes().get(..10) else { return false };
    let fits = |shape: &[u8; 10]| {
        date.iter().zip(shape).all(|(&byte, &form)| if form == b'9' { byte.is_ascii_digit() } else { byte == form })
    };
    [b"9999-99-99", b"9999/99/99", b"99.99.9999", b"99/99/9999", b"99-99-9999"].into_iter().any(fits)
        && text.as_bytes().get(10).is_none_or(|next| b"T ".contains(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataError;
    use std::fmt::Write;

    fn described(name: &str, content: &str) -> Description {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        describe(&path, None).unwrap()
    }

    #[test]
    fn columns_are_described_without_a_cell() {
        let mut content = "id,text,label,tier,customer,amount,created_at,flag,none\n".to_owned();
        for n in 0..200 {
            writeln!(
                content,
                "{n},secret words of row {n},class{},{},acme{},{}.5,2026-01-{:02}T10:00:00,{},",
                n % 7,
                ["smb", "enterprise"][n % 2],
                n % 40,
                n * 13,
                n % 28 + 1,
                n % 3 == 0,
            )
            .unwrap();
        }
        let found = described("rows.csv", &content);
        assert_eq!((found.rows, found.bytes), (200, content.len() as u64));
        let column = |name: &str| found.columns.iter().find(|c| c.name == name).unwrap();
        let of = |name: &str| (column(name).kind, column(name).distinct.count, column(name).roles.clone());
        assert_eq!(of("id"), (ColumnType::Integer, 200, vec![Role::Key]));
        assert_eq!(of("text"), (ColumnType::Text, 200, vec![Role::Text]));
        assert_eq!(of("label"), (ColumnType::Text, 7, vec![Role::Label, Role::Slice]));
        assert_eq!(of("tier"), (ColumnType::Text, 2, vec![Role::Slice]));
        assert_eq!(of("customer"), (ColumnType::Text, 40, vec![Role::Entity]));
        assert_eq!(of("amount"), (ColumnType::Number, 200, vec![Role::Severity]));
        assert_eq!(of("created_at"), (ColumnType::Date, 28, vec![Role::Time]));
        assert_eq!(of("flag"), (ColumnType::Boolean, 2, vec![Role::Slice]));
        assert_eq!(of("none"), (ColumnType::Empty, 0, vec![]));
        assert_eq!(column("none").null_rate, 1.0);
        let json = serde_json::to_string(&found).unwrap();
        for cell in ["secret", "smb", "acme", "class1", "2026"] {
            assert!(!json.contains(cell), "{cell}");
        }
    }

    #[test]
    fn many_values_are_estimated_within_a_tenth() {
        let content: String = (0..30_000).fold("value\n".to_owned(), |mut text, n| {
            writeln!(text, "x{}", n % 20_000).unwrap();
            text
        });
        let distinct = described("rows.csv", &content).columns[0].distinct;
        assert!(!distinct.exact && distinct.count.abs_diff(20_000) < 2_000, "{distinct:?}");
    }

    #[test]
    fn objects_with_different_columns_are_described_as_one_table() {
        let found = described("rows.jsonl", "{\"b\":1,\"a\":null}\n{\"a\":[1]}\n");
        let kinds: Vec<_> = found.columns.iter().map(|c| (c.name.as_str(), c.kind, c.null_rate)).collect();
        assert_eq!(kinds, [("a", ColumnType::Json, 0.5), ("b", ColumnType::Integer, 0.5)]);
        let found = described("rows.json", "[{\"a\":true},{\"a\":false}]");
        assert_eq!((found.rows, found.columns[0].kind), (2, ColumnType::Boolean));
    }

    #[test]
    fn a_file_of_unknown_format_is_refused() {
        assert!(matches!(describe(Path::new("rows.xlsx"), None), Err(DataError::UnknownFormat { .. })));
    }
}
