//! `auto-itera plan`: what a rule can see on given rows, before anything is locked.
//!
//! Prints the operating characteristics of the rule, the number of rows that reaches its power and, given a pool of
//! labelled rows, the split that serves it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use itera_core::plan::{
    ASSUMED_DISCORDANCES, Allocation, Design, OperatingCharacteristics, SampleSize, Simulation, SplitSearch,
    operating_characteristics, sample_size, search_split,
};
use itera_core::rule::{EffectEvidence, Evidence, FloorEvidence, RuleSpec};
use serde_json::json;

/// Largest test that the search for rows tries.
const LARGEST_TEST: usize = 10_000;

/// What the arm has to show.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ObjectiveArg {
    /// Better by at least the minimum effect.
    Superiority,
    /// Not worse by more than the margin.
    NonInferiority,
}

/// How the minimum effect is read.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum EffectArg {
    /// The lower bound reaches the minimum effect.
    ProvenMargin,
    /// The lower bound is above zero, the estimate reaches the minimum effect.
    ProvenGain,
}

/// How the loss floor is read.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum FloorArg {
    /// Every slice's lower bound is above the floor.
    Proven,
    /// Every slice's estimate is above the floor.
    Estimate,
}

/// Simulate a ship rule before locking it: how often would it ship, scope, kill or stay underpowered?
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Test rows.
    #[arg(long)]
    pub rows: usize,
    /// Slices with their production shares, as in `en=50,de=30,fr=20`.
    #[arg(long, default_value = "")]
    pub slices: String,
    /// Minimum effect in percentage points; the margin for non-inferiority.
    #[arg(long, default_value_t = 5.0)]
    pub min_effect_pp: f64,
    /// How many percentage points a slice may lose at most.
    #[arg(long, default_value_t = 2.0, allow_negative_numbers = true)]
    pub loss_floor_pp: f64,
    /// Candidate arms.
    #[arg(long, default_value_t = 1)]
    pub arms: usize,
    /// Trials per row.
    #[arg(long, default_value_t = 3)]
    pub trials: u32,
    /// Chance (0..1) that one trial of an arm without effect disagrees with the baseline; 0.1, 0.2 and 0.3 when absent.
    #[arg(long)]
    pub discordance: Option<f64>,
    /// The baseline's accuracy (0..1).
    #[arg(long, default_value_t = 0.7)]
    pub accuracy: f64,
    /// Clusters among the rows.
    #[arg(long)]
    pub clusters: Option<usize>,
    /// What the arm has to show.
    #[arg(long, value_enum, default_value = "superiority")]
    pub objective: ObjectiveArg,
    /// How the minimum effect is read.
    #[arg(long, value_enum, default_value = "proven_margin")]
    pub evidence_effect: EffectArg,
    /// How the loss floor is read.
    #[arg(long, value_enum, default_value = "proven")]
    pub evidence_floor: FloorArg,
    /// Family-wise one-sided error.
    #[arg(long, default_value_t = 0.05)]
    pub alpha: f64,
    /// Power that the design should reach.
    #[arg(long, default_value_t = 0.8)]
    pub power: f64,
    /// Labelled rows in all: also searches the split into test and the rest.
    #[arg(long)]
    pub pool: Option<usize>,
    /// Experiments simulated per truth.
    #[arg(long, default_value_t = 2000)]
    pub replicates: u64,
    /// Seed of the simulation.
    #[arg(long, default_value_t = 20_260)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What was found for one assumed discordance.
struct Found {
    discordance: f64,
    characteristics: OperatingCharacteristics,
    size: SampleSize,
    split: Option<SplitSearch>,
}

