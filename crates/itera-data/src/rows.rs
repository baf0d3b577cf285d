//! Reading a source row by row: delimited text, NDJSON, or one JSON array.

use crate::record::Record;
use crate::text::number;
use crate::{DataError, Result};
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use itera_core::frame::SourceFormat;
use itera_core::ids::Digest;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Most columns of a source.
pub(crate) const COLUMNS: usize = 2_000;
/// Most bytes of one row of JSON.
const ROW_BYTES: usize = 16 << 20;
/// Longest name of a column, in characters; a longer one is a cell of a file without header.
const NAME_CHARS: usize = 120;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The rows of a source, in file order.
pub(crate) struct Rows {
    path: PathBuf,
    reader: Reader,
    current: Record,
    line: u64,
    bytes: Rc<RefCell<Hashed>>,
}

enum Reader {
    /// `carriage` is 1 where lines end in CR LF: the reader takes a record to begin before the LF.
    Delimited {
        reader: csv::Reader<Bytes>,
        scratch: ByteRecord,
        carriage: u64,
    },
    Lines {
        bytes: Bytes,
        line: u64,
        columns: HashSet<String>,
    },
    Array {
        bytes: Bytes,
        line: u64,
        columns: HashSet<String>,
        state: ArrayState,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum ArrayState {
    Before,
    First,
    Item,
    After,
    Done,
}

impl Rows {
    /// Opens a source.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or its header is not one.
    pub(crate) fn open(path: &Path, format: SourceFormat) -> Result<Self> {
        let failed = |source| DataError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let hashed = Rc::new(RefCell::new(Hashed { hasher: blake3::Hasher::new(), bytes: 0 }));
        let mut bytes = BufReader::with_capacity(1 << 16, Tee { file, hashed: Rc::clone(&hashed) });
        let start = bytes.fill_buf().map_err(failed)?;
        if start.is_empty() {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        let delimiter = match format {
            SourceFormat::Csv => delimiter(start),
            _ => b'\t',
        };
        let first = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let carriage = u64::from(first.len() < start.len() && first.ends_with(b"\r"));
        if start.starts_with(BOM) {
            bytes.consume(BOM.len());
        }
        let (reader, current) = match format {
            SourceFormat::Csv | SourceFormat::Tsv => {
                let mut reader = ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(bytes);
                let header = header(&mut reader, path)?;
                let record = Record::Cells { header, cells: StringRecord::new() };
                (Reader::Delimited { reader, scratch: ByteRecord::new(), carriage }, record)
            }
            SourceFormat::Ndjson => {
                (Reader::Lines { bytes, line: 0, columns: HashSet::new() }, Record::Object(Map::new()))
            }
            SourceFormat::Json => {
                let state = ArrayState::Before;
                (Reader::Array { bytes, line: 1, columns: HashSet::new(), state }, Record::Object(Map::new()))
            }
        };
        Ok(Self { path: path.to_owned(), reader, current, line: 0, bytes: hashed })
    }

    /// The next row with the line on which it begins; nothing at the end.
    ///
    /// # Errors
    /// The row is damaged, or the file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &Record)>> {
        let path = &self.path;
        let failed = |source| DataError::Io { path: path.clone(), source };
        match &mut self.reader {
            Reader::Delimited { reader, scratch, carriage } => {
                if !reader.read_byte_record(scratch).map_err(|error| failed(io_error(error)))? {
                    return Ok(None);
                }
                self.line = scratch.position().map_or(0, csv::Position::line) + *carriage;
                let Record::Cells { header, cells } = &mut self.current else { unreachable!("set when opened") };
                if scratch.len() != header.len() {
                    return Err(DataError::FieldCount {
                        line: self.line,
                        expected: header.len(),
                        found: scratch.len(),
                    });
                }
                // Both buffers are kept from row to row.
                let bytes = std::mem::take(scratch);
                match StringRecord::from_byte_record(bytes) {
                    Ok(text) => *scratch = std::mem::replace(cells, text).into_byte_record(),
                    Err(_) => return Err(DataError::InvalidUtf8 { line: self.line }),
                }
            }
            Reader::Lines { bytes, line, columns } => {
                let mut text = Vec::new();
                loop {
                    *line += 1;
                    text.clear();
                    let read =
                        bytes.by_ref().take(ROW_BYTES as u64 + 1).read_until(b'\n', &mut text).map_err(failed)?;
                    if read == 0 {
                        return Ok(None);
                    }
                    if read > ROW_BYTES {
                        return Err(DataError::RowTooLong { line: *line, limit: ROW_BYTES });
                    }
                    if !text.trim_ascii().is_empty() {
                        break;
                    }
                }
                self.line = *line;
                self.current = Record::Object(object(&text, *line, columns)?);
            }
            Reader::Array { bytes, line, columns, state } => match next_item(bytes, line, state, &self.path)? {
                None => return Ok(None),
                Some((begins, text)) => {
                    self.line = begins;
                    self.current = Record::Object(object(&text, begins, columns)?);
                }
            },
        }
        Ok(Some((self.line, &self.current)))
    }

    /// The names of all columns seen so far, sorted for objects, in order for a header.
    pub(crate) fn columns(&self) -> Vec<String> {
        match (&self.reader, &self.current) {
            (_, Record::Cells { header, .. }) => header.to_vec(),
            (Reader::Lines { columns, .. } | Reader::Array { columns, .. }, _) => {
                let mut names: Vec<String> = columns.iter().cloned().collect();
                names.sort_unstable();
                names
            }
            _ => Vec::new(),
        }
    }

    /// Digest and number of all bytes read so far.
    pub(crate) fn digest(&self) -> (Digest, u64) {
        let hashed = self.bytes.borrow();
        (Digest(hashed.hasher.finalize().to_hex().to_string()), hashed.bytes)
    }
}

struct Hashed {
    hasher: blake3::Hasher,
    bytes: u64,
}

/// Reads a file and digests what was read.
struct Tee {
    file: File,
    hashed: Rc<RefCell<Hashed>>,
}

type Bytes = BufReader<Tee>;

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let mut hashed = self.hashed.borrow_mut();
        hashed.hasher.update(&buffer[..read]);
        hashed.bytes += read as u64;
        Ok(read)
    }
}

