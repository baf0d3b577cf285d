//! From long-form records, one per row, arm and trial, to a [`Table`].

mod intern;

use intern::Interner;
use itera_stats::MIN_ROWS;

use super::{ArmColumn, ModeColumns, SliceColumn, Table, TableError, TrialCounts};

const NONE: u32 = u32::MAX;

/// A row that was announced to the builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowId(u32);

/// What is known of a row beside its scores. It must be the same in every record of the row.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowAttributes<'a> {
    /// Stratum of the sample.
    pub stratum: Option<&'a str>,
    /// Cluster: rows of one cluster share luck (an entity, a document, a conversation).
    pub cluster: Option<&'a str>,
    /// Severity weight, above zero.
    pub severity: Option<f64>,
    /// One value per slice column, in the builder's order; `None` for a row that belongs to no slice of the column.
    pub slices: &'a [Option<&'a str>],
}

/// One answer: a trial of one arm on one row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observation<'a> {
    /// The trial's number, any distinct numbers.
    pub trial: u32,
    /// The score in `[0, 1]`.
    pub score: f64,
    /// Failure modes, as numbers from [`TableBuilder::mode`].
    pub failure_modes: &'a [u32],
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Latency in milliseconds.
    pub latency_ms: Option<f64>,
}

/// A long-form record with names instead of numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// The row's id.
    pub row: &'a str,
    /// The arm's id, or the baseline's.
    pub arm: &'a str,
    /// The trial's number.
    pub trial: u32,
    /// The score in `[0, 1]`.
    pub score: f64,
    /// What is known of the row.
    pub attributes: RowAttributes<'a>,
    /// Failure modes.
    pub failure_modes: &'a [&'a str],
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Latency in milliseconds.
    pub latency_ms: Option<f64>,
}

/// Collects records in any order and builds a [`Table`] whose rows, strata, slices and clusters are in the order of
/// their names, so that the order of recording cannot reach a result.
///
/// Unequal numbers of trials are accepted: each row counts once, with the mean over the trials it has, and the verdict
/// discloses it. A row that an arm did not score at all is an error.
pub struct TableBuilder {
    arms: Interner,
    slice_columns: Vec<String>,
    slice_values: Vec<Interner>,
    rows: Interner,
    strata: Interner,
    clusters: Interner,
    modes: Interner,
    production: Option<Vec<(String, f64)>>,
    // Per row.
    row_stratum: Vec<u32>,
    row_cluster: Vec<u32>,
    row_severity: Vec<f64>,
    row_slices: Vec<u32>,
    // Per record.
    record_row: Vec<u32>,
    record_arm: Vec<u16>,
    record_trial: Vec<u32>,
    record_score: Vec<f64>,
    record_cost: Vec<f64>,
    record_latency: Vec<f64>,
    record_modes: Vec<(u32, u32)>,
    scratch_modes: Vec<u32>,
}

impl TableBuilder {
    /// A builder for one baseline, its candidate arms and the slice columns.
    ///
    /// # Errors
    /// [`TableError::Arms`] without a candidate or when two arms share an id.
    pub fn new<A: AsRef<str>, S: AsRef<str>>(
        baseline: &str,
        candidates: &[A],
        slice_columns: &[S],
    ) -> Result<Self, TableError> {
        let mut arms = Interner::default();
        arms.intern(baseline);
        if candidates.is_empty() {
            return Err(TableError::Arms { id: baseline.to_owned(), problem: "alone" });
        }
        for arm in candidates {
            let before = arms.len();
            if arms.intern(arm.as_ref()) as usize != before {
                return Err(TableError::Arms { id: arm.as_ref().to_owned(), problem: "named twice" });
            }
        }
        if arms.len() > usize::from(u16::MAX) {
            return Err(TableError::TooMany { what: "arms" });
        }
        Ok(Self {
            arms,
            slice_values: slice_columns.iter().map(|_| Interner::default()).collect(),
            slice_columns: slice_columns.iter().map(|s| s.as_ref().to_owned()).collect(),
            rows: Interner::default(),
            strata: Interner::default(),
            clusters: Interner::default(),
            modes: Interner::default(),
            production: None,
            row_stratum: Vec::new(),
            row_cluster: Vec::new(),
            row_severity: Vec::new(),
            row_slices: Vec::new(),
            record_row: Vec::new(),
            record_arm: Vec::new(),
            record_trial: Vec::new(),
            record_score: Vec::new(),
            record_cost: Vec::new(),
            record_latency: Vec::new(),
            record_modes: Vec::new(),
            scratch_modes: Vec::new(),
        })
    }

