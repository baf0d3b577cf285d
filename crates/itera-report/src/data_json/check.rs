//! Semantic checks: what the types of [`super::DataJson`] cannot say.

use super::{Arm, DataError, DataJson, Effect, Problem, Role, SCHEMA_VERSION, Slice};
use std::collections::{BTreeMap, BTreeSet};

/// Tolerance of sums and orders that were rounded on their way into the file.
const ROUNDING: f64 = 1e-6;

pub(super) fn validate(data: &DataJson) -> Result<(), DataError> {
    if let Some(found) = data.schema_version.filter(|v| *v > SCHEMA_VERSION) {
        return Err(DataError::TooNew { found });
    }
    let mut check = Check {
        problems: Vec::new(),
        arms: data.arms.iter().map(|a| a.id.as_str()).collect(),
        slices: data.slices.iter().map(|s| s.id.as_str()).collect(),
        baseline: data.arms.first().map(|a| a.id.as_str()),
    };
    check.experiment(data);
    check.arms(&data.arms);
    check.slices(&data.slices);
    check.scores(data);
    check.effects(data);
    check.failure_modes(data);
    check.course(data);
    check.power(data);
    check.record(data);
    check.verdict(data);
    if check.problems.is_empty() { Ok(()) } else { Err(DataError::Invalid { problems: check.problems }) }
}

struct Check<'a> {
    problems: Vec<Problem>,
    arms: BTreeSet<&'a str>,
    slices: BTreeSet<&'a str>,
    baseline: Option<&'a str>,
}

