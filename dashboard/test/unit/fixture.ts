// Meshes that are made up, for tests.
import type { Graph, GraphEdge, GraphNode } from "../../src/api";

const QUIET = { success: null, rps: 0, p50_ms: null, p95_ms: null, p99_ms: null, requests: 0 };

export function node(name: string, more: Partial<GraphNode> = {}): GraphNode {
  const { kind = "workload", namespace = "a" } = more;
  return {
    id: `${kind}/${namespace}/${name}`,
    kind,
    namespace,
    name,
    owner: kind === "workload" ? "deployment" : "",
    pods: 1,
    ...QUIET,
    ...more,
  };
}

export function edge(from: string, to: string, more: Partial<GraphEdge> = {}): GraphEdge {
  const none = { client_id: "", server_id: "", tcp_conns: 0, bytes_s: 0, wanted: null, seen: null, failures: [] };
  return { from, to, secured: "mTLS", ...none, ...QUIET, ...more };
}

/** A mesh of ten namespaces; the same each time. */
export function large(size: number, seed = 7): Graph {
  let state = seed;
  const random = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  const workloads: GraphNode[] = [];
  for (let i = 0; nodes.length + 1 < size; i += 1) {
    const namespace = `team-${i % 10}`;
    const signals = () => ({
      success: random() < 0.1 ? 0.9 : 1,
      rps: random() * 200,
      p50_ms: 3,
      p95_ms: 20 * random(),
      p99_ms: 40,
      requests: 100,
    });
    const workload = node(`app-${i}`, { namespace, ...signals() });
    const service = node(`app-${i}`, { namespace, kind: "service", ...signals() });
    nodes.push(workload, service);
    edges.push(edge(service.id, workload.id, signals()));
    for (let n = 0; n < 2 && workloads.length > 0; n += 1) {
      const caller = workloads[Math.floor(random() * workloads.length)];
      if (caller && !edges.some((e) => e.from === caller.id && e.to === service.id)) {
        edges.push(edge(caller.id, service.id, { ...signals(), secured: random() < 0.05 ? "plaintext" : "mTLS" }));
      }
    }
    workloads.push(workload);
  }
  return { at_ms: 0, window_s: 60, nodes, edges };
}
