//! Drawing the sample: which rows, and into which split.
//!
//! A row is chosen by a keyed hash of its key, the seed of the experiment being the key of the
//! hash: the same rows on every run and machine, in whatever order the file holds them, and nobody
//! picks them. Of each entity the rows of lowest hash stay, up to the cap; of each stratum then
//! those of lowest hash, up to its share of `max_rows`.
//!
//! The file is read twice. The first pass counts (strata, empty cells, entities) and so fixes every
//! stratum's share; the second keeps a heap of that many rows per stratum and nothing else.

use crate::allot::allot;
use crate::record::{Column, Record};
use crate::rows::Rows;
use crate::split::{self, Links, Stock};
use crate::summary;
use crate::text::{nearest, normalized, number};
use crate::{DataError, Result, locate::guess_format, locate::locate};
use itera_core::frame::{Severity, SourceFormat, SourceSpec, SplitPlan};
use itera_core::ids::{Digest, RowId};
use itera_core::sample::{Sample, SampledRow};
use itera_core::scores::RowMeta;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Most values of one slice or stratum column.
const VALUES: usize = 1_000;
/// Most joint values of all slice and stratum columns.
const STRATA: usize = 20_000;

/// Draws the sample of an experiment and divides it into train, dev and test.
///
/// - `truth_columns`: the columns that hold the truth, hidden ones included
///   ([`Frame::truth_columns`](itera_core::frame::Frame::truth_columns)). Those that are not hidden
///   are labels: a row without one is left out.
/// - `severity`: the stake of a row is the absolute value of that column, at most the cap.
/// - `seed`: the experiment's seed; it fixes which rows are drawn and how ties are broken.
/// - `row_id`: turns a row's key into its opaque id. It is also asked for the opaque ids of
///   clusters, by `cluster/` and the value.
///
/// Without a key column a row's key is its position, from 1. Rows come back in the order of their
/// hashes.
///
/// Rows of equal cluster values, and rows whose inputs are equal but for case and white space,
/// never straddle splits. [`RowMeta::cluster`] is set for every row where a cluster column is
/// registered, and for none otherwise: equal inputs keep rows together, but they do not make a unit
/// of evidence, since which production rows repeat is part of what was sampled.
///
/// # Errors
/// Anything wrong with the source, by line and column; see [`DataError`].
pub fn draw(
    project_root: &Path,
    source: &SourceSpec,
    truth_columns: &[&str],
    severity: Option<&Severity>,
    split: &SplitPlan,
    seed: u64,
    row_id: &dyn Fn(&str) -> RowId,
) -> Result<Sample> {
    let path = locate(project_root, &source.path)?;
    let format = source.format.map_or_else(|| guess_format(&path), Ok)?;
    let roles = Roles::new(source, truth_columns, severity);
    let draw = Draw { path, format, source, severity, roles, hash: Hasher::new(seed) };
    let count = draw.count()?;
    let quotas = count.quotas(source.max_rows);
    let picked = draw.collect(&count, &quotas)?;

    let mut links = Links::new(picked.len());
    if draw.roles.cluster.is_some() {
        links.tie(picked.iter().map(|row| row.cluster.as_deref()));
    }
    links.tie(picked.iter().map(|row| row.inputs));
    let groups = links.groups();
    let cells: Vec<usize> = picked.iter().map(|row| row.stratum).collect();
    let stock = Stock { cells: &cells, values: &count.strata, groups: &groups };
    let splits = split::divide(&stock, split)?;

    let linked = groups.iter().filter(|group| group.len() > 1).count() as u64;
    let summary = summary::summarize(&summary::Findings {
        source,
        severity,
        roles: &draw.roles,
        count: &count,
        picked: &picked,
        splits: &splits,
        linked,
    });
    let rows = picked
        .into_iter()
        .zip(splits)
        .map(|(row, split)| {
            let values = &count.strata[row.stratum];
            let cluster = row.cluster.as_ref().map(|value| {
                let id = row_id(&format!("cluster/{value}")).0;
                format!("c_{}", id.strip_prefix("r_").unwrap_or(&id))
            });
            let meta = RowMeta {
                row: row_id(&row.key),
                split,
                slices: values[..draw.roles.slices].to_vec(),
                stratum: stratum_name(values),
                cluster,
                severity: row.severity.stake,
            };
            SampledRow { meta, key: row.key, fields: row.fields }
        })
        .collect();
    Ok(Sample { summary, rows })
}

