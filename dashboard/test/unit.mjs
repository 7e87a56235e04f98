// Bundles the unit tests, since Node reads no TypeScript, and runs them by its own test runner.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = join(dirname(fileURLToPath(import.meta.url)), "unit");
const out = mkdtempSync(join(tmpdir(), "leno-dashboard-"));
try {
  const files = readdirSync(here).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: files.map((name) => join(here, name)),
    bundle: true,
    format: "esm",
    platform: "node",
    jsx: "automatic",
    jsxImportSource: "preact",
    outdir: out,
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
  });
  const built = files.map((name) => join(out, name.replace(/\.ts$/, ".mjs")));
  const ran = spawnSync(process.execPath, ["--test", ...built], { stdio: "inherit" });
  process.exitCode = ran.status ?? 1;
} finally {
  rmSync(out, { recursive: true });
}