/// The delimiter of a CSV file by its first line: the one of `,` `;` tab and `|` that stands there
/// most often outside quotes; a comma where none does.
fn delimiter(start: &[u8]) -> u8 {
    let candidates = *b",;\t|";
    let mut counts = [0_usize; 4];
    let mut quoted = false;
    for &byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            _ => {
                if let Some(place) = candidates.iter().position(|&c| c == byte) {
                    counts[place] += 1;
                }
            }
        }
    }
    // The first of the most frequent, so that a comma wins a tie.
    let most = counts.iter().copied().max().unwrap_or(0);
    counts.iter().position(|&count| count == most).map_or(b',', |place| candidates[place])
}

fn header(reader: &mut csv::Reader<Bytes>, path: &Path) -> Result<Rc<[String]>> {
    let names = reader
        .byte_headers()
        .map_err(|error| DataError::Io { path: path.to_owned(), source: io_error(error) })?
        .clone();
    let names = StringRecord::from_byte_record(names).map_err(|_| DataError::InvalidUtf8 { line: 1 })?;
    if names.len() > COLUMNS {
        return Err(DataError::TooManyColumns { line: 1, limit: COLUMNS });
    }
    if names.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    let mut seen = HashSet::new();
    for name in &names {
        // Signs that the first line is a row; its cells must not become names that are shown.
        if name.trim().is_empty() {
            return Err(DataError::NoHeader { why: "a name is empty" });
        }
        if number(name).is_some() {
            return Err(DataError::NoHeader { why: "a name is a number" });
        }
        if name.chars().nth(NAME_CHARS).is_some() || name.contains('\n') {
            return Err(DataError::NoHeader { why: "a name is longer than 120 characters or has several lines" });
        }
        if !seen.insert(name) {
            return Err(DataError::DuplicateColumn { column: name.to_owned() });
        }
    }
    Ok(names.iter().map(str::to_owned).collect())
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other("the delimited text cannot be read"),
    }
}

/// One row of JSON. What the parser says is not passed on, since it may quote the row.
fn object(text: &[u8], line: u64, columns: &mut HashSet<String>) -> Result<Map<String, Value>> {
    let text = std::str::from_utf8(text).map_err(|_| DataError::InvalidUtf8 { line })?;
    let value: Value = serde_json::from_str(text).map_err(|error| DataError::InvalidJson {
        line: line + (error.line() as u64).saturating_sub(1),
        column: Some(error.column()),
    })?;
    let Value::Object(fields) = value else {
        return Err(DataError::NotAnObject { line });
    };
    for name in fields.keys() {
        if !columns.contains(name) {
            if columns.len() == COLUMNS {
                return Err(DataError::TooManyColumns { line, limit: COLUMNS });
            }
            columns.insert(name.clone());
        }
    }
    Ok(fields)
}

