//! Operating characteristics of a design.
