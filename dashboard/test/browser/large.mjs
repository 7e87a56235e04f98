// A map of 300 nodes stays smooth and does not jump. The mesh is made up and goes through the same code as a real one.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const fixture = join(dirname(fileURLToPath(import.meta.url)), "../unit/fixture.ts");

export async function run({ check, shot }) {
  const { outputFiles } = await build({ entryPoints: [fixture], bundle: true, format: "esm", write: false });
  const { large, node, edge } = await import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`
  );

  await check("300 nodes are smooth, and stand still while more come", async (open) => {
    const graph = large(300);
    const before = (page) =>
      page.route("**/api/v1/topology*", (route) => {
        // Figures change with each answer.
        for (const e of graph.edges) e.rps = Math.abs(e.rps + Math.sin(Date.now() / 1000 + e.rps));
        return route.fulfill({ json: graph });
      });
    const start = Date.now();
    const page = await open("#/topology?flow=right", { before });
    await page
      .locator(".node")
      .nth(graph.nodes.length - 1)
      .waitFor({ state: "attached" });
    const shown = Date.now() - start;
    await shot(page, "large-300");

    const frames = await page.evaluate(async () => {
      const map = document.querySelector("svg.map");
      const box = map.getBoundingClientRect();
      const send = (type, x, y) =>
        map.dispatchEvent(new PointerEvent(type, { pointerId: 1, clientX: x, clientY: y, bubbles: true }));
      const times = [];
      let last = performance.now();
      send("pointerdown", box.x + 300, box.y + 200);
      for (let i = 0; i < 90; i += 1) {
        send("pointermove", box.x + 300 + 150 * Math.sin(i / 9), box.y + 200 + 80 * Math.cos(i / 9));
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      send("pointerup", box.x + 300, box.y + 200);
      return times.sort((a, b) => a - b);
    });
    const [median, slow] = [frames[Math.floor(frames.length / 2)], frames[Math.floor(frames.length * 0.95)]];
    console.log(
      `      shown after ${shown} ms; moving: median frame ${median.toFixed(1)} ms, p95 ${slow.toFixed(1)} ms`,
    );
    assert.ok(shown < 4000, `${shown} ms until shown`);
    // Without a graphics card, on a shared machine: 30 frames a second is what is asked for, in the median.
    assert.ok(median < 34, `${median} ms a frame`);

    const places = () =>
      page.evaluate(() =>
        Object.fromEntries(
          [...document.querySelectorAll(".node")].map((n) => [n.dataset.id, n.getAttribute("transform")]),
        ),
      );
    const first = await places();
    const callers = graph.nodes.filter((n) => n.kind === "workload").slice(0, 5);
    for (const [i, caller] of callers.entries()) {
      const added = node(`new-${i}`, { namespace: caller.namespace, kind: "service" });
      graph.nodes.push(added);
      graph.edges.push(edge(caller.id, added.id, { requests: 5, success: 1, rps: 3 }));
    }
    await page.locator('.node[data-id="service/team-0/new-0"]').waitFor({ state: "attached" });
    const second = await places();
    const jumped = Object.keys(first).filter((id) => column(first[id]) !== column(second[id]));
    assert.deepEqual(jumped, [], "nodes that changed their column");
    const namespaces = new Set(callers.map((c) => c.namespace));
    // A band that had to grow moves those below it, all by the same; within bands nothing moves.
    for (const ns of namespaces) {
      const moves = Object.keys(first)
        .filter((id) => id.split("/")[1] === ns)
        .map((id) => row(second[id]) - row(first[id]));
      assert.equal(new Set(moves).size, 1, `nodes of ${ns} moved against each other`);
    }
  });
}

const numbers = (transform) => transform.match(/-?[\d.]+/g).map(Number);
const column = (transform) => numbers(transform)[0];
const row = (transform) => numbers(transform)[1];
