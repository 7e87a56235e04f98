// Every page, light and dark, on a screen and on a phone; and what holds for all of them.
import assert from "node:assert/strict";

export const PAGES = [
  { name: "overview", hash: "#/", sees: "Where requests fail" },
  { name: "topology", hash: "#/topology", sees: "reviews" },
  { name: "workloads", hash: "#/workloads", sees: "catalog-v2" },
  { name: "workload", hash: "#/workloads/shop/deployment/reviews", sees: "Policies that hold for it" },
  { name: "services", hash: "#/services", sees: "reviews" },
  { name: "service", hash: "#/services/shop/catalog", sees: "Endpoints" },
  { name: "routes", hash: "#/routes", sees: "canary" },
  { name: "tap", hash: "#/tap", sees: "Failures only" },
  { name: "config", hash: "#/config", sees: "DestinationRule" },
  { name: "object", hash: "#/config/VirtualService/shop/reviews?path=spec.http[2]", sees: "perTryTimeout" },
  { name: "mtls", hash: "#/mtls", sees: "STRICT" },
];

export async function run({ check, shot }) {
  for (const { name, hash, sees } of PAGES) {
    for (const [look, options] of [
      ["light", {}],
      ["dark", { colorScheme: "dark" }],
      ["phone", { width: 390, height: 844 }],
    ]) {
      await check(`${name} (${look})`, async (open) => {
        const page = await open(hash, options);
        await page.locator(`text=${sees} >> visible=true`).first().waitFor();
        await page.waitForTimeout(300);
        await shot(page, `${name}-${look}`);
        await fits(page, options.width ?? 1280);
        assert.match(await page.locator("button.copy").first().getAttribute("data-command"), /^leno /);
        if (look === "light") await nameless(page);
      });
    }
  }

  await check("names as long as Kubernetes has them break no page", async (open) => {
    const long = "a-name-of-sixty-three-letters-that-somebody-has-once-thought-of";
    const before = (p) =>
      p.route(/api\/v1\/(stat|topology|series|routes|objects)/, async (route) => {
        const answer = await route.fetch();
        const body = (await answer.text())
          .replaceAll(/"catalog-v[12]"/g, `"${long}"`)
          .replaceAll('"catalog"', `"${long}"`);
        await route.fulfill({ response: answer, body });
      });
    for (const width of [390, 1280]) {
      for (const name of ["", "topology", "workloads", "services", "routes", "config"]) {
        const page = await open(`#/${name}`, { width, before });
        if (["topology", "workloads", "services"].includes(name)) {
          await page.getByText(long.slice(0, 8)).first().waitFor({ state: "attached" });
        } else {
          // Names that are there only while something fails, or where rules have them.
          await page.waitForTimeout(1500);
        }
        await fits(page, width);
        await shot(page, `long-${name || "overview"}-${width}`);
        await page.context().close();
      }
    }
  });

  await check("the first paint comes within a second, and little is loaded", async (open) => {
    const page = await open("#/");
    await page.getByText("Requests a second").waitFor();
    const figures = await page.evaluate(() => ({
      paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
      bytes: performance
        .getEntriesByType("resource")
        .filter((e) => !e.name.includes("/api/"))
        .reduce((sum, e) => sum + e.transferSize, 0),
    }));
    console.log(`      first paint ${figures.paint.toFixed(0)} ms, ${(figures.bytes / 1024).toFixed(1)} KiB`);
    assert.ok(figures.paint < 1000, `${figures.paint} ms`);
    assert.ok(figures.bytes > 0 && figures.bytes < 300 * 1024, `${figures.bytes} bytes`);
  });

  await check("keys go from page to page", async (open) => {
    const page = await open("#/");
    await page.getByText("Requests a second").waitFor();
    await page.keyboard.press("t");
    await page.locator("svg.map").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("web");
    await page.waitForFunction(() => location.hash.includes("find=web"));
    await page.keyboard.press("Escape");
    await page.locator("h1").first().click();
    await page.keyboard.press("w");
    await page.getByRole("heading", { name: "Workloads" }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
  });

  await check("an address of no page says so", async (open) => {
    const page = await open("#/nowhere");
    await page.getByText("There is no such page").waitFor();
  });

  await check("tapped requests appear, one opens with its headers, secrets masked", async (open) => {
    const page = await open("#/tap?from=deploy/web.shop&headers=1");
    await page.getByRole("table", { name: "Requests" }).waitFor();
    await page.getByText(/Live from 1 sidecar\./).waitFor();
    await page.getByRole("button", { name: /^GET / }).first().click();
    const aside = page.getByRole("complementary", { name: "Request" });
    await aside.getByText("Request headers").waitFor();
    await aside.getByText("x-request-id").first().waitFor();
    await shot(page, "tap-headers");
    await page.getByRole("button", { name: "Headers" }).click();
    await page.waitForFunction(() => !location.hash.includes("headers"));
  });

  await check("a failing request stands out and leads to its rule", async (open) => {
    const page = await open("#/tap?from=deploy/web.shop&to=svc/reviews.shop&status=5xx");
    await page.getByRole("button", { name: "GET /slow" }).first().waitFor({ timeout: 30_000 });
    await page.getByRole("button", { name: "Failures only" }).click();
    await page.getByRole("button", { name: "GET /slow" }).first().click();
    await shot(page, "tap-one");
    await page.locator("a.open-yaml").click();
    await page.locator(".yaml .l.on", { hasText: "name: slow" }).waitFor();
  });

  await check("a filter that cannot be says why", async (open) => {
    const page = await open("#/tap?status=9xx");
    await page.getByText("`9xx` is no status").waitFor();
  });

  await check("the command is copied", async (open) => {
    const page = await open("#/workloads?ns=shop");
    await page.getByText("catalog-v2").first().waitFor();
    await page.locator("button.copy").first().click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(text, "leno viz stat deploy -n shop");
  });
}

/** Nothing but what scrolls by itself is wider than the window. */
async function fits(page, width) {
  const wide = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, innerWidth));
  assert.ok(wide <= width, `the page is wider (${wide}) than the window (${width})`);
}

/** Everything that can be pressed says what it is. */
async function nameless(page) {
  const found = await page.evaluate(() =>
    [...document.querySelectorAll("a, button, input, select, [role=button]")]
      .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length || e.title))
      .map((e) => e.outerHTML.slice(0, 120)),
  );
  assert.deepEqual(found, [], "without a name");
}
