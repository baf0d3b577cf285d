//! What is registered before a row is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The share of `alpha` that the aggregate test may spend; the rest pays for scoping narrowly when the aggregate is
/// not proven. Chosen by simulation: shipping and scoping together then keep `alpha`.
///
/// It holds without slices as well, where there is nothing to scope to. Spending all of `alpha` there would win three to
/// four points of power, but false ships then reach 6% on small one-trial tests, whose statistic takes few values.
pub const SHIP_SHARE: f64 = 0.8;

/// What the arm has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Better than the baseline by at least the minimum effect.
    Superiority,
    /// Not worse than the baseline by more than the margin, usually for a gain in cost or latency.
    NonInferiority,
}

/// How the minimum effect is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectEvidence {
    /// The lower bound reaches the minimum effect. The default, and the only reading under which the promise is about
    /// the minimum effect.
    #[default]
    ProvenMargin,
    /// The lower bound is above zero and the estimate reaches the minimum effect. Ships many arms whose truth is just
    /// below the minimum effect.
    ProvenGain,
}

/// How the loss floor is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FloorEvidence {
    /// Every slice's lower bound is above the floor. The default.
    #[default]
    Proven,
    /// Every slice's estimate is above the floor. About half of all slices that truly sit at the floor pass.
    Estimate,
}

/// The registered readings of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", default)]
pub struct Evidence {
    /// How the minimum effect is read.
    pub effect: EffectEvidence,
    /// How the loss floor is read.
    pub floor: FloorEvidence,
}

/// The resource in which a non-inferior arm must gain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GainMetric {
    /// Cost per row.
    Cost,
    /// Latency per row.
    Latency,
}

impl GainMetric {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Latency => "latency",
        }
    }
}

/// A gain in cost or latency that must be proven beside non-inferiority.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct RequiredGain {
    /// Which resource.
    pub metric: GainMetric,
    /// The least reduction of its mean, as a fraction of the baseline's mean, in `[0, 1)`.
    pub min_reduction: f64,
}

/// What decides when the severity-weighted and the plain ranking differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TieBreak {
    /// The severity-weighted ranking: an arm that it ranks below the baseline does not ship. The default.
    #[default]
    SeverityWeighted,
    /// The plain ranking; the difference is printed.
    Unweighted,
}

/// A registered failure mode with its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct FailureModeWeight {
    /// The mode's id, as it appears in the records.
    pub id: String,
    /// Its severity weight, above zero. The largest marks the most severe mode.
    pub severity_weight: f64,
}

/// The registered ship rule. All effects are fractions: 0.05 is five percentage points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct RuleSpec {
    /// What the arm has to show.
    pub objective: Objective,
    /// Superiority: the minimum effect, in `[0, 1)`. Non-inferiority: the size of the margin, in `(0, 1)`; its sign is
    /// ignored.
    pub min_effect: f64,
    /// The loss floor of every slice, in `(-1, 0]`: no slice may truly lose more than this.
    pub loss_floor: f64,
    /// The registered readings of the evidence.
    #[serde(default)]
    pub evidence: Evidence,
    /// Family-wise one-sided error, in `(0, 0.5)`.
    #[serde(default = "default_alpha")]
    pub alpha: f64,
    /// The power a design should reach, in `(0, 1)`.
    #[serde(default = "default_power")]
    pub power: f64,
    /// The gain in cost or latency that must be proven; non-inferiority only.
    #[serde(default)]
    pub required_gain: Option<RequiredGain>,
    /// What decides when severity-weighted and plain rankings differ.
    #[serde(default)]
    pub tie_break: TieBreak,
    /// The registered failure modes; may be empty.
    #[serde(default)]
    pub failure_modes: Vec<FailureModeWeight>,
}

fn default_alpha() -> f64 {
    0.05
}

fn default_power() -> f64 {
    0.8
}

/// Why a rule is not well formed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A number is outside its range.
    #[error("{field} must be {range}, got {got}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its range, in words.
        range: &'static str,
        /// The value.
        got: f64,
    },
    /// `proven_gain` asks for a gain over zero, which non-inferiority does not claim.
    #[error("evidence.effect `proven_gain` is not defined for non-inferiority; use `proven_margin`")]
    ProvenGainForNonInferiority,
    /// A required gain without non-inferiority.
    #[error("a required gain in cost or latency belongs to the non_inferiority objective")]
    GainForSuperiority,
    /// A failure mode is registered twice.
    #[error("failure mode `{id}` is registered twice")]
    DuplicateFailureMode {
        /// Its id.
        id: String,
    },
}

