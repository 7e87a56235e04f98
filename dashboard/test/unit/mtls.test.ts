import assert from "node:assert/strict";
import { test } from "node:test";
import type { Policies } from "../../src/api";
import { rows } from "../../src/pages/mtls";
import { marked } from "../../src/pages/object";
import { edge, node } from "./fixture";

const policy = (namespace: string, mode: string, selector: Record<string, string> = {}) => ({
  origin: { kind: "PeerAuthentication", namespace, name: "default" },
  selector,
  mode,
  ports: [],
});

test("who would break under STRICT is who was seen to come by plaintext", () => {
  const [web, db, old] = [
    node("web"),
    node("db", { namespace: "data", kind: "service" }),
    node("old", { namespace: "legacy" }),
  ];
  const graph = {
    at_ms: 0,
    window_s: 60,
    nodes: [web, db, old],
    edges: [
      edge(web.id, db.id, { secured: "mTLS" }),
      edge(old.id, db.id, { secured: "plaintext" }),
      edge("unknown", web.id, { secured: "mixed" }),
      edge(db.id, web.id, { secured: "plaintext" }),
      edge(web.id, old.id, { secured: null }),
    ],
  };
  const policies: Policies = {
    root_namespace: "root",
    policies: [
      { namespace: "root", peer_authentications: [policy("root", "STRICT")], authorization: 0 },
      {
        namespace: "data",
        peer_authentications: [policy("data", "PERMISSIVE"), policy("data", "STRICT", { app: "x" })],
        authorization: 0,
      },
    ],
  };
  const found = Object.fromEntries(rows(graph, policies).map((r) => [r.namespace, r]));
  assert.deepEqual([found.data?.mode, found.data?.edges, found.data?.exceptions], ["PERMISSIVE", 2, 1]);
  assert.deepEqual(
    found.data?.plain.map((e) => e.from),
    [old.id],
  );
  assert.deepEqual(
    [found.a?.mode, found.a?.by?.namespace],
    ["STRICT", "root"],
    "the whole mesh's holds where a namespace has none",
  );
  assert.deepEqual(
    found.a?.plain.map((e) => e.from),
    ["unknown"],
    "a service calls nobody: its callers do",
  );
  assert.equal(found.legacy?.plain.length, 0, "a connection that never came about is not plaintext");
  assert.equal(rows(graph, undefined)[0]?.mode, "PERMISSIVE");
});

test("a rule's lines are all that is in it", () => {
  const object = {
    yaml: "",
    lines: { "spec.http[0]": 3, "spec.http[0].name": 3, "spec.http[0].route[0].weight": 7, "spec.http[10]": 20 },
  };
  assert.deepEqual(marked(object, "spec.http[0]"), [3, 7]);
  assert.deepEqual(marked(object, "spec.http[9]"), [0, 0]);
  assert.deepEqual(marked(object, undefined, "5"), [5, 5]);
});
