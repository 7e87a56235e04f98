import assert from "node:assert/strict";
import { test } from "node:test";
import { label, line, width } from "../../src/topology/draw";
import { nodeMatcher } from "../../src/topology/find";
import { better, columnsOf, coordinates, type Item, type Link, nothing, place } from "../../src/topology/layout";
import { edge, large, node } from "./fixture";

const items = (...ids: string[]): Item[] => ids.map((id) => ({ id, band: "a" }));
const links = (...pairs: string[]): Link[] => pairs.map((p) => ({ from: p[0] ?? "", to: p[1] ?? "" }));

test("callees stand behind all of their callers", () => {
  const columns = columnsOf(items("w", "x", "y", "z"), links("wx", "xy", "wy", "yz"), nothing());
  assert.deepEqual([...columns].sort(), [
    ["w", 0],
    ["x", 1],
    ["y", 2],
    ["z", 3],
  ]);
});

test("circles end, and so do calls to oneself", () => {
  const columns = columnsOf(items("a", "b", "c"), links("ab", "bc", "ca", "aa"), nothing());
  assert.deepEqual([...columns.values()].sort(), [0, 1, 2]);
});

test("a node keeps its place when others come and go", () => {
  const first = place(items("w", "x"), links("wx"), nothing());
  const second = place(items("w", "x", "y", "v"), links("wx", "wy", "vw"), first);
  assert.deepEqual(second.spots.w, first.spots.w);
  assert.deepEqual(second.spots.x, first.spots.x);
  assert.equal(second.spots.y?.column, 1);
  const third = place(items("w", "y"), links("wy"), second);
  assert.equal(third, second, "who is gone changes nothing");
  const back = place(items("w", "x", "y"), links("wx", "wy"), third);
  assert.deepEqual(back.spots.x, first.spots.x);
});

test("no two nodes stand on one place, of 300 that come one after the other", () => {
  const graph = large(300);
  const all = graph.nodes.map((n) => ({ id: n.id, band: n.namespace }));
  let memory = nothing();
  for (let n = 10; n <= all.length; n += 29) memory = place(all.slice(0, n), graph.edges, memory);
  memory = place(all, graph.edges, memory);
  for (const flow of ["right", "down"] as const) {
    const { nodes, bands } = coordinates(all, memory, flow);
    const boxes = [...nodes.values()];
    assert.equal(boxes.length, all.length);
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) {
        const apart = Math.abs(a.x - b.x) >= a.width || Math.abs(a.y - b.y) >= a.height;
        assert.ok(apart, `${flow}: ${JSON.stringify(a)} ${JSON.stringify(b)}`);
      }
    }
    for (const item of all) {
      const [box, band] = [nodes.get(item.id), bands.find((b) => b.name === item.band)];
      assert.ok(box && band && box.x >= band.x && box.x + box.width <= band.x + band.width, "inside of its namespace");
      assert.ok(box.y >= band.y && box.y + box.height <= band.y + band.height);
    }
  }
});

test("300 nodes are laid out within a frame or two", () => {
  const graph = large(300);
  const all = graph.nodes.map((n) => ({ id: n.id, band: n.namespace }));
  const start = performance.now();
  place(all, graph.edges, nothing());
  const took = performance.now() - start;
  assert.ok(took < 250, `${took} ms`);
});

test("a long chain flows down in a window that is not wide", () => {
  const chain = items("a", "b", "c", "d", "e", "f", "g");
  const memory = place(chain, links("ab", "bc", "cd", "de", "ef", "fg"), nothing());
  assert.equal(better(chain, memory, { width: 1000, height: 700 }), "down");
  assert.equal(better(chain, memory, { width: 3000, height: 700 }), "right");
});

test("words find nodes", () => {
  const nodes = [
    node("web", { rps: 5, requests: 50, success: 0.5 }),
    node("db", { namespace: "data" }),
    node("s", { kind: "service" }),
  ];
  const edges = [edge(nodes[0]?.id ?? "", nodes[2]?.id ?? "", { secured: "plaintext", requests: 1, success: 1 })];
  const find = (text: string) => nodes.filter(nodeMatcher(text, edges)).map((n) => n.name);
  assert.deepEqual(find(""), ["web", "db", "s"]);
  assert.deepEqual(find("WE"), ["web"]);
  assert.deepEqual(find("ns:data"), ["db"]);
  assert.deepEqual(find("kind:service"), ["s"]);
  assert.deepEqual(find("is:failing"), ["web"]);
  assert.deepEqual(find("-is:idle"), ["web", "s"]);
  assert.deepEqual(find("is:plaintext -web"), ["s"]);
  assert.deepEqual(find("is:nonsense"), []);
});

test("edges say what must not be missed", () => {
  const split = edge("a", "b", { wanted: 0.9, seen: 0.889, success: 1, requests: 9 });
  assert.equal(label(split, "notable"), "90 % → 88.9 %");
  const failing = edge("a", "b", { success: 0.9, requests: 9, rps: 3, p95_ms: 12 });
  assert.equal(label(failing, "notable"), "10.00 % fail");
  assert.equal(label(failing, "rate"), "3.00/s");
  assert.equal(label(failing, "p95"), "12.0 ms");
  assert.equal(label(failing, "none"), "");
  assert.ok(width(edge("a", "b", { rps: 1000 })) > width(edge("a", "b", { rps: 10 })));
  assert.equal(width(edge("a", "b", { rps: 1e12 })), 8);
});

test("lines end before their callee, whichever way", () => {
  const [a, b] = [
    { x: 0, y: 0, width: 10, height: 10 },
    { x: 100, y: 100, width: 10, height: 10 },
  ];
  for (const flow of ["right", "down"] as const) {
    for (const l of [line(a, b, flow), line(b, a, flow), line(a, a, flow)]) {
      assert.doesNotMatch(l.path + l.tip, /NaN|undefined/);
    }
  }
});
