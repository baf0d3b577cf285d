//! Reading the scores of `analyze` into tables, one per experiment.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use csv::StringRecord;
use itera_core::rule::{Observation, RowAttributes, Table, TableBuilder};

use super::frame::Frame;

/// All experiments of a file.
pub(super) struct Scores {
    /// Name (when the file has an `experiment` column) and table, in the order of first appearance.
    pub experiments: Vec<(Option<String>, Table)>,
    pub has_experiments: bool,
    /// What a reader should know about how the file was read.
    pub notes: Vec<String>,
}

/// Where the columns are.
struct Columns {
    row: usize,
    arm: usize,
    trial: usize,
    score: usize,
    slices: Vec<usize>,
    slice_names: Vec<String>,
    stratum: Option<usize>,
    cluster: Option<usize>,
    severity: Option<usize>,
    modes: Option<usize>,
    cost: Option<usize>,
    latency: Option<usize>,
    experiment: Option<usize>,
}

impl Columns {
    fn find(headers: &StringRecord, frame: &Frame, notes: &mut Vec<String>) -> anyhow::Result<Self> {
        let names: Vec<&str> = headers.iter().map(|h| h.trim_start_matches('\u{feff}').trim()).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) && !name.is_empty() {
                bail!("line 1: column `{name}` appears twice; rename or drop one of them");
            }
        }
        let find = |name: &str| names.iter().position(|n| *n == name);
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                anyhow!(
                    "line 1: column `{name}` is missing; analyze needs row_id, arm, trial and score, the file has {}",
                    names.join(", ")
                )
            })
        };
        let (row, arm, trial, score) = (need("row_id")?, need("arm")?, need("trial")?, need("score")?);
        let mut slices = Vec::new();
        let mut slice_names = Vec::new();
        let mut absent = Vec::new();
        for name in &frame.slices {
            match find(name) {
                Some(at) => {
                    slices.push(at);
                    slice_names.push(name.clone());
                }
                None => absent.push(name.as_str()),
            }
        }
        if !absent.is_empty() {
            // Frames sometimes list the values of the one slice column instead of its name.
            match find("slice") {
                Some(at) if slices.is_empty() => {
                    notes.push(format!(
                        "the frame's slices ({}) are not columns; they are read as values of the column `slice`",
                        absent.join(", ")
                    ));
                    slices.push(at);
                    slice_names.push("slice".to_owned());
                }
                _ => bail!(
                    "line 1: the frame names the slice column(s) {}, the file has {}; add the column or drop the slice",
                    absent.join(", "),
                    names.join(", ")
                ),
            }
        }
        Ok(Self {
            row,
            arm,
            trial,
            score,
            slices,
            slice_names,
            stratum: find("stratum"),
            cluster: find("cluster"),
            severity: find("severity"),
            modes: find("failure_modes"),
            cost: find("cost_usd"),
            latency: find("latency_ms"),
            experiment: find("experiment"),
        })
    }

    /// Chooses the column that the production mix speaks of, by its name or by the first line's values.
    fn settle_strata(&mut self, headers: &StringRecord, first: &StringRecord, frame: &Frame) -> anyhow::Result<()> {
        let Some(mix) = &frame.production else { return Ok(()) };
        if let Some(column) = &mix.column {
            let at = headers.iter().position(|h| h.trim_start_matches('\u{feff}').trim() == column);
            let at = at.ok_or_else(|| {
                anyhow!("line 1: production_mix is given for column `{column}`, which the file lacks")
            })?;
            self.stratum = Some(at);
            return Ok(());
        }
        let candidates: Vec<usize> = self.stratum.into_iter().chain(self.slices.iter().copied()).collect();
        let knows =
            |at: &&usize| mix.shares.iter().any(|(value, _)| Some(value.as_str()) == first.get(**at).map(str::trim));
        match candidates.iter().find(knows).or(candidates.first()) {
            Some(&at) => {
                self.stratum = Some(at);
                Ok(())
            }
            None => bail!("production_mix is given, but the file has neither a `stratum` nor a slice column"),
        }
    }
}

/// The fields of one line.
struct Line<'a> {
    record: &'a StringRecord,
    number: u64,
}

impl<'a> Line<'a> {
    fn text(&self, at: usize) -> &'a str {
        self.record.get(at).unwrap_or_default().trim()
    }

    fn optional(&self, at: Option<usize>) -> Option<&'a str> {
        at.map(|at| self.text(at)).filter(|text| !text.is_empty())
    }

    fn number(&self, at: usize, column: &str) -> anyhow::Result<f64> {
        let text = self.text(at);
        text.parse().map_err(|_| {
            let hint = if text.is_empty() {
                "it is empty; score the row or remove it from every arm"
            } else {
                "it must be a number"
            };
            anyhow!("line {}: column `{column}` holds `{text}`: {hint}", self.number)
        })
    }

    fn optional_number(&self, at: Option<usize>, column: &str) -> anyhow::Result<Option<f64>> {
        match at {
            Some(at) if !self.text(at).is_empty() => self.number(at, column).map(Some),
            _ => Ok(None),
        }
    }

    fn trial(&self, at: usize) -> anyhow::Result<u32> {
        let text = self.text(at);
        if let Ok(trial) = text.parse::<u32>() {
            return Ok(trial);
        }
        // Spreadsheets and data frames write whole numbers as 1.0.
        match text.parse::<f64>() {
            Ok(trial) if trial.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&trial) => Ok(trial as u32),
            _ => bail!("line {}: column `trial` holds `{text}`: it must be a whole number", self.number),
        }
    }
}

