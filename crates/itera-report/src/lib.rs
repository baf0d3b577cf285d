//! What comes out of an experiment: `data.json`, the pages and charts drawn from it, and their proof.

pub mod attestation;
pub mod chart;
pub mod conclusion;
pub mod data_json;
pub mod figures;
pub mod folder;
pub mod frame_page;
pub mod page;
pub mod record;
pub mod report_html;
pub mod timeline;
pub mod words;

#[cfg(test)]
mod pages_tests;
#[cfg(test)]
mod testkit;