/// The name of a joint cell: its values, `all` where no column is registered.
fn stratum_name(values: &[String]) -> String {
    if values.is_empty() { "all".to_owned() } else { values.join(" | ") }
}

/// Which column plays which part.
pub(crate) struct Roles {
    pub(crate) key: Option<String>,
    pub(crate) labels: Vec<String>,
    /// Slice columns, then the strata columns that are no slices.
    pub(crate) strata: Vec<String>,
    /// How many of `strata` are slices.
    pub(crate) slices: usize,
    pub(crate) entity: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) severity: Option<String>,
    inputs: Vec<String>,
    /// Columns that are no inputs where none are registered.
    withheld: HashSet<String>,
    hidden: Vec<String>,
}

impl Roles {
    fn new(source: &SourceSpec, truth: &[&str], severity: Option<&Severity>) -> Self {
        let visible: Vec<String> =
            truth.iter().filter(|c| !source.hidden.iter().any(|h| h == *c)).map(|c| (*c).to_owned()).collect();
        let strata = source.strata.iter().filter(|c| !source.slices.contains(c));
        Self {
            key: source.key.clone(),
            labels: visible,
            strata: source.slices.iter().chain(strata).cloned().collect(),
            slices: source.slices.len(),
            entity: source.entity.clone(),
            cluster: source.cluster.clone(),
            severity: severity.map(|s| s.column.clone()),
            inputs: source.inputs.clone(),
            withheld: truth
                .iter()
                .map(|c| (*c).to_owned())
                .chain(source.hidden.iter().cloned())
                .chain(source.key.clone())
                .collect(),
            hidden: source.hidden.clone(),
        }
    }

    /// Every registered column, in the order in which empty cells are charged.
    fn required(&self) -> impl Iterator<Item = &String> {
        self.key
            .iter()
            .chain(&self.labels)
            .chain(&self.strata)
            .chain(&self.entity)
            .chain(&self.cluster)
            .chain(&self.severity)
    }

    /// Whether a column names things rather than measures them.
    pub(crate) fn names_things(&self, column: &str) -> bool {
        let is = |name: &String| name == column;
        [&self.key, &self.entity, &self.cluster].into_iter().flatten().any(is)
            || self.labels.iter().any(is)
            || self.strata.iter().any(is)
    }
}

/// Columns of a file, found once.
struct Found {
    required: Vec<Column>,
    key: Option<Column>,
    labels: Vec<Column>,
    strata: Vec<Column>,
    entity: Option<Column>,
    cluster: Option<Column>,
    severity: Option<Column>,
    inputs: Vec<Column>,
}

/// The stake of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stake {
    pub(crate) stake: f64,
    pub(crate) capped: bool,
}

/// A row that was drawn.
pub(crate) struct Picked {
    hash: u128,
    line: u64,
    key: String,
    pub(crate) stratum: usize,
    pub(crate) entity: Option<u64>,
    cluster: Option<String>,
    pub(crate) severity: Stake,
    /// Digest of the normalised inputs.
    pub(crate) inputs: u128,
    /// Digest of the labels.
    pub(crate) labels: u128,
    pub(crate) fields: Map<String, Value>,
}

impl PartialEq for Picked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Picked {}
impl PartialOrd for Picked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Picked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.hash, self.line).cmp(&(other.hash, other.line))
    }
}

/// What the first pass found.
pub(crate) struct Count {
    pub(crate) digest: Digest,
    pub(crate) rows: u64,
    pub(crate) dropped: BTreeMap<String, u64>,
    /// The values of every joint cell, sorted.
    pub(crate) strata: Vec<Vec<String>>,
    /// Rows of every joint cell before entities are capped.
    pub(crate) production: Vec<u64>,
    /// Rows of every joint cell after it.
    available: Vec<u64>,
    /// Joint cells by their joined values.
    index: HashMap<String, usize>,
    /// Highest hash that stays, per entity; nothing where entities are not registered.
    bounds: Option<HashMap<u64, u128>>,
}

