//! Charts, drawn from a [`DataJson`] alone: SVG first, PNG from the SVG.
//!
//! Data's way through: one module per chart lays the figures out on a `card` (title, subtitle,
//! notes, background), which writes shapes and text to a `canvas`; `raster` turns the SVG into a
//! PNG. Geometry goes through plotters' SVG backend at a hundredth of a pixel; text is written by the
//! canvas, since it must be measured with the embedded fonts (`text`) to be kept apart and unclipped.
//!
//! The same data gives the same bytes: no clock, no system fonts, no hash maps.

mod arm_bar;
mod axis;
mod canvas;
mod card;
mod cost_vs_accuracy;
mod failure_modes;
mod forest_plot;
mod labels;
mod loop_diagram;
mod palette;
mod power;
mod raster;
mod text;
mod trajectory;
mod words;

#[cfg(test)]
mod tests;

use crate::data_json::{DataError, DataJson};
use std::fmt;
use std::str::FromStr;

pub use raster::png;

/// One of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chart {
    /// Mean test score of each arm, with its interval and every trial.
    ArmBar,
    /// Effects in the aggregate and per slice, with intervals, threshold and loss floor.
    ForestPlot,
    /// Cost against test score, with the Pareto frontier.
    CostVsAccuracy,
    /// Errors per hundred answers, by registered failure mode.
    FailureModes,
    /// Mean dev score by iteration, with the gates.
    Trajectory,
    /// Chance of each outcome against the true effect.
    Power,
    /// The loop from frame to conclusion; needs no data.
    Loop,
}

impl Chart {
    /// All charts, in the order of a report.
    pub const ALL: [Self; 7] = [
        Self::ArmBar,
        Self::ForestPlot,
        Self::CostVsAccuracy,
        Self::FailureModes,
        Self::Trajectory,
        Self::Power,
        Self::Loop,
    ];

    /// The stable name, for example `arm-bar`; also the stem of the chart's files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ArmBar => "arm-bar",
            Self::ForestPlot => "forest-plot",
            Self::CostVsAccuracy => "cost-vs-accuracy",
            Self::FailureModes => "failure-modes",
            Self::Trajectory => "trajectory",
            Self::Power => "power",
            Self::Loop => "loop",
        }
    }

    /// Whether the data holds what the chart draws.
    #[must_use]
    pub fn has_data(self, data: &DataJson) -> bool {
        match self {
            Self::ArmBar | Self::CostVsAccuracy => data.arms.iter().any(|arm| words::score(data, arm).is_some()),
            Self::ForestPlot => data.candidates().iter().any(|arm| data.effect_sizes.contains_key(&arm.id)),
            Self::FailureModes => {
                data.failure_modes.as_ref().is_some_and(|m| !m.categories.is_empty() && !m.test_set_counts.is_empty())
            }
            Self::Trajectory => !data.trajectory.is_empty(),
            Self::Power => !data.operating_characteristics.is_empty(),
            Self::Loop => true,
        }
    }

    fn needs(self) -> &'static str {
        match self {
            Self::ArmBar | Self::CostVsAccuracy => "test_set_aggregate",
            Self::ForestPlot => "effect_sizes of a candidate",
            Self::FailureModes => "failure_modes with categories and test_set_counts",
            Self::Trajectory => "trajectory",
            Self::Power => "operating_characteristics",
            Self::Loop => "nothing",
        }
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no chart has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no chart is called `{name}`; there are {}", Chart::ALL.map(Chart::name).join(", "))]
pub struct UnknownChart {
    /// The name that was asked for.
    pub name: String,
}

impl FromStr for Chart {
    type Err = UnknownChart;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|chart| chart.name() == name).ok_or_else(|| UnknownChart { name: name.to_owned() })
    }
}

/// Why a chart cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// The data is not valid.
    #[error("the data is not valid: {0}")]
    Data(#[from] DataError),
    /// The data lacks what the chart draws.
    #[error("{chart} needs {needs}, which the data lacks")]
    NothingToDraw {
        /// The chart.
        chart: Chart,
        /// What is missing.
        needs: &'static str,
    },
    /// The SVG cannot be turned into a PNG.
    #[error("cannot draw the SVG: {message}")]
    Render {
        /// What went wrong.
        message: String,
    },
}

/// Draws a chart as SVG.
///
/// # Errors
/// When the data is not valid (NaN, out of range, unknown ids) or lacks what the chart draws.
pub fn svg(chart: Chart, data: &DataJson) -> Result<String, ChartError> {
    if chart != Chart::Loop {
        data.validate()?;
    }
    if !chart.has_data(data) {
        return Err(ChartError::NothingToDraw { chart, needs: chart.needs() });
    }
    let card = match chart {
        Chart::ArmBar => arm_bar::draw(data),
        Chart::ForestPlot => forest_plot::draw(data),
        Chart::CostVsAccuracy => cost_vs_accuracy::draw(data),
        Chart::FailureModes => failure_modes::draw(data),
        Chart::Trajectory => trajectory::draw(data),
        Chart::Power => power::draw(data),
        Chart::Loop => loop_diagram::draw(),
    };
    card.svg()
}

/// The charts of a conclusion, as named files: the three main ones, and the others where there is data.
///
/// A chart whose data is missing is left out; nothing else is.
///
/// # Errors
/// When the data is not valid.
pub fn render_all(data: &DataJson) -> Result<Vec<(String, Vec<u8>)>, ChartError> {
    data.validate()?;
    let mut files = Vec::new();
    for chart in Chart::ALL.into_iter().filter(|c| *c != Chart::Loop && c.has_data(data)) {
        let svg = svg(chart, data)?;
        let png = png(&svg)?;
        files.push((format!("{chart}.svg"), svg.into_bytes()));
        files.push((format!("{chart}.png"), png));
    }
    Ok(files)
}
