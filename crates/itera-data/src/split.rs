//! Dividing the sample into train, dev and test.
//!
//! Rows that must stay together form groups: rows of one cluster, and rows of equal inputs. Each
//! cell of the joint stratification gets its share of every split by largest remainders, and what
//! rounding takes from a split in one cell is made up for in the next, so that many small cells do
//! not all round the same way. Large groups are placed first, where they fit best; single rows
//! then fill every cell to its target. The order of ties is the order of the rows' keyed hashes.

use crate::{DataError, Result};
use itera_core::frame::SplitPlan;
use itera_core::ids::Split;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

const SPLITS: [Split; 3] = [Split::Train, Split::Dev, Split::Test];

/// Links between rows, by index.
pub(crate) struct Links {
    parent: Vec<usize>,
}

impl Links {
    pub(crate) fn new(rows: usize) -> Self {
        Self { parent: (0..rows).collect() }
    }

    /// Links all rows of equal value.
    pub(crate) fn tie<K: Eq + Hash>(&mut self, values: impl Iterator<Item = K>) {
        let mut first = HashMap::new();
        for (row, value) in values.enumerate() {
            let other = *first.entry(value).or_insert(row);
            let (a, b) = (self.root(row), self.root(other));
            self.parent[a.max(b)] = a.min(b);
        }
    }

    fn root(&mut self, mut row: usize) -> usize {
        while self.parent[row] != row {
            self.parent[row] = self.parent[self.parent[row]];
            row = self.parent[row];
        }
        row
    }

    /// The groups of linked rows, single rows included, in the order of their first rows.
    pub(crate) fn groups(mut self) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in 0..self.parent.len() {
            groups.entry(self.root(row)).or_default().push(row);
        }
        groups.into_values().collect()
    }
}

/// What is to be divided.
pub(crate) struct Stock<'a> {
    /// The cell of each row.
    pub(crate) cells: &'a [usize],
    /// The value of each stratification column, for each cell.
    pub(crate) values: &'a [Vec<String>],
    /// The groups that must stay together.
    pub(crate) groups: &'a [Vec<usize>],
}

/// The split of each row.
///
/// # Errors
/// The shares are no shares, or a split of a share above 0 would be empty.
pub(crate) fn divide(stock: &Stock<'_>, plan: &SplitPlan) -> Result<Vec<Split>> {
    let shares = shares(plan)?;
    let mut sizes = vec![0_i64; stock.values.len()];
    for &cell in stock.cells {
        sizes[cell] += 1;
    }
    let mut open = targets(&sizes, shares);
    spread(&mut open, stock.values, shares);
    let mut order: Vec<&Vec<usize>> = stock.groups.iter().collect();
    order.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut placed: Vec<(usize, &Vec<usize>)> = Vec::with_capacity(order.len());
    let mut total = [0_i64; 3];
    for cell in &open {
        (0..3).for_each(|s| total[s] += cell[s]);
    }
    for group in order {
        let mut counts: BTreeMap<usize, i64> = BTreeMap::new();
        group.iter().for_each(|&row| *counts.entry(stock.cells[row]).or_default() += 1);
        let size = group.len() as i64;
        // Least overflow beyond the targets of its cells and of the whole, then the most room.
        let best = (0..3)
            .filter(|&s| shares[s] > 0.0)
            .min_by_key(|&s| {
                let over: i64 = counts.iter().map(|(&cell, &n)| (n - open[cell][s].max(0)).max(0)).sum();
                let over_total = (size - total[s].max(0)).max(0);
                let room: i64 = counts.keys().map(|&cell| open[cell][s]).sum();
                (over + over_total, -room, -total[s])
            })
            .expect("one share is above 0");
        counts.iter().for_each(|(&cell, &n)| open[cell][best] -= n);
        total[best] -= size;
        placed.push((best, group));
    }
    fill_empty(&mut placed, shares, stock)?;
    let mut splits = vec![Split::Train; stock.cells.len()];
    for (split, group) in placed {
        group.iter().for_each(|&row| splits[row] = SPLITS[split]);
    }
    Ok(splits)
}

fn shares(plan: &SplitPlan) -> Result<[f64; 3]> {
    let shares = [plan.train, plan.dev, plan.test];
    let sum: f64 = shares.iter().sum();
    if shares.iter().any(|s| !s.is_finite() || *s < 0.0) || !sum.is_finite() || sum <= 0.0 {
        return Err(DataError::BadShares);
    }
    Ok(shares.map(|share| share / sum))
}

