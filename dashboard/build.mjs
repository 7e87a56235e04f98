// Builds the dashboard into dist/: one page, one script, one style sheet, each also compressed, and a list of them all.
// leno-viz's build script embeds that folder. `node build.mjs --watch` builds anew as files change.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build, context } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");
/** What a browser downloads at most, compressed, in bytes. */
const LIMIT = 300 * 1024;

const options = {
  entryPoints: [join(root, "src/main.tsx")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  outdir: dist,
  write: false,
  legalComments: "none",
  logLevel: "warning",
  plugins: [{ name: "write", setup: (b) => b.onEnd((result) => result.errors.length || write(result)) }],
};

/** Names carry a hash of the content, so that browsers keep them for ever. */
function write({ outputFiles }) {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  const list = [];
  const put = (name, type, bytes) => {
    const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
    const gz = gzipSync(bytes, { level: 9 });
    writeFileSync(join(dist, name), bytes);
    writeFileSync(join(dist, `${name}.br`), br);
    writeFileSync(join(dist, `${name}.gz`), gz);
    list.push({ name, type, hash: hash(bytes), plain: bytes.length, gz: gz.length, br: br.length });
  };
  let page = readFileSync(join(root, "src/index.html"), "utf8");
  for (const file of outputFiles) {
    const kind = file.path.endsWith(".css") ? "css" : "js";
    const bytes = Buffer.from(file.contents);
    const name = `app-${hash(bytes)}.${kind}`;
    page = page.replace(`app.${kind}`, name);
    put(name, kind === "css" ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8", bytes);
  }
  put("icon.svg", "image/svg+xml", readFileSync(join(root, "src/icon.svg")));
  put("index.html", "text/html; charset=utf-8", Buffer.from(page));
  // One line an asset, for a reader without a JSON parser: NAME<TAB>TYPE<TAB>HASH.
  writeFileSync(join(dist, "assets.tsv"), list.map((a) => `${a.name}\t${a.type}\t${a.hash}\n`).join(""));
  const total = list.reduce((sum, a) => sum + a.gz, 0);
  console.log(`dashboard: ${list.length} files, ${(total / 1024).toFixed(1)} KiB compressed`);
  if (total > LIMIT) throw new Error(`dashboard: ${total} bytes compressed, the limit is ${LIMIT}`);
}

function hash(bytes) {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

if (process.argv.includes("--watch")) {
  const watcher = await context({ ...options, minify: false });
  await watcher.watch();
} else {
  await build(options);
}
