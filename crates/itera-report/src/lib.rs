//! itera-report
