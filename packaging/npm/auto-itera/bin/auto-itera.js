#!/usr/bin/env node
// Starts the binary of this platform, which npm installed as an optional dependency.
"use strict";
const { spawn } = require("node:child_process");

const platform = `${process.platform}-${process.arch}`;
let binary;
try {
  binary = require.resolve(`@auto-itera/${platform}/bin/auto-itera`);
} catch {
  process.stderr.write(
    `auto-itera: there is no binary for ${platform} here. If npm was run with --omit=optional, install again without it; ` +
      "otherwise: cargo install --locked --git https://github.com/auto-itera/auto-itera auto-itera\n",
  );
  process.exit(1);
}
const child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`auto-itera: ${binary} does not start: ${error.message}\n`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else process.exit(code ?? 1);
});
