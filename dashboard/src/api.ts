// What leno-viz answers. Its own description of the same: /api/v1/openapi.json.

/** Shares are 0 to 1, latencies milliseconds, rates a second; null where there was no request. */
export interface Signals {
  success: number | null;
  rps: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  requests: number;
}

export interface StatRow extends Signals {
  namespace: string;
  name: string;
  kind: string;
  meshed: { meshed: number; total: number | null };
  tcp_conns: number;
  read_bytes_s: number;
  write_bytes_s: number;
}

export interface Stat {
  window_s: number;
  rows: StatRow[];
}

export interface GraphNode extends Signals {
  id: string;
  kind: "workload" | "service" | "outside" | "unknown";
  namespace: string;
  name: string;
  /** Kind of a workload. */
  owner: string;
  /** Pods with a sidecar that answers. */
  pods: number;
}

export interface Failure {
  route: string;
  reason: string;
  /** The reason in words. */
  words: string;
  status: number;
  grpc: number | null;
  count: number;
  /** The rule that it went by, where it is known. */
  rule: RuleRef | null;
}

/** A rule within an object. */
export interface RuleRef {
  kind: string;
  namespace: string;
  name: string;
  /** Of the rule: `spec.http[0]`. */
  path: string;
}

export interface GraphEdge extends Signals {
  from: string;
  to: string;
  /** `null` where no connection came about. */
  secured: "mTLS" | "plaintext" | "mixed" | null;
  client_id: string;
  server_id: string;
  tcp_conns: number;
  bytes_s: number;
  /** Share of a service's traffic that this workload is to get; null where no rule says so. */
  wanted: number | null;
  /** Share that it got; null for edges that do not leave a service. */
  seen: number | null;
  failures: Failure[];
}

export interface Graph {
  at_ms: number;
  window_s: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/** How leno-viz itself is. */
export interface Status {
  version: string;
  now_ms: number;
  began_ms: number;
  proxies: number;
  /** Since when the control plane does not answer, if it does not. */
  control_lost_ms: number | null;
  /** When a sidecar last told something. */
  last_ms: number | null;
}

/** Golden signals over time, one figure a step. */
export interface Series {
  start_ms: number;
  step_ms: number;
  rows: SeriesRow[];
}

export interface SeriesRow {
  namespace: string;
  name: string;
  rps: number[];
  failed: number[];
  p50_ms?: (number | null)[];
  p95_ms?: (number | null)[];
  p99_ms?: (number | null)[];
}

export interface MeshEvent {
  at_ms: number;
  what: "config" | "rollout" | "ejection" | "certificate";
  namespace: string;
  kind: string;
  name: string;
  text: string;
}

export interface Events {
  events: MeshEvent[];
}

/** A match by text: `{"exact": "x"}`. */
export type StringMatch = Record<string, string>;

/** A rule in force. */
export interface Rule {
  service: string;
  namespace: string;
  route: string;
  rule: RuleRef;
  matches: {
    uri: StringMatch | null;
    method: StringMatch | null;
    headers: [string, StringMatch][];
    query: [string, StringMatch][];
    source_namespace: string | null;
  }[];
  action: {
    forward?: { backend: { service: { name: string }; subset: string | null; port: number | null }; weight: number }[];
    redirect?: unknown;
    respond?: { status: number };
  };
  timeout_ms: number | null;
  retries: number | null;
  per_try_ms: number | null;
  fault: boolean;
  mirrors: number;
}

/** An object with its findings. */
export interface ObjectRef {
  kind: string;
  namespace: string;
  name: string;
  findings: { code: string; level: "Error" | "Warning" | "Info"; message: string; line: number }[];
}

export interface WorkloadDetail {
  pods: {
    name: string;
    ip: string;
    version: string;
    connected_since: number;
    synced: boolean;
    certificate: { identity: string; serial: string; issued_ms: number; not_after_ms: number } | null;
    problem: string | null;
    ejected_by: string[];
    ejects: { cluster: string; address: string; pod: string }[] | null;
  }[];
  services: { namespace: string; name: string }[];
  labels: Record<string, string> | null;
  objects: ObjectRef[];
  policies: { kind: string; namespace: string; name: string; mode: string | null }[];
}

export interface ServiceDetail {
  known: boolean;
  kind: string | null;
  addresses: string[] | null;
  ports: { port: number; name: string; protocol: string }[] | null;
  endpoints: {
    ip: string;
    ready: boolean;
    pod: string;
    workload: string;
    kind: string;
    version: string | null;
    identity: string | null;
    ejected_by: string[];
  }[];
  rules: Rule[];
  objects: ObjectRef[];
}

export interface Policies {
  root_namespace: string;
  policies: {
    namespace: string;
    peer_authentications: {
      origin: { kind: string; namespace: string; name: string };
      selector: Record<string, string>;
      mode: string | null;
      ports: [number, string][];
    }[];
    authorization: number;
  }[];
}

/** Whether some of it is plaintext. */
export function plain(edge: { secured: GraphEdge["secured"] }): boolean {
  return edge.secured === "plaintext" || edge.secured === "mixed";
}

/** An answer that is none. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 where there was no answer at all. */
    readonly status: number,
  ) {
    super(message);
  }
}

/** GET of JSON below the page's own address. */
export async function get<T>(
  path: string,
  query: Record<string, string | undefined> = {},
  signal?: AbortSignal,
): Promise<T> {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const search = new URLSearchParams(pairs).toString();
  const url = new URL(`api/v1/${path}${search ? `?${search}` : ""}`, document.baseURI);
  let answer: Response;
  try {
    answer = await fetch(url, { ...(signal ? { signal } : {}), headers: { accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("leno-viz does not answer", 0);
  }
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok || body === null) {
    const said = (body as { error?: string } | null)?.error;
    throw new ApiError(said ?? `leno-viz answers ${answer.status}`, answer.status);
  }
  return body as T;
}