/// Rows of each cell for each split: the whole part of its share, and for the rest one row more for
/// the splits that lack most, in this cell and in those before it.
fn targets(sizes: &[i64], shares: [f64; 3]) -> Vec<[i64; 3]> {
    let mut owed = [0.0_f64; 3];
    sizes
        .iter()
        .map(|&size| {
            let exact = shares.map(|share| share * size as f64);
            // A share that is a whole number of rows up to rounding is that number.
            let mut target = exact.map(|rows| (rows + 1e-9).floor() as i64);
            let mut order = [0, 1, 2];
            let lack: [f64; 3] = std::array::from_fn(|s| exact[s] - target[s] as f64 + owed[s]);
            order.sort_by(|&a, &b| {
                // A split without a share in this experiment, or with a whole one here, takes no
                // rounding of others while another can.
                let whole = |s: usize| exact[s] - (target[s] as f64) < 1e-9;
                whole(a).cmp(&whole(b)).then(lack[b].total_cmp(&lack[a])).then(a.cmp(&b))
            });
            let rest = size - target.iter().sum::<i64>();
            for &s in order.iter().take(rest.max(0) as usize) {
                target[s] += 1;
            }
            (0..3).for_each(|s| owed[s] += exact[s] - target[s] as f64);
            target
        })
        .collect()
}

/// Moves single rows between targets so that every value of every column has a row in every split,
/// wherever it has as many rows as there are splits.
fn spread(targets: &mut [[i64; 3]], values: &[Vec<String>], shares: [f64; 3]) {
    let wanted: Vec<usize> = (0..3).filter(|&s| shares[s] > 0.0).collect();
    // The whole sample counts as one value of a column of its own.
    let mut marks: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    let of_cell: Vec<Vec<usize>> = values
        .iter()
        .map(|cell| {
            std::iter::once("")
                .chain(cell.iter().map(String::as_str))
                .enumerate()
                .map(|mark| {
                    let next = marks.len();
                    *marks.entry(mark).or_insert(next)
                })
                .collect()
        })
        .collect();
    let mut held = vec![[0_i64; 3]; marks.len()];
    let mut cells_of: Vec<Vec<usize>> = vec![Vec::new(); marks.len()];
    for (cell, marks) in of_cell.iter().enumerate() {
        for &mark in marks {
            (0..3).for_each(|s| held[mark][s] += targets[cell][s]);
            cells_of[mark].push(cell);
        }
    }
    for mark in 0..held.len() {
        if held[mark].iter().sum::<i64>() < wanted.len() as i64 {
            continue;
        }
        for &to in &wanted {
            if held[mark][to] > 0 {
                continue;
            }
            // From where the value is most frequent, and where no other value loses its last row.
            let donor = cells_of[mark]
                .iter()
                .flat_map(|&cell| wanted.iter().map(move |&from| (cell, from)))
                .filter(|&(cell, from)| {
                    from != to && targets[cell][from] > 0 && of_cell[cell].iter().all(|&m| held[m][from] > 1)
                })
                .max_by_key(|&(cell, from)| (held[mark][from], targets[cell][from], std::cmp::Reverse(cell)));
            if let Some((cell, from)) = donor {
                targets[cell][from] -= 1;
                targets[cell][to] += 1;
                for &m in &of_cell[cell] {
                    held[m][from] -= 1;
                    held[m][to] += 1;
                }
            }
        }
    }
}