    /// Registers the production mix: the share of each stratum, in any unit (shares, percent, counts). Without it rows
    /// weigh the same.
    #[must_use]
    pub fn production_mix<S: Into<String>>(mut self, shares: impl IntoIterator<Item = (S, f64)>) -> Self {
        self.production = Some(shares.into_iter().map(|(name, share)| (name.into(), share)).collect());
        self
    }

    /// Reserves room for this many rows and records.
    #[must_use]
    pub fn with_capacity(mut self, rows: usize, records: usize) -> Self {
        self.rows = Interner::with_capacity(rows);
        self.row_stratum.reserve(rows);
        self.row_cluster.reserve(rows);
        self.row_severity.reserve(rows);
        self.row_slices.reserve(rows * self.slice_columns.len());
        self.record_row.reserve(records);
        self.record_arm.reserve(records);
        self.record_trial.reserve(records);
        self.record_score.reserve(records);
        self
    }

    /// The number of an arm: 0 for the baseline, then the candidates in the given order.
    #[must_use]
    pub fn arm(&self, id: &str) -> Option<usize> {
        self.arms.get(id).map(|id| id as usize)
    }

    /// The number of a failure mode, given on first use.
    pub fn mode(&mut self, id: &str) -> u32 {
        self.modes.intern(id)
    }

    /// Announces a row, or finds it again and checks that its attributes have not changed.
    ///
    /// # Errors
    /// When attributes differ from the row's earlier ones, severity is not above zero, or the number of slice values
    /// is not the number of slice columns.
    pub fn row(&mut self, id: &str, attributes: RowAttributes<'_>) -> Result<RowId, TableError> {
        let columns = self.slice_columns.len();
        if attributes.slices.len() != columns {
            return Err(TableError::SliceCount { row: id.to_owned(), got: attributes.slices.len(), expected: columns });
        }
        let known = self.rows.len();
        let row = self.rows.intern(id);
        if row == NONE {
            return Err(TableError::TooMany { what: "rows" });
        }
        if (row as usize) < known {
            return self.recheck(row, id, attributes);
        }
        if let Some(severity) = attributes.severity
            && !(severity > 0.0 && severity.is_finite())
        {
            return Err(TableError::BadSeverity { row: id.to_owned(), severity });
        }
        self.row_stratum.push(attributes.stratum.map_or(NONE, |s| self.strata.intern(s)));
        self.row_cluster.push(attributes.cluster.map_or(NONE, |c| self.clusters.intern(c)));
        self.row_severity.push(attributes.severity.unwrap_or(f64::NAN));
        for (value, interner) in attributes.slices.iter().zip(&mut self.slice_values) {
            self.row_slices.push(value.map_or(NONE, |v| interner.intern(v)));
        }
        Ok(RowId(row))
    }

    fn recheck(&self, row: u32, id: &str, attributes: RowAttributes<'_>) -> Result<RowId, TableError> {
        let at = row as usize;
        let differs = |interner: &Interner, stored: u32, given: Option<&str>| -> Option<(String, String)> {
            let first = (stored != NONE).then(|| interner.name(stored));
            (first != given).then(|| (first.unwrap_or("").to_owned(), given.unwrap_or("").to_owned()))
        };
        let conflict = |attribute: &str, (first, second): (String, String)| TableError::ConflictingAttribute {
            row: id.to_owned(),
            attribute: attribute.to_owned(),
            first,
            second,
        };
        if let Some(values) = differs(&self.strata, self.row_stratum[at], attributes.stratum) {
            return Err(conflict("stratum", values));
        }
        if let Some(values) = differs(&self.clusters, self.row_cluster[at], attributes.cluster) {
            return Err(conflict("cluster", values));
        }
        let severity = self.row_severity[at];
        if attributes.severity.unwrap_or(f64::NAN).to_bits() != severity.to_bits() {
            let show = |s: f64| {
                if s.is_nan() { String::new() } else { s.to_string() }
            };
            return Err(conflict("severity", (show(severity), attributes.severity.map_or_else(String::new, show))));
        }
        let columns = self.slice_columns.len();
        for (i, value) in attributes.slices.iter().enumerate() {
            let stored = self.row_slices[at * columns + i];
            if let Some(values) = differs(&self.slice_values[i], stored, *value) {
                return Err(conflict(&format!("slice column `{}`", self.slice_columns[i]), values));
            }
        }
        Ok(RowId(row))
    }

