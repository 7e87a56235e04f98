// Drives the dashboard in a real Chromium, without a screen. Usage: node run.mjs URL FOLDER [SUITE…]
//
// FOLDER gets a picture of each view. Suites are the files beside this one; each exports `run(scene)`. The end is one line a
// check and exit code 1 where one failed.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [url, folder, ...suites] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

/** Chromium where the machine has it. */
function program() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    } catch {
      // The next one.
    }
  }
  throw new Error("no chromium on this machine: run `make tools`");
}

/** Pictures in docs/dashboard.md. */
const DOCUMENTED = [
  "overview-light",
  "topology-dark",
  "journey-1-map",
  "journey-2-reason",
  "journey-3-yaml",
  "journey-5-event",
  "mtls-light",
];

/** The browser knows how to make small pictures. */
async function webp(png) {
  const page = await browser.newPage();
  const url = await page.evaluate(
    async (source) => {
      const image = new Image();
      image.src = source;
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
      canvas.getContext("2d").drawImage(image, 0, 0);
      return canvas.toDataURL("image/webp", 0.82);
    },
    `data:image/png;base64,${png.toString("base64")}`,
  );
  await page.close();
  return Buffer.from(url.split(",")[1], "base64");
}

mkdirSync(folder, { recursive: true });
// Chromium's own sandbox cannot be had by root or inside of most containers; what it loads here is ours.
const browser = await chromium.launch({ executablePath: program(), args: ["--no-sandbox"] });
let failed = 0;
let problems = [];

/** Opens a view in a page of its own. */
async function open(hash, { width = 1280, height = 800, colorScheme = "light", before } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => problems.push(`${hash}: ${error}`));
  page.on("console", (said) => {
    // A program that is away on purpose is no mistake of the page.
    if (said.type() === "error" && !/Failed to load resource/.test(said.text()))
      problems.push(`${hash}: ${said.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:"))
      problems.push(`${hash} asks ${request.url()}`);
  });
  if (before) await before(page);
  await page.goto(`${url}${hash}`);
  return page;
}

const scene = {
  url,
  browser,
  open,
  /** Keeps a picture; with PICTURES=docs/img those that the documentation shows, too. */
  async shot(page, name) {
    const png = await page.screenshot({ path: join(folder, `${name}.png`) });
    if (process.env.PICTURES && DOCUMENTED.includes(name)) {
      writeFileSync(join(process.env.PICTURES, `dashboard-${name}.webp`), await webp(png));
    }
  },
  /** One check; the rest goes on where it fails. */
  async check(name, test) {
    problems = [];
    let page;
    const opened = async (...args) => {
      page = await open(...args);
      return page;
    };
    try {
      await test(opened);
      if (problems.length > 0) throw new Error(problems.join("\n"));
      console.log(`ok    ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n      ${String(error).replaceAll("\n", "\n      ")}`);
      await page?.screenshot({ path: join(folder, `FAILED-${name.replaceAll(/\W+/g, "-")}.png`) }).catch(() => {});
    } finally {
      await page?.context().close();
    }
  },
};

for (const suite of suites.length > 0 ? suites : ["pages"]) {
  const { run } = await import(join(here, `${suite}.mjs`));
  await run(scene);
}
await browser.close();
process.exit(failed === 0 ? 0 : 1);
