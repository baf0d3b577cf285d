//! `source_rows`: rows sampled, grouped, stratified, split and sealed.

use super::{Move, permit};
use crate::event::{Event, SeenBefore};
use crate::guards::{GuardId, Rejection};
use crate::ids::Digest;
use crate::sample::SampleSummary;
use crate::state::State;

/// Fewest test rows of a slice for which an interval exists.
pub const MIN_SLICE_ROWS: u64 = 12;
/// Stakes that vary by more than this many times need a severity weight.
pub const SEVERITY_SPREAD: f64 = 5.0;
/// Largest share of the sample that one entity may hold.
pub const DOMINANT_SHARE: f64 = 1.0 / 3.0;

/// Record the sample that was drawn.
#[derive(Debug, Clone)]
pub struct Source {
    /// Counts and audit.
    pub summary: SampleSummary,
    /// Digest of the metadata of all rows.
    pub rows_digest: Digest,
    /// Earlier experiments of the project that saw rows of this test.
    pub seen_before: Vec<SeenBefore>,
}

pub(super) fn decide(state: &State, command: Source) -> Result<Vec<Event>, Rejection> {
    permit(state, Move::Source)?;
    let mut rejection = Rejection::default();
    let Some(frame) = &state.frame else {
        return Ok(Vec::new());
    };
    let s = &command.summary;
    let attempted = "`source_rows`";
    for cell in &s.distribution {
        let splits = [
            ("train", cell.splits.train, 1),
            ("dev", cell.splits.dev, 1),
            ("test", cell.splits.test, if cell.is_slice { MIN_SLICE_ROWS } else { 1 }),
        ];
        for (split, rows, least) in splits {
            if rows < least {
                rejection.refuse(
                    GuardId::StratifiedSplit,
                    attempted,
                    format!(
                        "{} `{}` = `{}` has {rows} row(s) in {split} of {} sampled; at least {least} are needed",
                        if cell.is_slice { "slice" } else { "stratum" },
                        cell.column,
                        cell.value,
                        cell.sampled
                    ),
                );
            }
        }
    }
    if s.splits.test < MIN_SLICE_ROWS {
        rejection.refuse(
            GuardId::StratifiedSplit,
            attempted,
            format!("the test has {} rows; at least {MIN_SLICE_ROWS} are needed for any interval", s.splits.test),
        );
    }
    let waived = |guard: GuardId| frame.acknowledged.get(guard.name()).is_some_and(|r| r.trim().chars().count() >= 20);
    if let Some(share) = s.dominant_entity_share
        && share > DOMINANT_SHARE
        && !waived(GuardId::ReflectDistribution)
    {
        rejection.refuse(
            GuardId::ReflectDistribution,
            attempted,
            format!(
                "one entity holds {:.0}% of the sample; at most {:.0}% are allowed",
                share * 100.0,
                DOMINANT_SHARE * 100.0
            ),
        );
    }
    if frame.severity.is_none() && !waived(GuardId::SeverityDeclared) {
        for (column, spread) in s.numeric_spread.iter().filter(|(_, r)| **r > SEVERITY_SPREAD) {
            rejection.refuse(
                GuardId::SeverityDeclared,
                attempted,
                format!("column `{column}` varies {spread:.0}-fold between its 5th and 95th percentile and no severity is registered"),
            );
        }
    }
    let opened: Vec<&SeenBefore> = command.seen_before.iter().filter(|s| s.in_opened_test > 0).collect();
    if !opened.is_empty() && !waived(GuardId::NoIterationAfterVerdict) {
        for seen in opened {
            rejection.refuse(
                GuardId::NoIterationAfterVerdict,
                attempted,
                format!(
                    "{} of {} test rows were in the test of `{}`, which was opened: its scores are known",
                    seen.in_opened_test, s.splits.test, seen.experiment
                ),
            );
        }
        if let Some(last) = rejection.guards.last_mut() {
            last.remedy = "Abandon and frame anew on rows logged since; or, knowing that the verdict is weaker for it, give a reason under `acknowledged[\"no-iteration-after-verdict\"]`, which is printed.".into();
        }
    }
    rejection.or(vec![Event::RowsSourced {
        summary: Box::new(command.summary),
        rows_digest: command.rows_digest,
        seen_before: command.seen_before,
    }])
}

#[cfg(test)]
mod tests {
    use crate::command::testkit::{Bench, rows, source, summary};
    use crate::command::{Command, source::Source};
    use crate::event::SeenBefore;
    use crate::guards::GuardId as G;
    use crate::sample::SampleSummary;
    use crate::scores::rows_digest;

    fn source_of(change: impl Fn(&mut SampleSummary)) -> Command {
        let mut summary = summary();
        change(&mut summary);
        Command::Source(Source { summary, rows_digest: rows_digest(&rows()), seen_before: Vec::new() })
    }

    #[test]
    fn rows_before_the_lock_are_refused() {
        assert_eq!(Bench::default().refused(source()), [G::FrameFirst]);
    }

    #[test]
    fn drawing_twice_is_refused() {
        assert_eq!(Bench::sourced().refused(source()), [G::SealedTest]);
    }

    #[test]
    fn a_slice_without_test_rows_is_refused_with_its_numbers() {
        let rejection = Bench::framed().when(source_of(|s| s.distribution[1].splits.test = 5)).unwrap_err();
        assert_eq!(rejection.guards[0].guard, G::StratifiedSplit);
        assert!(rejection.guards[0].why.contains("`small` has 5 row(s) in test"));
    }

    #[test]
    fn rows_of_an_opened_test_are_refused_and_other_seen_rows_are_kept_on_record() {
        let seen = |opened: u64| {
            Command::Source(Source {
                summary: summary(),
                rows_digest: rows_digest(&rows()),
                seen_before: vec![SeenBefore {
                    experiment: "2025-01-01-old".into(),
                    in_opened_test: opened,
                    in_train_or_dev: 9,
                }],
            })
        };
        assert_eq!(Bench::framed().refused(seen(4)), [G::NoIterationAfterVerdict]);
        assert!(Bench::framed().when(seen(0)).is_ok());
    }

    #[test]
    fn a_dominant_entity_is_refused() {
        assert_eq!(
            Bench::framed().refused(source_of(|s| s.dominant_entity_share = Some(0.4))),
            [G::ReflectDistribution]
        );
    }

    #[test]
    fn unequal_stakes_without_severity_are_refused() {
        let command = source_of(|s| {
            s.numeric_spread.insert("amount".into(), 40.0);
        });
        assert_eq!(Bench::framed().refused(command), [G::SeverityDeclared]);
    }
}