impl<'a> Check<'a> {
    fn say(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), message: message.into() });
    }

    fn within(&mut self, path: &str, value: f64, low: f64, high: f64) {
        if !value.is_finite() {
            self.say(path, format!("{value} is not a finite number"));
        } else if value < low - ROUNDING || value > high + ROUNDING {
            let range = if high.is_infinite() { format!("at least {low}") } else { format!("from {low} to {high}") };
            self.say(path, format!("{value} is out of range, expected {range}"));
        }
    }

    fn share(&mut self, path: &str, value: f64) {
        self.within(path, value, 0.0, 1.0);
    }

    fn difference(&mut self, path: &str, value: f64) {
        self.within(path, value, -1.0, 1.0);
    }

    fn amount(&mut self, path: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.within(path, value, 0.0, f64::INFINITY);
        }
    }

    fn known_arm(&mut self, path: &str, id: &str) {
        if !self.arms.contains(id) {
            self.say(path, format!("`{id}` is not among `arms`"));
        }
    }

    fn candidate(&mut self, path: &str, id: &str) {
        self.known_arm(path, id);
        if self.baseline == Some(id) {
            self.say(path, format!("`{id}` is the baseline (the first arm), which has no effect against itself"));
        }
    }

    fn known_slice(&mut self, path: &str, id: &str) {
        if !self.slices.contains(id) {
            self.say(path, format!("`{id}` is not among `slices`"));
        }
    }

    fn interval(&mut self, path: &str, low: Option<f64>, mid: f64, high: Option<f64>) {
        match (low, high) {
            (Some(low), Some(high)) => {
                if low > high {
                    self.say(path, format!("ci_low {low} is above ci_high {high}"));
                } else if low > mid + ROUNDING || high < mid - ROUNDING {
                    self.say(path, format!("the estimate {mid} is outside its interval [{low}, {high}]"));
                }
            }
            (None, None) => {}
            _ => self.say(path, "only one end of the interval is given"),
        }
    }

    fn experiment(&mut self, data: &DataJson) {
        if let Some(pp) = data.experiment.threshold_pct {
            self.within("experiment.threshold_pct", pp, -100.0, 100.0);
        }
        if data.experiment.trials_per_arm == Some(0) {
            self.say("experiment.trials_per_arm", "must be at least 1");
        }
        if let Some(rule) = data.ship_rule {
            self.within("ship_rule.min_effect_pp", rule.min_effect_pp, -100.0, 100.0);
            if let Some(pp) = rule.loss_floor_pp {
                self.within("ship_rule.loss_floor_pp", pp, -100.0, 100.0);
            }
            self.within("ship_rule.alpha", rule.alpha, 0.0, 0.5);
        }
    }

    fn arms(&mut self, arms: &'a [Arm]) {
        if arms.is_empty() {
            self.say("arms", "is empty, expected the baseline first");
        }
        let mut seen = BTreeSet::new();
        for (i, arm) in arms.iter().enumerate() {
            let path = format!("arms[{i}]");
            if arm.id.is_empty() {
                self.say(format!("{path}.id"), "is empty");
            }
            if !seen.insert(arm.id.as_str()) {
                self.say(format!("{path}.id"), format!("`{}` appears twice", arm.id));
            }
            match arm.role {
                Some(Role::Baseline) if i > 0 => self.say(format!("{path}.role"), "the baseline must be the first arm"),
                Some(role) if i == 0 && role != Role::Baseline => {
                    self.say(format!("{path}.role"), "the first arm must be the baseline");
                }
                _ => {}
            }
            self.amount(&format!("{path}.cost_per_1k_usd"), arm.cost_per_1k_usd);
            if let Some(mean) = arm.dev_mean {
                self.share(&format!("{path}.dev_mean"), mean);
            }
            if let Some(score) = arm.test_score {
                let path = format!("{path}.test_score");
                self.share(&format!("{path}.mean"), score.mean);
                for (key, end) in [("ci_low", score.ci_low), ("ci_high", score.ci_high)] {
                    if let Some(end) = end {
                        self.share(&format!("{path}.{key}"), end);
                    }
                }
                self.interval(&path, score.ci_low, score.mean, score.ci_high);
            }
            if let Some(cost) = arm.cost {
                self.amount(&format!("{path}.cost.steady_mean_usd"), cost.steady_mean_usd);
                self.amount(&format!("{path}.cost.first_call_mean_usd"), cost.first_call_mean_usd);
                self.amount(&format!("{path}.cost.per_1k_ci_low_usd"), cost.per_1k_ci_low_usd);
                self.amount(&format!("{path}.cost.per_1k_ci_high_usd"), cost.per_1k_ci_high_usd);
                let mid = arm.cost_per_1k_usd.or(cost.per_1k_ci_low_usd).unwrap_or_default();
                self.interval(&format!("{path}.cost"), cost.per_1k_ci_low_usd, mid, cost.per_1k_ci_high_usd);
            }
            if let Some(latency) = arm.latency {
                self.amount(&format!("{path}.latency.mean_ms"), latency.mean_ms);
                self.amount(&format!("{path}.latency.p50_ms"), latency.p50_ms);
                self.amount(&format!("{path}.latency.p95_ms"), latency.p95_ms);
            }
            if let Some(tokens) = arm.tokens {
                self.amount(&format!("{path}.tokens.input_mean"), tokens.input_mean);
                self.amount(&format!("{path}.tokens.output_mean"), tokens.output_mean);
            }
        }
    }

    fn slices(&mut self, slices: &'a [Slice]) {
        let mut seen = BTreeSet::new();
        for (i, slice) in slices.iter().enumerate() {
            if !seen.insert(slice.id.as_str()) {
                self.say(format!("slices[{i}].id"), format!("`{}` appears twice", slice.id));
            }
            for (key, share) in [("production_share", slice.production_share), ("test_share", slice.test_share)] {
                if let Some(share) = share {
                    self.share(&format!("slices[{i}].{key}"), share);
                }
            }
        }
    }

    fn scores(&mut self, data: &DataJson) {
        for (key, trials) in [("variance_trials", &data.variance_trials), ("test_set_trials", &data.test_set_trials)] {
            for (arm, means) in trials {
                self.known_arm(&format!("{key}.{arm}"), arm);
                for (i, mean) in means.iter().enumerate() {
                    self.share(&format!("{key}.{arm}[{i}]"), *mean);
                }
            }
        }
        self.arm_shares("test_set_aggregate", &data.test_set_aggregate);
        for (arm, slices) in &data.test_set_per_slice {
            self.known_arm(&format!("test_set_per_slice.{arm}"), arm);
            for (slice, mean) in slices {
                let path = format!("test_set_per_slice.{arm}.{slice}");
                self.known_slice(&path, slice);
                self.share(&path, *mean);
            }
        }
        if let Some(severity) = &data.severity {
            self.arm_shares("severity.test_set_weighted_accuracy", &severity.test_set_weighted_accuracy);
            for (arm, effect) in &severity.effect_sizes {
                let path = format!("severity.effect_sizes.{arm}");
                self.candidate(&path, arm);
                self.effect(&path, effect);
            }
        }
    }

    fn arm_shares(&mut self, key: &str, shares: &BTreeMap<String, f64>) {
        for (arm, mean) in shares {
            let path = format!("{key}.{arm}");
            self.known_arm(&path, arm);
            self.share(&path, *mean);
        }
    }

    fn effects(&mut self, data: &DataJson) {
        for (arm, effects) in &data.effect_sizes {
            let path = format!("effect_sizes.{arm}");
            self.candidate(&path, arm);
            self.effect(&format!("{path}.aggregate"), &effects.aggregate);
            for (slice, effect) in &effects.per_slice {
                let path = format!("{path}.per_slice.{slice}");
                self.known_slice(&path, slice);
                self.effect(&path, effect);
            }
        }
    }

    fn effect(&mut self, path: &str, effect: &Effect) {
        self.difference(&format!("{path}.delta"), effect.delta);
        for (key, value) in [
            ("ci_low", effect.ci_low),
            ("ci_high", effect.ci_high),
            ("lower_bound", effect.lower_bound),
            ("upper_bound", effect.upper_bound),
        ] {
            if let Some(value) = value {
                self.difference(&format!("{path}.{key}"), value);
            }
        }
        self.interval(path, effect.ci_low, effect.delta, effect.ci_high);
        if let Some(p) = effect.p_value {
            self.share(&format!("{path}.p_value"), p);
        }
        self.amount(&format!("{path}.n_star"), effect.n_star);
        self.amount(&format!("{path}.mde"), effect.mde);
        self.amount(&format!("{path}.noise_se"), effect.noise_se);
        if let Some(d) = effect.discordance {
            self.share(&format!("{path}.discordance.wins"), d.wins);
            self.share(&format!("{path}.discordance.losses"), d.losses);
        }
    }

    fn failure_modes(&mut self, data: &DataJson) {
        let Some(modes) = &data.failure_modes else { return };
        let mut known = BTreeSet::new();
        for (i, mode) in modes.categories.iter().enumerate() {
            if !known.insert(mode.id.as_str()) {
                self.say(format!("failure_modes.categories[{i}].id"), format!("`{}` appears twice", mode.id));
            }
            self.amount(&format!("failure_modes.categories[{i}].severity_weight"), mode.severity_weight);
        }
        if modes.answers_per_arm == Some(0) {
            self.say("failure_modes.answers_per_arm", "must be at least 1");
        }
        for (arm, rates) in &modes.test_set_rates {
            let path = format!("failure_modes.test_set_rates.{arm}");
            self.known_arm(&path, arm);
            for (mode, found) in rates {
                self.share(&format!("{path}.{mode}.rate"), found.rate);
                self.difference(&format!("{path}.{mode}.change"), found.change.unwrap_or(0.0));
            }
        }
        for (arm, counts) in &modes.test_set_counts {
            let path = format!("failure_modes.test_set_counts.{arm}");
            self.known_arm(&path, arm);
            for (mode, count) in counts {
                if !known.contains(mode.as_str()) {
                    self.say(format!("{path}.{mode}"), format!("`{mode}` is not among `failure_modes.categories`"));
                }
                if modes.answers_per_arm.is_some_and(|most| *count > most) {
                    self.say(format!("{path}.{mode}"), format!("{count} is more than the answers that were given"));
                }
            }
        }
    }

    fn course(&mut self, data: &DataJson) {
        for (i, it) in data.iterations.iter().enumerate() {
            let path = format!("iterations[{i}]");
            self.known_arm(&format!("{path}.arm"), &it.arm);
            if let Some(effect) = it.effect {
                self.difference(&format!("{path}.effect"), effect);
            }
            self.amount(&format!("{path}.se"), it.se);
        }
        for (i, gate) in data.gates.iter().enumerate() {
            for arm in &gate.killed {
                self.candidate(&format!("gates[{i}].killed"), arm);
            }
        }
        for (i, point) in data.trajectory.iter().enumerate() {
            let path = format!("trajectory[{i}]");
            self.known_arm(&format!("{path}.arm"), &point.arm);
            self.share(&format!("{path}.mean"), point.mean);
            for (key, end) in [("ci_low", point.ci_low), ("ci_high", point.ci_high)] {
                if let Some(end) = end {
                    self.share(&format!("{path}.{key}"), end);
                }
            }
            self.interval(&path, point.ci_low, point.mean, point.ci_high);
        }
        for (i, judge) in data.judge_agreement.iter().enumerate() {
            let path = format!("judge_agreement[{i}]");
            self.share(&format!("{path}.agreement"), judge.agreement);
            for (key, value) in [("kappa", judge.kappa), ("kappa_ci_low", judge.kappa_ci_low)] {
                if let Some(value) = value {
                    self.difference(&format!("{path}.{key}"), value);
                }
            }
        }
    }

    fn power(&mut self, data: &DataJson) {
        for (i, point) in data.operating_characteristics.iter().enumerate() {
            let path = format!("operating_characteristics[{i}]");
            self.within(&format!("{path}.truth_pp"), point.truth_pp, -100.0, 100.0);
            let shares = [
                ("ship", point.ship),
                ("scope", point.scope),
                ("kill", point.kill),
                ("underpowered", point.underpowered),
            ];
            for (key, share) in shares {
                self.share(&format!("{path}.{key}"), share);
            }
            let sum: f64 = shares.iter().map(|(_, share)| share).sum();
            // Shares may have been rounded to whole percents.
            if sum.is_finite() && (sum - 1.0).abs() > 0.02 {
                self.say(path, format!("the chances sum to {sum}, expected 1"));
            }
        }
        if let Some(design) = data.design {
            self.share("design.power", design.power);
            self.within("design.planned_effect_pp", design.planned_effect_pp, -100.0, 100.0);
        }
    }

    fn record(&mut self, data: &DataJson) {
        if let Some(level) = data.interval_level {
            self.share("interval_level", level);
        }
        if let Some(spend) = data.spend {
            self.amount("spend.cost_usd", Some(spend.cost_usd));
            if spend.failed_calls > spend.calls {
                self.say("spend.failed_calls", format!("{} is more than the calls", spend.failed_calls));
            }
        }
        for (i, cell) in data.sample.iter().flat_map(|s| &s.distribution).enumerate() {
            let path = format!("sample.distribution[{i}]");
            self.share(&format!("{path}.production_share"), cell.production_share);
            self.share(&format!("{path}.sample_share"), cell.sample_share);
            self.difference(&format!("{path}.gap"), cell.gap);
        }
        for (arm, found) in &data.dev_to_test {
            let path = format!("dev_to_test.{arm}");
            self.candidate(&path, arm);
            self.difference(&format!("{path}.dev_effect"), found.dev_effect);
            self.difference(&format!("{path}.test_effect"), found.test_effect);
            self.within(&format!("{path}.drop"), found.drop, -2.0, 2.0);
            self.amount(&format!("{path}.noise"), Some(found.noise));
        }
    }

    fn verdict(&mut self, data: &DataJson) {
        // The original form is looser: its `winner` may also be a phrase such as "none".
        if let Some(winner) = data.verdict.winner.as_deref().filter(|_| data.schema_version.is_some()) {
            self.known_arm("verdict.winner", winner);
        }
        for arm in &data.verdict.killed {
            self.candidate("verdict.killed", arm);
        }
        for (i, verdict) in data.verdict.per_arm.iter().enumerate() {
            let path = format!("verdict.per_arm[{i}]");
            self.candidate(&format!("{path}.arm"), &verdict.arm);
            for slice in &verdict.slices {
                self.known_slice(&format!("{path}.slices"), slice);
            }
            for slice in &verdict.floor_open {
                self.known_slice(&format!("{path}.floor_open"), slice);
            }
            for (key, p) in [("p_value", verdict.p_value), ("p_adjusted", verdict.p_adjusted)] {
                if let Some(p) = p {
                    self.share(&format!("{path}.{key}"), p);
                }
            }
        }
    }
}