    /// Adds one answer of an arm (a number from [`TableBuilder::arm`]) on a row.
    ///
    /// # Errors
    /// When the score is not in `[0, 1]`, or cost or latency is negative or not finite.
    ///
    /// # Panics
    /// When `row` or `arm` is not of this builder.
    pub fn observe(&mut self, row: RowId, arm: usize, seen: Observation<'_>) -> Result<(), TableError> {
        assert!((row.0 as usize) < self.rows.len() && arm < self.arms.len(), "row and arm come from this builder");
        let place = |b: &Self| (b.rows.name(row.0).to_owned(), b.arms.name(arm as u32).to_owned());
        if !(0.0..=1.0).contains(&seen.score) {
            let (row, arm) = place(self);
            return Err(TableError::BadScore { row, arm, trial: seen.trial, score: seen.score });
        }
        let record = self.record_row.len();
        if record >= NONE as usize {
            return Err(TableError::TooMany { what: "records" });
        }
        for (metric, value, column) in
            [("cost", seen.cost_usd, &mut self.record_cost), ("latency", seen.latency_ms, &mut self.record_latency)]
        {
            match value {
                Some(value) if !(value >= 0.0 && value.is_finite()) => {
                    let (row, arm) = (self.rows.name(row.0).to_owned(), self.arms.name(arm as u32).to_owned());
                    return Err(TableError::BadResource { metric, row, arm, trial: seen.trial, value });
                }
                Some(value) => {
                    column.resize(record, f64::NAN);
                    column.push(value);
                }
                None if column.is_empty() => {}
                None => column.push(f64::NAN),
            }
        }
        for (i, &mode) in seen.failure_modes.iter().enumerate() {
            if !seen.failure_modes[..i].contains(&mode) {
                self.record_modes.push((record as u32, mode));
            }
        }
        self.record_row.push(row.0);
        self.record_arm.push(arm as u16);
        self.record_trial.push(seen.trial);
        self.record_score.push(seen.score);
        Ok(())
    }

