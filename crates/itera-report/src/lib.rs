//! What comes out of an experiment: `data.json` and the charts drawn from it.

pub mod chart;
pub mod data_json;
pub mod documents;
pub mod figures;
pub mod folder;
pub mod record;
pub mod words;
