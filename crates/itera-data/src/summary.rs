//! What is said of a sample: counts, the comparison with production, and spreads. No row content
//! but the values of slice and stratum columns.

use crate::draw::{Count, Picked, Roles};
use crate::record::value_text;
use crate::text::number;
use itera_core::frame::{Severity, SourceSpec};
use itera_core::ids::Split;
use itera_core::sample::{CellCount, SampleSummary, SeveritySpread, SplitCounts};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Fewest figures of a column whose spread is given.
const FIGURES: usize = 20;

/// Everything a summary is made of.
pub(crate) struct Findings<'a> {
    pub(crate) source: &'a SourceSpec,
    pub(crate) severity: Option<&'a Severity>,
    pub(crate) roles: &'a Roles,
    pub(crate) count: &'a Count,
    pub(crate) picked: &'a [Picked],
    pub(crate) splits: &'a [Split],
    /// Groups of two or more rows that stay together.
    pub(crate) linked: u64,
}

/// The summary as it goes into the ledger.
pub(crate) fn summarize(found: &Findings<'_>) -> SampleSummary {
    let Findings { count, picked, splits, .. } = found;
    let sampled = picked.len() as u64;
    let mut counts = SplitCounts::default();
    splits.iter().for_each(|split| add(&mut counts, *split));

    let mut equal: HashMap<u128, (u64, HashSet<u128>)> = HashMap::new();
    for row in *picked {
        let group = equal.entry(row.inputs).or_default();
        group.0 += 1;
        group.1.insert(row.labels);
    }
    let mut entities: HashMap<u64, u64> = HashMap::new();
    picked.iter().filter_map(|row| row.entity).for_each(|entity| *entities.entry(entity).or_default() += 1);
    let registered = found.roles.entity.is_some();

    let kept = count.available();
    let dropped: u64 = count.dropped.values().sum();
    SampleSummary {
        source_digest: count.digest.clone(),
        source_rows: count.rows,
        dropped_empty: count.dropped.clone(),
        dropped_entity_cap: count.rows - dropped - kept,
        dropped_max_rows: kept - sampled,
        sampled,
        splits: counts,
        linked_groups: found.linked,
        duplicate_rows: equal.values().map(|(rows, _)| *rows).filter(|rows| *rows > 1).sum(),
        conflicting_labels: equal.values().filter(|(_, labels)| labels.len() > 1).count() as u64,
        entities: registered.then_some(entities.len() as u64),
        dominant_entity_share: registered
            .then(|| entities.values().copied().max().unwrap_or(0) as f64 / sampled as f64),
        distribution: distribution(found),
        severity: found.severity.and_then(|_| severity(picked)),
        numeric_spread: numeric_spread(found),
    }
}

fn add(counts: &mut SplitCounts, split: Split) {
    match split {
        Split::Train => counts.train += 1,
        Split::Dev => counts.dev += 1,
        Split::Test => counts.test += 1,
    }
}

/// Every value of every slice and stratum column: those of the source, and those that only the
/// registered mix names.
fn distribution(found: &Findings<'_>) -> Vec<CellCount> {
    let production: u64 = found.count.production.iter().sum();
    let mut cells = Vec::new();
    for (place, column) in found.roles.strata.iter().enumerate() {
        let mut by_value: BTreeMap<&str, (u64, u64, SplitCounts)> = BTreeMap::new();
        for (cell, rows) in found.count.strata.iter().zip(&found.count.production) {
            by_value.entry(&cell[place]).or_default().0 += rows;
        }
        for (row, split) in found.picked.iter().zip(found.splits) {
            let value = by_value.entry(&found.count.strata[row.stratum][place]).or_default();
            value.1 += 1;
            add(&mut value.2, *split);
        }
        let mix = found.source.production_mix.get(column);
        for value in mix.into_iter().flat_map(BTreeMap::keys) {
            by_value.entry(value).or_default();
        }
        cells.extend(by_value.into_iter().map(|(value, (rows, sampled, splits))| CellCount {
            column: column.clone(),
            value: value.to_owned(),
            is_slice: place < found.roles.slices,
            production_share: match mix {
                Some(mix) => mix.get(value).copied().unwrap_or(0.0),
                None => rows as f64 / production as f64,
            },
            sampled,
            splits,
        }));
    }
    cells
}

fn severity(picked: &[Picked]) -> Option<SeveritySpread> {
    let mut stakes: Vec<f64> = picked.iter().map(|row| row.severity.stake).collect();
    stakes.sort_unstable_by(f64::total_cmp);
    Some(SeveritySpread {
        min: *stakes.first()?,
        median: quantile(&stakes, 0.5),
        max: *stakes.last()?,
        capped: picked.iter().filter(|row| row.severity.capped).count() as u64,
    })
}

/// Ratio of the 95th to the 5th percentile of the absolute values, zeros left out, for every column
/// that measures something: all its cells are numbers, at least 20 of them are not zero, it has no
/// registered part in which numbers are names, and it does not look like a row number or an id.
fn numeric_spread(found: &Findings<'_>) -> BTreeMap<String, f64> {
    let names: BTreeSet<&str> = found.picked.iter().flat_map(|row| row.fields.keys().map(String::as_str)).collect();
    let mut spreads = BTreeMap::new();
    for name in names {
        if found.roles.names_things(name) || looks_like_an_id(name) {
            continue;
        }
        let mut figures = Vec::new();
        let numeric = found.picked.iter().filter_map(|row| row.fields.get(name)).all(|value| {
            let text = value_text(value);
            let figure = number(&text);
            figures.extend(figure);
            text.trim().is_empty() || figure.is_some()
        });
        if !numeric || counts_rows(&figures) {
            continue;
        }
        let mut sizes: Vec<f64> = figures.into_iter().map(f64::abs).filter(|size| *size > 0.0).collect();
        if sizes.len() < FIGURES {
            continue;
        }
        sizes.sort_unstable_by(f64::total_cmp);
        let ratio = quantile(&sizes, 0.95) / quantile(&sizes, 0.05);
        if ratio.is_finite() {
            spreads.insert(name.to_owned(), ratio);
        }
    }
    spreads
}

/// Whether a column's name says that its numbers are names.
pub(crate) fn looks_like_an_id(name: &str) -> bool {
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    words.iter().any(|word| ["id", "uuid", "guid", "key", "index", "idx", "no", "nr", "zip"].contains(word))
        || name.is_empty()
}

/// Whether distinct whole numbers fill at least half of their range, as row numbers do.
fn counts_rows(figures: &[f64]) -> bool {
    let distinct: HashSet<u64> = figures.iter().map(|figure| figure.to_bits()).collect();
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    distinct.len() == figures.len()
        && figures.iter().all(|figure| figure.fract() == 0.0)
        && most - least < 2.0 * figures.len() as f64
}

/// The quantile of sorted values by linear interpolation (Hyndman and Fan's type 7).
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + part * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
    }

    #[test]
    fn row_numbers_and_ids_measure_nothing() {
        assert!(counts_rows(&[3.0, 1.0, 2.0, 5.0]));
        assert!(!counts_rows(&[3.0, 100.0, 2000.0, 5.0]));
        assert!(looks_like_an_id("tenant_id") && looks_like_an_id("row-key") && looks_like_an_id("ID"));
        assert!(!looks_like_an_id("amount") && !looks_like_an_id("paid"));
    }
}
