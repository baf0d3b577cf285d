//! What comes out of an experiment: `data.json` and the charts drawn from it.

pub mod data_json;