pub(super) fn read(path: &Path, frame: &Frame) -> anyhow::Result<Scores> {
    let place = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read the scores {}", path.display()))?;
    let mut reader = csv::ReaderBuilder::new().flexible(false).buffer_capacity(1 << 18).from_reader(file);
    let mut notes = Vec::new();
    let headers = reader.headers().with_context(place)?.clone();
    let mut columns = Columns::find(&headers, frame, &mut notes).with_context(place)?;
    let mut record = StringRecord::new();
    let mut builders: Vec<(Option<String>, TableBuilder)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut current = usize::MAX;
    let mut modes = Vec::new();
    let mut is_first = true;
    while reader.read_record(&mut record).with_context(place)? {
        if is_first {
            columns.settle_strata(&headers, &record, frame).with_context(place)?;
            is_first = false;
        }
        let line = Line { record: &record, number: record.position().map_or(0, csv::Position::line) };
        let name = columns.experiment.map(|at| line.text(at));
        if current == usize::MAX || builders[current].0.as_deref() != name {
            current = match known.get(name.unwrap_or_default()) {
                Some(&at) => at,
                None => {
                    let builder = start(frame, &columns)?;
                    known.insert(name.unwrap_or_default().to_owned(), builders.len());
                    builders.push((name.map(str::to_owned), builder));
                    builders.len() - 1
                }
            };
        }
        add(&mut builders[current].1, &columns, &line, &mut modes).with_context(place)?;
    }
    if builders.is_empty() {
        bail!("{}: there are no scores below the header", path.display());
    }
    let mut experiments = Vec::with_capacity(builders.len());
    for (name, builder) in builders {
        let table = builder.build().with_context(|| match &name {
            Some(name) => format!("{}: experiment `{name}`", path.display()),
            None => place(),
        })?;
        experiments.push((name, table));
    }
    Ok(Scores { experiments, has_experiments: columns.experiment.is_some(), notes })
}

fn start(frame: &Frame, columns: &Columns) -> anyhow::Result<TableBuilder> {
    let builder = TableBuilder::new(&frame.baseline, &frame.arms, &columns.slice_names)
        .context("the frame's arms do not make an experiment")?;
    Ok(match &frame.production {
        Some(mix) => builder.production_mix(mix.shares.iter().map(|(value, share)| (value.as_str(), *share))),
        None => builder,
    })
}

fn add(builder: &mut TableBuilder, columns: &Columns, line: &Line<'_>, modes: &mut Vec<u32>) -> anyhow::Result<()> {
    let at_line = || format!("line {}", line.number);
    let row_id = line.text(columns.row);
    if row_id.is_empty() {
        bail!("line {}: column `row_id` is empty", line.number);
    }
    let arm_id = line.text(columns.arm);
    let Some(arm) = builder.arm(arm_id) else {
        return Err(builder.unknown_arm(arm_id, row_id)).with_context(at_line);
    };
    let mut values = [None; 16];
    let wide;
    let slices: &[Option<&str>] = if columns.slices.len() <= values.len() {
        for (value, &at) in values.iter_mut().zip(&columns.slices) {
            *value = line.optional(Some(at));
        }
        &values[..columns.slices.len()]
    } else {
        wide = columns.slices.iter().map(|&at| line.optional(Some(at))).collect::<Vec<_>>();
        &wide
    };
    let attributes = RowAttributes {
        stratum: line.optional(columns.stratum),
        cluster: line.optional(columns.cluster),
        severity: line.optional_number(columns.severity, "severity")?,
        slices,
    };
    let row = builder.row(row_id, attributes).with_context(at_line)?;
    modes.clear();
    if let Some(text) = line.optional(columns.modes) {
        for mode in text.split(';').map(str::trim).filter(|mode| !mode.is_empty()) {
            modes.push(builder.mode(mode));
        }
    }
    let seen = Observation {
        trial: line.trial(columns.trial)?,
        score: line.number(columns.score, "score")?,
        failure_modes: modes,
        cost_usd: line.optional_number(columns.cost, "cost_usd")?,
        latency_ms: line.optional_number(columns.latency, "latency_ms")?,
    };
    builder.observe(row, arm, seen).with_context(at_line)
}