impl RuleSpec {
    /// A superiority rule with default readings, `alpha` 5% and power 80%. `min_effect` and `loss_floor` are fractions.
    ///
    /// # Errors
    /// When a number is outside its range.
    pub fn superiority(min_effect: f64, loss_floor: f64) -> Result<Self, SpecError> {
        Self::with_objective(Objective::Superiority, min_effect, loss_floor).validated()
    }

    /// A non-inferiority rule with default readings, `alpha` 5% and power 80%. `margin` is the largest loss that is
    /// accepted in the aggregate, a fraction; its sign is ignored.
    ///
    /// # Errors
    /// When a number is outside its range.
    pub fn non_inferiority(margin: f64, loss_floor: f64) -> Result<Self, SpecError> {
        Self::with_objective(Objective::NonInferiority, margin, loss_floor).validated()
    }

    fn with_objective(objective: Objective, min_effect: f64, loss_floor: f64) -> Self {
        Self {
            objective,
            min_effect,
            loss_floor,
            evidence: Evidence::default(),
            alpha: default_alpha(),
            power: default_power(),
            required_gain: None,
            tie_break: TieBreak::default(),
            failure_modes: Vec::new(),
        }
    }

    /// The rule itself when it is well formed.
    ///
    /// # Errors
    /// As [`RuleSpec::validate`].
    pub fn validated(self) -> Result<Self, SpecError> {
        self.validate()?;
        Ok(self)
    }

    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// The first field that is out of range, or a combination that has no meaning.
    pub fn validate(&self) -> Result<(), SpecError> {
        let check = |ok: bool, field, range, got| {
            if ok { Ok(()) } else { Err(SpecError::OutOfRange { field, range, got }) }
        };
        match self.objective {
            Objective::Superiority => {
                check((0.0..1.0).contains(&self.min_effect), "min_effect", "in [0, 1)", self.min_effect)?;
                if self.required_gain.is_some() {
                    return Err(SpecError::GainForSuperiority);
                }
            }
            Objective::NonInferiority => {
                let margin = self.min_effect.abs();
                check(margin > 0.0 && margin < 1.0, "the non-inferiority margin", "in (0, 1)", self.min_effect)?;
                if self.evidence.effect == EffectEvidence::ProvenGain {
                    return Err(SpecError::ProvenGainForNonInferiority);
                }
            }
        }
        check(self.loss_floor > -1.0 && self.loss_floor <= 0.0, "loss_floor", "in (-1, 0]", self.loss_floor)?;
        check(self.alpha > 0.0 && self.alpha < 0.5, "alpha", "in (0, 0.5)", self.alpha)?;
        check(self.power > 0.0 && self.power < 1.0, "power", "in (0, 1)", self.power)?;
        if let Some(gain) = self.required_gain {
            check(
                (0.0..1.0).contains(&gain.min_reduction),
                "required_gain.min_reduction",
                "in [0, 1)",
                gain.min_reduction,
            )?;
        }
        for (i, mode) in self.failure_modes.iter().enumerate() {
            check(
                mode.severity_weight > 0.0 && mode.severity_weight.is_finite(),
                "failure_modes.severity_weight",
                "above zero",
                mode.severity_weight,
            )?;
            if self.failure_modes[..i].iter().any(|other| other.id == mode.id) {
                return Err(SpecError::DuplicateFailureMode { id: mode.id.clone() });
            }
        }
        Ok(())
    }

    /// The effect `m` that a shipped arm must truly exceed: the minimum effect, or minus the margin.
    #[must_use]
    pub fn margin(&self) -> f64 {
        match self.objective {
            Objective::Superiority => self.min_effect,
            Objective::NonInferiority => -self.min_effect.abs(),
        }
    }

    /// The effect that the aggregate test is held against: [`RuleSpec::margin`], or zero under `proven_gain`.
    #[must_use]
    pub fn tested_effect(&self) -> f64 {
        match self.evidence.effect {
            EffectEvidence::ProvenMargin => self.margin(),
            EffectEvidence::ProvenGain => 0.0,
        }
    }
}