    /// Adds a record by names: [`TableBuilder::row`] and [`TableBuilder::observe`] in one.
    ///
    /// # Errors
    /// As those two, and when the arm is not in the frame.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), TableError> {
        let Some(arm) = self.arm(record.arm) else {
            return Err(self.unknown_arm(record.arm, record.row));
        };
        let row = self.row(record.row, record.attributes)?;
        let mut modes = std::mem::take(&mut self.scratch_modes);
        modes.clear();
        modes.extend(record.failure_modes.iter().map(|m| self.modes.intern(m)));
        let seen = Observation {
            trial: record.trial,
            score: record.score,
            failure_modes: &modes,
            cost_usd: record.cost_usd,
            latency_ms: record.latency_ms,
        };
        let done = self.observe(row, arm, seen);
        self.scratch_modes = modes;
        done
    }

    /// The error for an arm that the frame does not name.
    #[must_use]
    pub fn unknown_arm(&self, arm: &str, row: &str) -> TableError {
        let known: Vec<String> = (0..self.arms.len() as u32).map(|id| format!("`{}`", self.arms.name(id))).collect();
        TableError::UnknownArm { arm: arm.to_owned(), row: row.to_owned(), known: known.join(", ") }
    }

    /// Builds the table.
    ///
    /// # Errors
    /// For duplicate trials, rows that an arm did not score, fewer than 12 rows, attributes that only some rows carry,
    /// and a production mix that does not fit the strata.
    pub fn build(self) -> Result<Table, TableError> {
        let n = self.rows.len();
        if n < MIN_ROWS {
            return Err(TableError::TooFewRows { needed: MIN_ROWS, got: n });
        }
        // Rows in the order of their ids.
        let order = self.rows.order();
        let arms = self.collect_arms(&order)?;
        let slices = self.collect_slices(&order);
        let (stratum, stratum_names, shares, weighted) = self.collect_strata(&order)?;
        let clusters = self.collect_clusters(&order)?;
        let severity = self.collect_severity(&order)?;
        let modes = (0..self.modes.len() as u32).map(|m| self.modes.name(m).to_owned()).collect();
        Ok(Table { n, stratum, stratum_names, shares, weighted, clusters, severity, slices, modes, arms })
    }

    fn collect_arms(&self, order: &[u32]) -> Result<Vec<ArmColumn>, TableError> {
        let (n, width) = (order.len(), self.arms.len());
        let records = self.record_row.len();
        // Counting sort of the records by row and arm.
        let cell_of = |record: usize| self.record_row[record] as usize * width + usize::from(self.record_arm[record]);
        let mut start = vec![0u32; n * width + 1];
        for record in 0..records {
            start[cell_of(record) + 1] += 1;
        }
        if let Some(missing) = start[1..].iter().position(|&count| count == 0) {
            // The first in the order of names, so that the message does not depend on the order of recording.
            let first = order
                .iter()
                .flat_map(|&row| (0..width).map(move |arm| (row, arm)))
                .find(|&(row, arm)| start[row as usize * width + arm + 1] == 0)
                .unwrap_or((self.row_of(missing, width), missing % width));
            return Err(TableError::MissingPairs {
                count: start[1..].iter().filter(|&&count| count == 0).count(),
                row: self.rows.name(first.0).to_owned(),
                arm: self.arms.name(first.1 as u32).to_owned(),
            });
        }
        for i in 1..start.len() {
            start[i] += start[i - 1];
        }
        let mut next = start.clone();
        let mut sorted = vec![0u32; records];
        for record in 0..records {
            let slot = &mut next[cell_of(record)];
            sorted[*slot as usize] = record as u32;
            *slot += 1;
        }
        drop(next);

        let has_cost = !self.record_cost.is_empty();
        let has_latency = !self.record_latency.is_empty();
        let resource = |column: &[f64], record: u32| column.get(record as usize).copied().unwrap_or(f64::NAN);
        let mut columns = Vec::with_capacity(width);
        for arm in 0..width {
            let mut column = ArmColumn {
                name: self.arms.name(arm as u32).to_owned(),
                mean: Vec::with_capacity(n),
                within: Vec::with_capacity(n),
                trials: TrialCounts { min: u32::MAX, max: 0 },
                modes: None,
                cost: has_cost.then(|| Vec::with_capacity(n)),
                latency: has_latency.then(|| Vec::with_capacity(n)),
            };
            for &row in order {
                let cell = row as usize * width + arm;
                let run = &mut sorted[start[cell] as usize..start[cell + 1] as usize];
                run.sort_unstable_by_key(|&record| self.record_trial[record as usize]);
                if let Some(pair) = run
                    .windows(2)
                    .find(|pair| self.record_trial[pair[0] as usize] == self.record_trial[pair[1] as usize])
                {
                    return Err(TableError::DuplicateTrial {
                        row: self.rows.name(row).to_owned(),
                        arm: column.name,
                        trial: self.record_trial[pair[0] as usize],
                    });
                }
                let k = run.len() as f64;
                let mean = run.iter().map(|&r| self.record_score[r as usize]).sum::<f64>() / k;
                let within = if run.len() > 1 {
                    run.iter().map(|&r| (self.record_score[r as usize] - mean).powi(2)).sum::<f64>() / (k - 1.0) / k
                } else {
                    0.0
                };
                column.mean.push(mean);
                column.within.push(within);
                column.trials.min = column.trials.min.min(run.len() as u32);
                column.trials.max = column.trials.max.max(run.len() as u32);
                for (target, source) in
                    [(&mut column.cost, &self.record_cost), (&mut column.latency, &self.record_latency)]
                {
                    if let Some(target) = target {
                        target.push(mean_recorded(run.iter().map(|&r| resource(source, r))));
                    }
                }
            }
            columns.push(column);
        }
        self.collect_modes(order, &start, &mut columns);
        Ok(columns)
    }

    fn row_of(&self, cell: usize, width: usize) -> u32 {
        (cell / width) as u32
    }

    fn collect_modes(&self, order: &[u32], start: &[u32], columns: &mut [ArmColumn]) {
        if self.modes.len() == 0 {
            return;
        }
        let (n, width) = (order.len(), columns.len());
        let mut position = vec![0u32; n];
        for (at, &row) in order.iter().enumerate() {
            position[row as usize] = at as u32;
        }
        let mut modes: Vec<ModeColumns> = (0..width)
            .map(|_| ModeColumns { share: vec![vec![0.0; n]; self.modes.len()], count: vec![0; self.modes.len()] })
            .collect();
        // Whole counts first, divided once: the order of records cannot leave a trace in the rounding.
        for &(record, mode) in &self.record_modes {
            let row = self.record_row[record as usize] as usize;
            let arm = usize::from(self.record_arm[record as usize]);
            modes[arm].share[mode as usize][position[row] as usize] += 1.0;
            modes[arm].count[mode as usize] += 1;
        }
        for (arm, mut found) in modes.into_iter().enumerate() {
            for share in &mut found.share {
                for (value, &row) in share.iter_mut().zip(order) {
                    let cell = row as usize * width + arm;
                    *value /= (start[cell + 1] - start[cell]) as f32;
                }
            }
            columns[arm].modes = Some(found);
        }
    }

    fn collect_slices(&self, order: &[u32]) -> Vec<SliceColumn> {
        let columns = self.slice_columns.len();
        self.slice_values
            .iter()
            .enumerate()
            .map(|(i, interner)| {
                let (rank, values) = interner.ranked();
                let member = order
                    .iter()
                    .map(|&row| match self.row_slices[row as usize * columns + i] {
                        NONE => SliceColumn::NONE,
                        value => rank[value as usize],
                    })
                    .collect();
                SliceColumn { name: self.slice_columns[i].clone(), values, member }
            })
            .collect()
    }

    /// A column that all rows carry, or none; an error names the first row that lacks it.
    fn all_or_none(&self, attribute: &'static str, has: impl Fn(usize) -> bool) -> Result<bool, TableError> {
        let n = self.rows.len();
        let given = (0..n).filter(|&row| has(row)).count();
        if given == 0 || given == n {
            return Ok(given == n);
        }
        let row = self.rows.order().into_iter().find(|&row| !has(row as usize)).unwrap_or(0);
        Err(TableError::MissingAttribute { row: self.rows.name(row).to_owned(), attribute })
    }

    #[expect(clippy::type_complexity, reason = "four columns of one table, taken apart at the only call")]
    fn collect_strata(&self, order: &[u32]) -> Result<(Vec<u32>, Vec<String>, Vec<f64>, bool), TableError> {
        let n = order.len();
        if !self.all_or_none("stratum", |row| self.row_stratum[row] != NONE)? {
            if let Some((stratum, share)) = self.production.iter().flatten().next() {
                return Err(TableError::EmptyStratum { stratum: stratum.clone(), percent: 100.0 * share.min(1.0) });
            }
            return Ok((vec![0; n], vec!["all".to_owned()], vec![1.0], false));
        }
        let (rank, names) = self.strata.ranked();
        let column: Vec<u32> = order.iter().map(|&row| rank[self.row_stratum[row as usize] as usize]).collect();
        let mut shares = vec![0.0; names.len()];
        match &self.production {
            None => {
                for &s in &column {
                    shares[s as usize] += 1.0 / n as f64;
                }
            }
            Some(mix) => {
                let total: f64 = mix.iter().map(|(_, share)| share).sum();
                for (stratum, share) in mix {
                    if !(*share >= 0.0 && share.is_finite() && total > 0.0) {
                        return Err(TableError::BadShare { stratum: stratum.clone(), share: *share });
                    }
                    match names.binary_search(stratum) {
                        Ok(at) if *share > 0.0 => shares[at] += share / total,
                        Ok(_) => {
                            return Err(TableError::BadShare { stratum: stratum.clone(), share: *share });
                        }
                        Err(_) if *share > 0.0 => {
                            return Err(TableError::EmptyStratum {
                                stratum: stratum.clone(),
                                percent: 100.0 * share / total,
                            });
                        }
                        Err(_) => {}
                    }
                }
                if let Some(missing) = shares.iter().position(|&share| share == 0.0) {
                    let row = column.iter().position(|&s| s as usize == missing).unwrap_or(0);
                    return Err(TableError::UnknownStratum {
                        row: self.rows.name(order[row]).to_owned(),
                        stratum: names[missing].clone(),
                    });
                }
            }
        }
        Ok((column, names, shares, self.production.is_some()))
    }

    fn collect_clusters(&self, order: &[u32]) -> Result<Option<(Vec<u32>, usize)>, TableError> {
        if !self.all_or_none("cluster", |row| self.row_cluster[row] != NONE)? {
            return Ok(None);
        }
        let (rank, names) = self.clusters.ranked();
        let column = order.iter().map(|&row| rank[self.row_cluster[row as usize] as usize]).collect();
        Ok(Some((column, names.len())))
    }

    fn collect_severity(&self, order: &[u32]) -> Result<Option<Vec<f64>>, TableError> {
        if !self.all_or_none("severity", |row| !self.row_severity[row].is_nan())? {
            return Ok(None);
        }
        Ok(Some(order.iter().map(|&row| self.row_severity[row as usize]).collect()))
    }
}

/// The mean of the values that were recorded; NaN when none was.
fn mean_recorded(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.filter(|v| !v.is_nan()).fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v));
    if n == 0 { f64::NAN } else { sum / n as f64 }
}
