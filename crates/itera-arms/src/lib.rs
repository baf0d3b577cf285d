//! itera-arms
