//! auto-itera
fn main() {}
