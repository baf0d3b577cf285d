//! itera-data
