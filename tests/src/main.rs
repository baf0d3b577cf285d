//! End-to-end tests: the real binary, a real MCP client, real subprocess arms.
//!
//! One test binary, a module per subject. Everything goes through [`support`]: a throw-away
//! project, a server on the other end of stdio, and calls that answer the envelope.

mod architecture;
mod clients;
mod honest_loop;
mod protocol;
mod refusals;
mod resume;
mod support;