/// The bytes of the next element of the one array in the file, and the line on which it begins.
/// Finds where the element ends by brackets and quotes; what is between is left to the parser.
fn next_item(bytes: &mut Bytes, line: &mut u64, state: &mut ArrayState, path: &Path) -> Result<Option<(u64, Vec<u8>)>> {
    let mut item = Vec::new();
    let (mut begins, mut depth, mut quoted, mut escaped) = (*line, 0_usize, false, false);
    loop {
        let buffer = bytes.fill_buf().map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        if buffer.is_empty() {
            return match state {
                ArrayState::Done => Ok(None),
                ArrayState::Before => Err(DataError::NotAnArray { line: *line }),
                _ => Err(DataError::InvalidJson { line: *line, column: None }),
            };
        }
        let mut used = 0;
        let mut whole = false;
        for &byte in buffer {
            used += 1;
            if byte == b'\n' {
                *line += 1;
            }
            if depth > 0 {
                item.push(byte);
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b'{' | b'[' if !quoted => depth += 1,
                    b'}' | b']' if !quoted => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    whole = true;
                    break;
                }
                if item.len() > ROW_BYTES {
                    return Err(DataError::RowTooLong { line: begins, limit: ROW_BYTES });
                }
                continue;
            }
            *state = match (*state, byte) {
                (now, b' ' | b'\t' | b'\r' | b'\n') => now,
                (ArrayState::Before, b'[') => ArrayState::First,
                (ArrayState::First | ArrayState::Item, b'{') => {
                    begins = *line;
                    depth = 1;
                    item.push(byte);
                    ArrayState::After
                }
                (ArrayState::First | ArrayState::After, b']') => ArrayState::Done,
                (ArrayState::After, b',') => ArrayState::Item,
                (ArrayState::First | ArrayState::Item, b']' | b',') => {
                    return Err(DataError::InvalidJson { line: *line, column: None });
                }
                (ArrayState::First | ArrayState::Item, _) => return Err(DataError::NotAnObject { line: *line }),
                (ArrayState::Before, _) => return Err(DataError::NotAnArray { line: *line }),
                (ArrayState::After | ArrayState::Done, _) => {
                    return Err(DataError::InvalidJson { line: *line, column: None });
                }
            };
        }
        bytes.consume(used);
        if whole {
            return Ok(Some((begins, item)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(content: impl AsRef<[u8]>, format: SourceFormat) -> Result<Vec<(u64, Map<String, Value>)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        fs::write(&path, content).unwrap();
        let mut rows = Rows::open(&path, format)?;
        let mut all = Vec::new();
        while let Some((line, record)) = rows.next()? {
            all.push((line, record.fields()));
        }
        let bytes = fs::read(&path).unwrap();
        assert_eq!(rows.digest(), (Digest::of(&bytes), bytes.len() as u64));
        Ok(all)
    }

    fn csv(content: &str) -> Result<Vec<(u64, Map<String, Value>)>> {
        read(content, SourceFormat::Csv)
    }

    #[test]
    fn delimited_text_of_several_dialects_reads_alike() {
        let expected = csv("a,b\n1,\"x, y\"\n2,z\n").unwrap();
        assert_eq!(expected[0].1["b"], "x, y");
        assert_eq!(csv("\u{feff}a;b\r\n1;\"x, y\"\r\n2;z").unwrap(), expected);
        assert_eq!(csv("a\tb\n1\tx, y\n2\tz\n").unwrap(), expected);
        assert_eq!(csv("a|b\n1|x, y\n2|z\n").unwrap(), expected);
        assert_eq!(read("a\tb\n1\tx, y\n2\tz\n", SourceFormat::Tsv).unwrap(), expected);
    }

    #[test]
    fn quoted_newlines_keep_rows_and_lines_apart() {
        let rows = csv("a,b\n1,\"two\nlines \"\"q\"\"\"\n2,z\n").unwrap();
        assert_eq!(rows[0].1["b"], "two\nlines \"q\"");
        assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn objects_read_alike_from_lines_and_from_an_array() {
        let lines = read("{\"a\":1,\"b\":\"]}\\\"\"}\n\n{\"a\":[{}]}", SourceFormat::Ndjson).unwrap();
        assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
        let array = read("\u{feff} [ {\"a\":1,\"b\":\"]}\\\"\"}\n,\n{\"a\":[{}]}\n]\n", SourceFormat::Json).unwrap();
        assert_eq!(array.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(array.iter().map(|(_, f)| f).collect::<Vec<_>>(), lines.iter().map(|(_, f)| f).collect::<Vec<_>>());
        assert_eq!(read("[]", SourceFormat::Json).unwrap(), []);
    }

    #[test]
    fn an_array_is_read_across_buffers() {
        let item = format!("{{\"a\":\"{}\"}}", "x\\\\\\\"".repeat(30_000));
        let rows = read(format!("[{item},{item}]"), SourceFormat::Json).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].1["a"].as_str().unwrap().len(), 90_000);
    }

    #[test]
    fn damage_is_named_by_its_line() {
        use DataError as E;
        assert!(matches!(csv("a,b\n1,2\n3\n"), Err(E::FieldCount { line: 3, expected: 2, found: 1 })));
        assert!(matches!(csv("a,b\n1,2,3\n"), Err(E::FieldCount { line: 2, expected: 2, found: 3 })));
        assert!(matches!(csv(""), Err(E::Empty { .. })));
        assert!(matches!(csv("\n\n"), Err(E::Empty { .. })));
        assert!(matches!(csv("1,2\n3,4\n"), Err(E::NoHeader { .. })));
        assert!(matches!(csv("a,,c\n3,4,5\n"), Err(E::NoHeader { .. })));
        assert!(matches!(csv(&format!("a,{}\n1,2\n", "long ".repeat(50))), Err(E::NoHeader { .. })));
        assert!(matches!(csv("a,b,a\n3,4,5\n"), Err(E::DuplicateColumn { .. })));
        assert!(matches!(csv(&"a,".repeat(3000)), Err(E::TooManyColumns { .. })));
        let latin = read(b"a,b\n1,2\n3,\xe9\n", SourceFormat::Csv);
        assert!(matches!(latin, Err(E::InvalidUtf8 { line: 3 })));
        let latin = read(b"{}\n{\"a\":\"\xe9\"}\n", SourceFormat::Ndjson);
        assert!(matches!(latin, Err(E::InvalidUtf8 { line: 2 })));

        let ndjson = |text: &str| read(text, SourceFormat::Ndjson);
        assert!(matches!(ndjson("{}\n{\"a\":}\n"), Err(E::InvalidJson { line: 2, column: Some(6) })));
        assert!(matches!(ndjson("{}\n\"text\"\n"), Err(E::NotAnObject { line: 2 })));
        let json = |text: &str| read(text, SourceFormat::Json);
        assert!(matches!(json("{}\n"), Err(E::NotAnArray { line: 1 })));
        assert!(matches!(json(" \n"), Err(E::NotAnArray { .. })));
        assert!(matches!(json("[{},\n{\"a\":1"), Err(E::InvalidJson { line: 2, .. })));
        assert!(matches!(json("[{},\n{\n\"a\":}]"), Err(E::InvalidJson { line: 3, .. })));
        assert!(matches!(json("[{},]"), Err(E::InvalidJson { .. })));
        assert!(matches!(json("[{} {}]"), Err(E::InvalidJson { .. })));
        assert!(matches!(json("[{}] x"), Err(E::InvalidJson { .. })));
        assert!(matches!(json("[1]"), Err(E::NotAnObject { .. })));
        let long = format!("{{}}\n{{\"a\":\"{}\"}}\n", "x".repeat(ROW_BYTES));
        assert!(matches!(ndjson(&long), Err(E::RowTooLong { line: 2, .. })));
    }

    #[test]
    fn no_message_quotes_a_cell() {
        let secret = "s3cret";
        for (content, format) in [
            (format!("a,b\n{secret}\n"), SourceFormat::Csv),
            (format!("\"{secret}\"\n"), SourceFormat::Ndjson),
            (format!("{{\"{secret}\n"), SourceFormat::Ndjson),
            (format!("[\"{secret}\"]"), SourceFormat::Json),
            (secret.to_owned(), SourceFormat::Json),
        ] {
            let error = read(&content, format).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
        }
    }

    #[test]
    fn figures_of_objects_keep_their_last_bit() {
        let rows = read("{\"a\":0.30000000000000004,\"b\":12345.678901234567}", SourceFormat::Ndjson).unwrap();
        assert_eq!(rows[0].1["a"].as_f64().unwrap().to_bits(), (0.1_f64 + 0.2).to_bits());
        assert_eq!(rows[0].1["b"].to_string(), "12345.678901234567");
    }
}
