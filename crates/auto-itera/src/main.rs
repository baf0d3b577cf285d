//! auto-itera: "should we use X or Y?" answered with a verdict that survives production.
//!
//! Without a verb it serves MCP over stdio. Every verb calls the same functions as the tools.

mod analyze;
mod attest_cmd;
mod chart_cmd;
mod cli;
mod consent;
mod demo;
mod doctor;
mod engine;
mod envelope;
mod hook;
mod init;
mod plan_cmd;
mod plan_tool;
mod requests;
mod resources;
mod server;
mod tools;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