/// Simulates and prints.
///
/// # Errors
/// When the rule or the design is not well formed, or `out` cannot be written.
pub fn run(args: &PlanArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let rule = rule(args)?;
    let mut found = Vec::new();
    let discordances = args.discordance.map_or(ASSUMED_DISCORDANCES.to_vec(), |d| vec![d]);
    let slices = slices(&args.slices)?;
    let simulation = Simulation { replicates: args.replicates, seed: args.seed, threads: 0 };
    // A search simulates a dozen sizes; a quarter of the experiments keeps it interactive.
    let search = Simulation { replicates: (args.replicates / 4).max(200), ..simulation };
    for discordance in discordances {
        let mut design = Design::new(args.rows, discordance).with_slices(slices.clone());
        design.arms = args.arms;
        design.trials = args.trials;
        design.accuracy = args.accuracy;
        design.clusters = args.clusters;
        found.push(Found {
            discordance,
            characteristics: operating_characteristics(&rule, &design, simulation)?,
            size: sample_size(&rule, &design, None, LARGEST_TEST, search)?,
            split: args.pool.map(|pool| search_split(&rule, &design, pool, search)).transpose()?,
        });
    }
    if args.json {
        let plans: Vec<_> = found
            .iter()
            .map(|f| {
                json!({
                    "discordance": f.discordance,
                    "operating_characteristics": f.characteristics,
                    "sample_size": f.size,
                    "split": f.split,
                })
            })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &json!({ "rule": rule, "rows": args.rows, "plans": plans }))?;
        writeln!(out)?;
    } else {
        for f in &found {
            text(f, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rule(args: &PlanArgs) -> anyhow::Result<RuleSpec> {
    let mut rule = match args.objective {
        ObjectiveArg::Superiority => {
            RuleSpec::superiority(args.min_effect_pp / 100.0, -args.loss_floor_pp.abs() / 100.0)
        }
        ObjectiveArg::NonInferiority => {
            RuleSpec::non_inferiority(args.min_effect_pp / 100.0, -args.loss_floor_pp.abs() / 100.0)
        }
    }?;
    rule.evidence = Evidence {
        effect: match args.evidence_effect {
            EffectArg::ProvenMargin => EffectEvidence::ProvenMargin,
            EffectArg::ProvenGain => EffectEvidence::ProvenGain,
        },
        floor: match args.evidence_floor {
            FloorArg::Proven => FloorEvidence::Proven,
            FloorArg::Estimate => FloorEvidence::Estimate,
        },
    };
    rule.alpha = args.alpha;
    rule.power = args.power;
    Ok(rule.validated()?)
}

/// `a=50,b=30` as names and shares.
fn slices(text: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let mut slices: Vec<(String, f64)> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, share) = part
            .split_once('=')
            .with_context(|| format!("--slices: `{part}` is not a name and a share; write en=50,de=30,fr=20"))?;
        let share: f64 = share
            .trim()
            .parse()
            .with_context(|| format!("--slices: the share of `{}` is not a number", name.trim()))?;
        if slices.iter().any(|(known, _)| known == name.trim()) {
            bail!("--slices: `{}` is named twice", name.trim());
        }
        slices.push((name.trim().to_owned(), share));
    }
    Ok(slices)
}

fn text(found: &Found, out: &mut dyn Write) -> anyhow::Result<()> {
    let characteristics = &found.characteristics;
    writeln!(out, "discordance {:.0}%", 100.0 * found.discordance)?;
    let width = characteristics.points.iter().map(|p| p.label.len()).max().unwrap_or(0).max("if the truth is".len());
    writeln!(
        out,
        "  {:<width$}  {:>6} {:>6} {:>6} {:>12}",
        "if the truth is", "ship", "scope", "kill", "underpowered"
    )?;
    for point in &characteristics.points {
        writeln!(
            out,
            "  {:<width$}  {:>5.0}% {:>5.0}% {:>5.0}% {:>11.0}%",
            point.label,
            100.0 * point.ship,
            100.0 * point.scope,
            100.0 * point.kill,
            100.0 * point.underpowered
        )?;
    }
    let effect = 100.0 * characteristics.planned_effect;
    let verdict = if characteristics.reaches_power { "reaches" } else { "does not reach" };
    writeln!(
        out,
        "  power at {effect:+.1}pp: {:.0}%; the design {verdict} the registered {:.0}%",
        100.0 * characteristics.power,
        100.0 * characteristics.required_power
    )?;
    match found.size.rows {
        Some(rows) => writeln!(out, "  about {rows} test rows reach it")?,
        None => writeln!(out, "  {} test rows do not reach it ({:.0}%)", found.size.limit, 100.0 * found.size.power)?,
    }
    if let Some(split) = &found.split {
        for (i, option) in split.options.iter().enumerate() {
            writeln!(
                out,
                "  {} test {:>3.0}% = {:>6} rows, {:<12} slices: ship {:>3.0}%, scope {:>3.0}%",
                if i == split.recommended { "*" } else { " " },
                100.0 * option.test_share,
                option.test_rows,
                match option.allocation {
                    Allocation::Proportional => "proportional",
                    Allocation::Equal => "equal",
                },
                100.0 * option.ship,
                100.0 * option.scope
            )?;
        }
    }
    for assumption in &characteristics.assumptions {
        writeln!(out, "  assumes {assumption}")?;
    }
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::slices;

    #[test]
    fn slices_are_names_and_shares() {
        assert_eq!(slices(" en=50, de = 30 ").unwrap(), [("en".to_owned(), 50.0), ("de".to_owned(), 30.0)]);
        assert!(slices("").unwrap().is_empty());
        for wrong in ["en", "en=x", "en=1,en=2"] {
            assert!(slices(wrong).is_err(), "{wrong}");
        }
    }
}