/// Gives a split that large groups left empty the smallest group of the split with most groups.
fn fill_empty(placed: &mut [(usize, &Vec<usize>)], shares: [f64; 3], stock: &Stock<'_>) -> Result<()> {
    for split in (0..3).filter(|&s| shares[s] > 0.0) {
        let mut counts = [0_usize; 3];
        placed.iter().for_each(|(s, _)| counts[*s] += 1);
        if counts[split] > 0 {
            continue;
        }
        let donor = (0..3).filter(|&s| counts[s] > 1).max_by_key(|&s| counts[s]);
        let moved = donor.and_then(|donor| placed.iter_mut().rev().find(|(s, _)| *s == donor));
        let Some(moved) = moved else {
            return Err(DataError::TooFewRows {
                rows: stock.cells.len() as u64,
                groups: stock.groups.len() as u64,
                split: SPLITS[split],
            });
        };
        moved.0 = split;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn singles(cells: &[usize]) -> Vec<Vec<usize>> {
        (0..cells.len()).map(|row| vec![row]).collect()
    }

    fn names(cells: usize) -> Vec<Vec<String>> {
        (0..cells).map(|cell| vec![format!("v{cell}")]).collect()
    }

    fn count(splits: &[Split], rows: impl Fn(usize) -> bool) -> [usize; 3] {
        SPLITS.map(|split| splits.iter().enumerate().filter(|(row, s)| **s == split && rows(*row)).count())
    }

    #[test]
    fn many_cells_of_one_row_do_not_all_go_to_the_largest_split() {
        let cells: Vec<usize> = (0..100).collect();
        let stock = Stock { cells: &cells, values: &names(100), groups: &singles(&cells) };
        let splits = divide(&stock, &SplitPlan::default()).unwrap();
        assert_eq!(count(&splits, |_| true), [30, 50, 20]);
    }

    #[test]
    fn a_value_of_three_rows_is_in_every_split() {
        let cells: Vec<usize> = (0..103).map(|row| usize::from(row >= 100)).collect();
        let stock = Stock { cells: &cells, values: &names(2), groups: &singles(&cells) };
        let plan = SplitPlan { train: 0.8, dev: 0.15, test: 0.05 };
        let splits = divide(&stock, &plan).unwrap();
        assert_eq!(count(&splits, |row| row >= 100), [1, 1, 1]);
    }

    #[test]
    fn a_split_of_share_zero_gets_nothing() {
        let cells = [0; 11];
        let stock = Stock { cells: &cells, values: &names(1), groups: &singles(&cells) };
        let splits = divide(&stock, &SplitPlan { train: 0.0, dev: 0.7, test: 0.3 }).unwrap();
        assert_eq!(count(&splits, |_| true), [0, 8, 3]);
    }

    #[test]
    fn too_few_groups_are_refused() {
        let cells = [0; 6];
        let groups = vec![vec![0, 1, 2], vec![3, 4, 5]];
        let stock = Stock { cells: &cells, values: &names(1), groups: &groups };
        let refused = divide(&stock, &SplitPlan::default());
        assert!(matches!(refused, Err(DataError::TooFewRows { rows: 6, groups: 2, .. })));
        let refused = divide(&stock, &SplitPlan { train: f64::NAN, dev: 0.5, test: 0.5 });
        assert!(matches!(refused, Err(DataError::BadShares)));
        let refused = divide(&stock, &SplitPlan { train: 0.0, dev: 0.0, test: 0.0 });
        assert!(matches!(refused, Err(DataError::BadShares)));
    }

    #[test]
    fn three_groups_of_any_size_fill_three_splits() {
        let cells = [0; 102];
        let groups = vec![(0..100).collect(), vec![100], vec![101]];
        let stock = Stock { cells: &cells, values: &names(1), groups: &groups };
        let splits = divide(&stock, &SplitPlan::default()).unwrap();
        assert!(count(&splits, |_| true).iter().all(|&rows| rows > 0));
    }

    #[test]
    fn links_are_transitive() {
        let mut links = Links::new(5);
        links.tie([1, 1, 2, 3, 4].iter());
        links.tie([1, 2, 2, 3, 4].iter());
        assert_eq!(links.groups(), [vec![0, 1, 2], vec![3], vec![4]]);
    }

    proptest! {
        #[test]
        fn single_rows_meet_the_shares_within_one_row_per_cell(
            cells in prop::collection::vec(0_usize..5, 60..300),
        ) {
            let stock = Stock { cells: &cells, values: &names(5), groups: &singles(&cells) };
            let splits = divide(&stock, &SplitPlan::default()).unwrap();
            for cell in 0..5 {
                let rows = cells.iter().filter(|&&c| c == cell).count();
                let found = count(&splits, |row| cells[row] == cell);
                for (found, share) in found.into_iter().zip([0.3, 0.5, 0.2]) {
                    // Below ten rows a split may get a row more, so that no value is absent.
                    let slack = if rows < 10 { 2.0 } else { 1.0 };
                    prop_assert!((found as f64 - share * rows as f64).abs() <= slack, "{rows} {found}");
                }
            }
            let all = count(&splits, |_| true);
            for (found, share) in all.into_iter().zip([0.3, 0.5, 0.2]) {
                prop_assert!((found as f64 - share * cells.len() as f64).abs() <= 3.0);
            }
        }

        #[test]
        fn no_group_straddles_and_cells_stay_within_the_largest_group(
            rows in prop::collection::vec((0_usize..3, 0_usize..60), 100..400),
        ) {
            // Every group lies in one cell, as clusters within a slice do.
            let cells: Vec<usize> = rows.iter().map(|(cell, _)| *cell).collect();
            let mut links = Links::new(rows.len());
            links.tie(rows.iter());
            let groups = links.groups();
            let stock = Stock { cells: &cells, values: &names(3), groups: &groups };
            let splits = divide(&stock, &SplitPlan::default()).unwrap();
            let largest = groups.iter().map(Vec::len).max().unwrap();
            for group in &groups {
                prop_assert!(group.iter().all(|&row| splits[row] == splits[group[0]]));
            }
            for cell in 0..3 {
                let rows = cells.iter().filter(|&&c| c == cell).count();
                let found = count(&splits, |row| cells[row] == cell);
                for (found, share) in found.into_iter().zip([0.3, 0.5, 0.2]) {
                    prop_assert!((found as f64 - share * rows as f64).abs() <= (largest + 1) as f64);
                }
            }
        }
    }
}
