import assert from "node:assert/strict";
import { test } from "node:test";
import { command, quoted, scope, target } from "../../src/cli";
import { bytes, count, millis, percent, rate, span } from "../../src/format";
import { asCallersSaw, health, namespaceHealth, worst } from "../../src/health";
import { compare } from "../../src/parts/table";
import { href, parse } from "../../src/router";
import { failed, Lines } from "../../src/tap";

test("addresses are read as they were written", () => {
  const path = ["config", "VirtualService", "shop", "a/b c"];
  const query = { path: "spec.http[0]", ns: "ü", empty: undefined };
  const read = parse(href(path, query));
  assert.deepEqual(read, { path, query: { path: "spec.http[0]", ns: "ü" } });
  assert.deepEqual(parse(""), { path: [], query: {} });
  assert.deepEqual(parse("#/x%ZZ?"), { path: ["x%ZZ"], query: {} }, "what cannot be decoded stays");
});

test("success is never rounded to all or nothing", () => {
  assert.deepEqual([1, 0.99999, 0.9995, 0.5, 0.00001, 0, null].map(percent), [
    "100 %",
    "99.99 %",
    "99.95 %",
    "50.00 %",
    "<0.01 %",
    "0 %",
    "–",
  ]);
});

test("figures have three digits that count", () => {
  assert.deepEqual([0, 0.001, 0.5, 12.34, 123.4, 12_345, 123_456].map(rate), [
    "0",
    "<0.01",
    "0.50",
    "12.3",
    "123",
    "12.3k",
    "123k",
  ]);
  assert.deepEqual([0.333, 12.34, 123.4, 1234, 12_340].map(millis), [
    "0.33 ms",
    "12.3 ms",
    "123 ms",
    "1.23 s",
    "12.3 s",
  ]);
  assert.deepEqual([0, 100, 2048, 5_000_000].map(bytes), ["0 B/s", "100 B/s", "2.00 KiB/s", "4.77 MiB/s"]);
  assert.deepEqual([12, 200, 7200, 200_000].map(span), ["12 s", "3 min", "2 h", "2 d"]);
  assert.deepEqual([count(1, "pod"), count(2, "pod"), count(0, "entry", "entries")], ["1 pod", "2 pods", "0 entries"]);
});

test("health has four grades", () => {
  assert.deepEqual([null, 1, 0.999, 0.998, 0.95, 0.94, 0].map(health), [
    "idle",
    "good",
    "good",
    "degraded",
    "degraded",
    "bad",
    "bad",
  ]);
  assert.equal(worst(["good", "bad", "degraded"]), "bad");
  assert.equal(worst([]), "idle");
});

test("commands are safe to paste", () => {
  assert.equal(
    command("viz stat", target("Deployment", "web"), scope("shop"), undefined, false),
    "leno viz stat deploy/web -n shop",
  );
  assert.equal(scope(undefined), "-A");
  assert.equal(quoted("a'b; rm"), `'a'\\''b; rm'`);
  assert.equal(quoted("deploy/web.shop"), "deploy/web.shop");
});

test("what is not there sorts to one end", () => {
  assert.deepEqual([3, null, 1].sort(compare), [null, 1, 3]);
  assert.deepEqual(["v10", "v9"].sort(compare), ["v9", "v10"]);
});

test("tapped requests are read from lines, in whatever pieces", () => {
  const lines = new Lines();
  assert.deepEqual(lines.push('{"method":"GET","pa'), { requests: [], state: undefined });
  const first = lines.push('th":"/a","status":503,"source":{"pod":"web-1"},"secured":true,"request_id":"x"}\n')
    .requests[0];
  assert.deepEqual(
    [first?.method, first?.path, first?.from, first?.secured, first?.id],
    ["GET", "/a", "web-1", true, "x"],
  );
  assert.deepEqual([first?.request_headers, first?.rule], [[], null]);
  const second = lines.push('{"method":"POST","path":"/b","status":200,"grpc":14,"request_headers":[["a","b"]]}\n')
    .requests[0];
  assert.deepEqual(second?.request_headers, [["a", "b"]]);
  const { requests, state } = lines.push('{ broken\n[1]\nnull\n{"tap":{"sidecars":2,"of":3}}\n');
  assert.deepEqual([requests, state?.sidecars, state?.of], [[], 2, 3]);
  assert.ok(first && failed(first) && second && failed(second), "a status of gRPC counts, not that of HTTP");
});

test("a namespace is as unwell as its workloads, or as its services to their callers", () => {
  const node = (kind: string, name: string, success: number | null) => ({ kind, namespace: "shop", name, success });
  const nodes = [node("workload", "web", 1), node("service", "web", 1), node("service", "idle", null)];
  assert.equal(namespaceHealth("shop", 1, nodes).grade, "good");
  // A fault that a rule injects reaches no pod.
  const failing = namespaceHealth("shop", 1, [...nodes, node("service", "reviews", 0.5)]);
  assert.deepEqual([failing.grade, failing.unwell.map((n) => n.name)], ["bad", ["reviews"]]);
  assert.equal(namespaceHealth("other", null, nodes).grade, "idle");
});

test("what callers saw counts each request once, those too that reached no pod", () => {
  const edge = (from: string, to: string, rps: number, success: number | null) => ({ from, to, rps, success });
  const web = "workload/shop/deployment/web";
  const edges = [
    edge(web, "service/shop/pay", 80, 0.5),
    edge("service/shop/pay", "workload/shop/deployment/pay", 40, 1),
    edge(web, "service/data/db", 20, 1),
    edge(web, "service/shop/idle", 0, null),
  ];
  assert.deepEqual(asCallersSaw(edges), { failed: 40, success: 0.6 });
  assert.deepEqual(asCallersSaw(edges, "shop"), { failed: 40, success: 0.5 });
  assert.deepEqual(asCallersSaw(edges, "none"), { failed: 0, success: null });
});