impl Count {
    fn quotas(&self, max_rows: Option<u64>) -> Vec<u64> {
        let available: u64 = self.available.iter().sum();
        match max_rows {
            Some(most) if most < available => allot(most, &self.production, &self.available),
            _ => self.available.clone(),
        }
    }

    /// Rows that came through: nothing empty, within the cap of their entity.
    pub(crate) fn available(&self) -> u64 {
        self.available.iter().sum()
    }
}

struct Draw<'a> {
    path: PathBuf,
    format: SourceFormat,
    source: &'a SourceSpec,
    severity: Option<&'a Severity>,
    roles: Roles,
    hash: Hasher,
}

impl Draw<'_> {
    fn count(&self) -> Result<Count> {
        let mut rows = Rows::open(&self.path, self.format)?;
        let mut found = None;
        let mut total = 0_u64;
        let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        let mut strata: Vec<Vec<String>> = Vec::new();
        let mut production: Vec<u64> = Vec::new();
        let mut values: Vec<HashSet<String>> = vec![HashSet::new(); self.roles.strata.len()];
        let mut entities: HashMap<u64, Vec<(u128, usize)>> = HashMap::new();
        let cap = self.source.entity_cap.max(1) as usize;
        let mut joined = String::new();
        self.check_header(&rows)?;
        while let Some((line, record)) = rows.next()? {
            total += 1;
            if found.is_none() {
                found = Some(self.find(record));
            }
            let Some(found) = &found else { continue };
            if let Some(column) = first_empty(record, found) {
                *dropped.entry(column.name.clone()).or_default() += 1;
                continue;
            }
            self.stake(record, found, line)?;
            join(record, &found.strata, &mut joined);
            let stratum = match index.get(&joined) {
                Some(&stratum) => stratum,
                None => {
                    let cell: Vec<String> = found.strata.iter().map(|c| record.text(c).trim().to_owned()).collect();
                    for ((seen, value), column) in values.iter_mut().zip(&cell).zip(&found.strata) {
                        seen.insert(value.clone());
                        if seen.len() > VALUES {
                            return Err(DataError::TooManyValues { column: column.name.clone(), limit: VALUES });
                        }
                    }
                    if strata.len() == STRATA {
                        return Err(DataError::TooManyStrata { limit: STRATA });
                    }
                    strata.push(cell);
                    production.push(0);
                    index.insert(joined.clone(), strata.len() - 1);
                    strata.len() - 1
                }
            };
            production[stratum] += 1;
            if let Some(entity) = &found.entity {
                let hash = self.hash.key(&key_text(record, found, total));
                let lowest = entities.entry(self.hash.entity(&record.text(entity))).or_default();
                let place = lowest.partition_point(|kept| *kept < (hash, stratum));
                if place < cap {
                    lowest.truncate(cap - 1);
                    lowest.insert(place, (hash, stratum));
                }
            }
        }
        self.check_columns(&rows.columns(), total)?;
        self.check_left(total, &dropped)?;

        // In the order of their values, so that nothing depends on the order of the file.
        let mut order: Vec<usize> = (0..strata.len()).collect();
        order.sort_by(|&a, &b| strata[a].cmp(&strata[b]));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        index.values_mut().for_each(|stratum| *stratum = place[*stratum]);
        let production: Vec<u64> = order.iter().map(|&old| production[old]).collect();
        let strata: Vec<Vec<String>> = order.iter().map(|&old| std::mem::take(&mut strata[old])).collect();
        let mut available = production.clone();
        let mut bounds = None;
        if self.roles.entity.is_some() {
            available.fill(0);
            let mut highest = HashMap::with_capacity(entities.len());
            for (entity, lowest) in entities {
                lowest.iter().for_each(|&(_, stratum)| available[place[stratum]] += 1);
                if lowest.len() == cap
                    && let Some(&(hash, _)) = lowest.last()
                {
                    highest.insert(entity, hash);
                }
            }
            bounds = Some(highest);
        }
        let digest = rows.digest().0;
        Ok(Count { digest, rows: total, dropped, strata, production, available, index, bounds })
    }

    fn collect(&self, count: &Count, quotas: &[u64]) -> Result<Vec<Picked>> {
        let mut rows = Rows::open(&self.path, self.format)?;
        let changed = || DataError::SourceChanged { path: self.path.clone() };
        let mut heaps: Vec<BinaryHeap<Picked>> = quotas.iter().map(|_| BinaryHeap::new()).collect();
        let mut found = None;
        let mut position = 0_u64;
        let mut joined = String::new();
        while let Some((line, record)) = rows.next()? {
            position += 1;
            if found.is_none() {
                // The header may have changed since the first pass.
                self.check_names(record)?;
                found = Some(self.find(record));
            }
            let Some(found) = &found else { continue };
            if first_empty(record, found).is_some() {
                continue;
            }
            let key = key_text(record, found, position);
            let hash = self.hash.key(&key);
            let entity = found.entity.as_ref().map(|column| self.hash.entity(&record.text(column)));
            if let (Some(bounds), Some(entity)) = (&count.bounds, entity)
                && bounds.get(&entity).is_some_and(|bound| hash > *bound)
            {
                continue;
            }
            join(record, &found.strata, &mut joined);
            let stratum = *count.index.get(&joined).ok_or_else(changed)?;
            let heap = &mut heaps[stratum];
            let full = heap.len() as u64 >= quotas[stratum];
            if full && heap.peek().is_none_or(|last| (hash, line) >= (last.hash, last.line)) {
                // Equal hashes mean equal keys. One that falls on the bound of a full heap is looked
                // for among those that stay; elsewhere it changes nothing about the sample.
                if heap.peek().is_some_and(|last| last.hash == hash) {
                    return Err(self.duplicate(1, line));
                }
                continue;
            }
            let picked = Picked {
                hash,
                line,
                key,
                stratum,
                entity,
                cluster: found.cluster.as_ref().map(|column| record.text(column).trim().to_owned()),
                severity: self.stake(record, found, line)?,
                inputs: self.inputs(record, found),
                labels: self
                    .hash
                    .cells(found.labels.iter().map(|c| (c.name.as_str(), record.text(c).trim().to_owned()))),
                fields: record.fields(),
            };
            if full {
                heap.pop();
            }
            heap.push(picked);
        }
        if rows.digest().0 != count.digest {
            return Err(changed());
        }
        let mut picked: Vec<Picked> = heaps.into_iter().flatten().collect();
        picked.sort_unstable();
        let repeated: Vec<u64> =
            picked.windows(2).filter(|pair| pair[0].key == pair[1].key).map(|pair| pair[1].line).collect();
        match repeated.iter().min() {
            Some(&line) => Err(self.duplicate(repeated.len() as u64, line)),
            None => Ok(picked),
        }
    }

    fn duplicate(&self, duplicates: u64, line: u64) -> DataError {
        DataError::DuplicateKey { column: self.roles.key.clone().unwrap_or_default(), duplicates, line }
    }

    fn find(&self, record: &Record) -> Found {
        let column = |name: &String| record.column(name);
        Found {
            required: self.roles.required().filter_map(column).collect(),
            key: self.roles.key.as_ref().and_then(column),
            labels: self.roles.labels.iter().filter_map(column).collect(),
            strata: self.roles.strata.iter().filter_map(column).collect(),
            entity: self.roles.entity.as_ref().and_then(column),
            cluster: self.roles.cluster.as_ref().and_then(column),
            severity: self.roles.severity.as_ref().and_then(column),
            inputs: self.roles.inputs.iter().filter_map(column).collect(),
        }
    }

    fn stake(&self, record: &Record, found: &Found, line: u64) -> Result<Stake> {
        let (Some(column), Some(severity)) = (&found.severity, self.severity) else {
            return Ok(Stake { stake: 1.0, capped: false });
        };
        let stake = number(&record.text(column))
            .ok_or_else(|| DataError::SeverityNotNumeric { line, column: column.name.clone() })?
            .abs();
        Ok(Stake { stake: stake.min(severity.cap), capped: stake > severity.cap })
    }

    fn inputs(&self, record: &Record, found: &Found) -> u128 {
        if self.roles.inputs.is_empty() {
            let cells = record.cells();
            let inputs = cells.iter().filter(|(name, _)| !self.roles.withheld.contains(*name));
            self.hash.cells(inputs.map(|(name, text)| (*name, normalized(text))))
        } else {
            self.hash.cells(found.inputs.iter().map(|c| (c.name.as_str(), normalized(&record.text(c)))))
        }
    }

    /// Refuses a delimited file without a registered column before its rows are read.
    fn check_header(&self, rows: &Rows) -> Result<()> {
        match self.format {
            SourceFormat::Csv | SourceFormat::Tsv => self.check_columns(&rows.columns(), 1),
            SourceFormat::Ndjson | SourceFormat::Json => Ok(()),
        }
    }

    fn check_names(&self, record: &Record) -> Result<()> {
        match record {
            Record::Cells { header, .. } => self.check_columns(header, 1),
            Record::Object(_) => Ok(()),
        }
    }

    fn check_columns(&self, columns: &[String], rows: u64) -> Result<()> {
        if rows == 0 {
            return Err(DataError::Empty { path: self.path.clone() });
        }
        let all = self.roles.required().chain(&self.roles.inputs).chain(&self.roles.hidden);
        for column in all {
            if !columns.contains(column) {
                return Err(DataError::MissingColumn { column: column.clone(), nearest: nearest(column, columns) });
            }
        }
        Ok(())
    }

    fn check_left(&self, rows: u64, dropped: &BTreeMap<String, u64>) -> Result<()> {
        if let Some((column, _)) = dropped.iter().find(|(_, count)| **count == rows) {
            return Err(DataError::AllEmpty { column: column.clone(), rows });
        }
        if dropped.values().sum::<u64>() == rows {
            return Err(DataError::NothingLeft { rows, dropped: dropped.clone() });
        }
        Ok(())
    }
}

