// leno-viz is away: the page says since when it has no data, keeps what it had, and goes on by itself.
import { leno } from "./journeys.mjs";

export async function run({ check, shot }) {
  await check("a page says since when it has no data, and goes on when it has", async (open) => {
    const page = await open("#/workloads?ns=shop");
    await page.getByText("catalog-v2").first().waitFor();
    leno("local", "stop", "system/leno-viz");
    await page.getByText("No data since").waitFor({ timeout: 15_000 });
    await page.getByText("catalog-v2").first().waitFor();
    await shot(page, "away");
    leno("local", "start", "system/leno-viz");
    await page.getByText("No data since").waitFor({ state: "detached", timeout: 30_000 });
  });

  await check("a page that never had data says so, not that all is well", async (open) => {
    leno("local", "stop", "system/leno-viz");
    // The page itself comes from leno-viz, so only its questions may fail here.
    leno("local", "start", "system/leno-viz");
    const page = await open("#/", { before: (p) => p.route("**/api/v1/**", (r) => r.abort()) });
    await page.getByText("leno-viz does not answer").first().waitFor();
    await shot(page, "never");
  });

  await check("a mesh without traffic is told how to get some", async (open) => {
    const before = (p) => p.route("**/api/v1/stat*", (r) => r.fulfill({ json: { window_s: 60, rows: [] } }));
    const page = await open("#/", { before });
    await page.getByText("No sidecar has reported yet").waitFor();
    await shot(page, "empty");
  });

  await check("the control plane is away: sidecars are measured on, and it is said", async (open) => {
    leno("local", "stop", "system/leno-control");
    const page = await open("#/");
    await page.getByText("The control plane does not answer").waitFor({ timeout: 20_000 });
    await shot(page, "control-away");
    leno("local", "start", "system/leno-control");
    await page.getByText("The control plane does not answer").waitFor({ state: "detached", timeout: 30_000 });
  });
}
