// From a red edge to the line of YAML that caused it, on the sample shop with /slow under load: its route has a timeout of 1 s,
// and the application takes 1.5 s.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export async function run({ check, shot }) {
  await check("from a red edge to its line of YAML in two clicks", async (open) => {
    const page = await open("#/topology?ns=shop");
    const edge = page.locator('.edge.bad[data-id="workload/shop/deployment/web>service/shop/reviews"]');
    await edge.waitFor({ timeout: 30_000 });
    await shot(page, "journey-1-map");
    // Click one: the edge. What is pressed is its line, wherever that runs.
    const { x, y } = await middle(edge);
    await page.mouse.click(x, y);
    const reason = page.locator(".reason", { hasText: "slow" });
    await reason.waitFor();
    assert.match(await reason.textContent(), /504/);
    assert.match(await reason.textContent(), /timeout|longer than/i);
    await shot(page, "journey-2-reason");
    // Click two: the rule.
    await reason.locator(".open-yaml").click();
    await page.locator(".yaml .l.on").first().waitFor();
    const marked = await page.locator(".yaml .l.on").allTextContents();
    assert.match(marked.join("\n"), /name: slow[\s\S]*timeout: 1s/);
    assert.ok(await page.locator(".yaml .l.on").first().isVisible());
    await shot(page, "journey-3-yaml");
    // Every view has an address: the same one shows the same.
    const again = await open(new URL(page.url()).hash);
    await again.locator(".yaml .l.on").first().waitFor();
    await again.context().close();
  });

  await check("the overview leads to the worst edge, and that to tap", async (open) => {
    const page = await open("#/");
    await page.getByRole("link", { name: "web → svc/reviews" }).click();
    await page.locator(".reason", { hasText: "slow" }).waitFor();
    await page.locator("a.open-tap").click();
    await page.getByRole("heading", { name: "Tap" }).waitFor();
    const hash = decodeURIComponent(new URL(page.url()).hash);
    assert.match(hash, /from=deploy\/web\.shop/);
    assert.match(hash, /to=svc\/reviews\.shop/);
    await shot(page, "journey-4-tap");
  });

  await check("a failing route is on the page of its service, with its rule", async (open) => {
    const page = await open("#/services/shop/reviews");
    await page.locator(".reason", { hasText: "slow" }).waitFor();
    await page.getByRole("table", { name: "Endpoints" }).getByText("reviews").first().waitFor();
    const row = page.getByRole("table", { name: "Routes" }).locator("tr", { hasText: "slow" });
    assert.match(await row.textContent(), /\/slow\*.*1\.00 s/);
    await page.locator(".u-over").first().waitFor();
  });

  await check("a change of configuration is on the time line", async (open) => {
    const page = await open("#/services/shop/catalog?window=5m");
    await page.locator(".u-over").first().waitFor();
    const vs = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: shop}
spec:
  hosts: [catalog]
  http:
  - name: canary
    route:
    - destination: {host: catalog, subset: v1}
      weight: 50
    - destination: {host: catalog, subset: v2}
      weight: 50
`;
    const file = join(tmpdir(), `leno-dashboard-${process.pid}.yaml`);
    writeFileSync(file, vs);
    leno("local", "apply", file);
    await page.getByText("VirtualService catalog was changed").first().waitFor();
    await page.waitForTimeout(6000);
    await shot(page, "journey-5-event");
  });

  await check("a split shows what is wanted and what is seen", async (open) => {
    const page = await open("#/topology?ns=shop&labels=share");
    await page
      .locator('.edge[data-id="service/shop/catalog>workload/shop/deployment/catalog-v2"] text', { hasText: "50 % →" })
      .waitFor({ timeout: 20_000 });
  });

  await check("what is sought stands out, what is hidden is gone", async (open) => {
    const page = await open("#/topology?ns=shop");
    await page.locator('.node[data-id="service/shop/catalog"]').waitFor();
    await page.locator("input.hide").fill("kind:service");
    await page.locator('.node[data-id="service/shop/catalog"]').waitFor({ state: "detached" });
    await page.locator("input.hide").fill("");
    await page.locator("input.find").fill("catalog");
    await page.locator('.node.dim[data-id="service/shop/reviews"]').waitFor();
    assert.equal(await page.locator('.node.dim[data-id="service/shop/catalog"]').count(), 0);
  });

  await check("the map is used by keys alone", async (open) => {
    const page = await open("#/topology?ns=shop");
    await page.locator('.node[data-id="service/shop/reviews"]').focus();
    await page.keyboard.press("Enter");
    await page.locator("aside", { hasText: "reviews" }).waitFor();
    await page.locator('.node[data-id="service/shop/reviews"]').focus();
    await page.keyboard.press("Escape");
    await page.locator("aside").waitFor({ state: "detached" });
  });
}

/** A point on the line, in the window. */
async function middle(edge) {
  return edge.locator(".hit").evaluate((path) => {
    const { x, y } = path.getPointAtLength(path.getTotalLength() * 0.6).matrixTransform(path.getScreenCTM());
    return { x, y };
  });
}

/** The command line of the scene. */
export function leno(...args) {
  execFileSync(process.env.LENO ?? "leno", args, { stdio: "pipe" });
}