fn first_empty<'a>(record: &Record, found: &'a Found) -> Option<&'a Column> {
    found.required.iter().find(|column| record.text(column).trim().is_empty())
}

fn key_text(record: &Record, found: &Found, position: u64) -> String {
    found.key.as_ref().map_or_else(|| position.to_string(), |column| record.text(column).into_owned())
}

/// Joins the values of some columns so that no two cells join alike.
fn join(record: &Record, columns: &[Column], joined: &mut String) {
    joined.clear();
    for column in columns {
        let text = record.text(column);
        let value = text.trim();
        joined.push_str(&value.len().to_string());
        joined.push(':');
        joined.push_str(value);
    }
}

/// Hashes under the seed of the experiment.
struct Hasher {
    rows: [u8; 32],
    cells: [u8; 32],
}

impl Hasher {
    fn new(seed: u64) -> Self {
        Self {
            rows: blake3::derive_key("auto-itera data 2026 v1 choice of rows", &seed.to_le_bytes()),
            cells: blake3::derive_key("auto-itera data 2026 v1 equality of cells", &seed.to_le_bytes()),
        }
    }

    /// The place of a row in the order of choice.
    fn key(&self, key: &str) -> u128 {
        first_bytes(&blake3::keyed_hash(&self.rows, key.as_bytes()))
    }

    fn entity(&self, text: &str) -> u64 {
        // 64 bits keep the table small; among ten million entities two meet with odds of 1 in 400,000.
        first_bytes(&blake3::keyed_hash(&self.cells, text.trim().as_bytes())) as u64
    }

    /// A digest of named cells; empty ones do not count, so that absent and empty are equal.
    fn cells<'a>(&self, cells: impl Iterator<Item = (&'a str, String)>) -> u128 {
        let mut hasher = blake3::Hasher::new_keyed(&self.cells);
        for (name, text) in cells.filter(|(_, text)| !text.is_empty()) {
            for part in [name, &text] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
        }
        first_bytes(&hasher.finalize())
    }
}

fn first_bytes(hash: &blake3::Hash) -> u128 {
    let bytes = hash.as_bytes();
    u128::from_be_bytes(std::array::from_fn(|i| bytes[i]))
}
