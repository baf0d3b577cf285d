//! itera-stats
