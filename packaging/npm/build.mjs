#!/usr/bin/env node
// Packs the main package and one platform package around a built binary.
//   build.mjs --binary target/release/auto-itera [--platform linux-x64] [--out packaging/npm/out] [--no-main]
// Prints the paths of the tarballs.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const { values } = parseArgs({
  options: {
    binary: { type: "string", default: join(root, "target/release/auto-itera") },
    platform: { type: "string", default: `${process.platform}-${process.arch}` },
    out: { type: "string", default: join(here, "out") },
    "no-main": { type: "boolean", default: false },
  },
});
const main = JSON.parse(readFileSync(join(here, "auto-itera/package.json"), "utf8"));
const version = readFileSync(join(root, "Cargo.toml"), "utf8").match(/^version = "([^"]+)"/m)[1];
if (main.version !== version || Object.values(main.optionalDependencies).some((v) => v !== version)) {
  throw new Error(`packaging/npm/auto-itera/package.json is not at version ${version}`);
}
if (!(`@auto-itera/${values.platform}` in main.optionalDependencies)) throw new Error(`no package for ${values.platform}`);
if (!existsSync(values.binary)) throw new Error(`there is no binary at ${values.binary}`);

const [os, cpu] = values.platform.split("-");
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
const pack = (folder) => {
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", out], { cwd: folder, stdio: ["ignore", "pipe", "ignore"] }));
  process.stdout.write(`${join(out, filename)}\n`);
};
const stage = join(out, `stage-${values.platform}`);
rmSync(stage, { recursive: true, force: true });
mkdirSync(join(stage, "bin"), { recursive: true });
copyFileSync(values.binary, join(stage, "bin/auto-itera"));
chmodSync(join(stage, "bin/auto-itera"), 0o755);
copyFileSync(join(root, "LICENSE"), join(stage, "LICENSE"));
writeFileSync(
  join(stage, "package.json"),
  `${JSON.stringify({ name: `@auto-itera/${values.platform}`, version, description: `The auto-itera binary for ${values.platform}`, license: main.license, repository: main.repository, os: [os], cpu: [cpu], ...(os === "linux" ? { libc: ["glibc"] } : {}), files: ["bin", "LICENSE"] }, null, 2)}\n`,
);
pack(stage);
if (!values["no-main"]) {
  const copy = join(out, "stage-main");
  rmSync(copy, { recursive: true, force: true });
  cpSync(join(here, "auto-itera"), copy, { recursive: true });
  copyFileSync(join(root, "LICENSE"), join(copy, "LICENSE"));
  pack(copy);
}
