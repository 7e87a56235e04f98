// Requests live: lines of JSON from `GET /api/v1/tap`, one request or one state of the tap each.

/** One request. */
export interface Tapped {
  at_ms: number;
  inbound: boolean;
  id: string;
  from: string;
  to: string;
  service: string;
  method: string;
  authority: string;
  path: string;
  status: number;
  grpc: number | null;
  reason: string;
  words: string;
  flags: string;
  latency_ms: number;
  route: string;
  secured: boolean;
  attempts: number;
  request_bytes: number;
  response_bytes: number;
  request_headers: [string, string][];
  response_headers: [string, string][];
  rule: { kind: string; namespace: string; name: string; path: string } | null;
}

/** How the tap itself is. */
export interface TapState {
  sidecars: number;
  of: number;
  paced: number;
  missed: number;
  problems: { namespace: string; pod: string; why: string }[];
}

/** Filters, as the address of the page and the question to leno-viz have them. */
export const FILTERS = ["from", "to", "method", "path", "authority", "status", "min_latency"] as const;

/** Takes text as it comes, in whatever pieces, and gives what is whole. */
export class Lines {
  private rest = "";

  push(text: string): { requests: Tapped[]; state: TapState | undefined } {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    const requests: Tapped[] = [];
    let state: TapState | undefined;
    for (const line of lines) {
      const raw = parse(line);
      if (raw?.tap) state = raw.tap as TapState;
      else if (typeof raw?.method === "string") requests.push(read(raw));
    }
    return { requests, state };
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === "object" ? (value as Record<string, unknown>) : undefined;
  } catch {
    // A line that is cut off, or none of ours.
    return undefined;
  }
}

/** What a line lacks is empty. */
function read(raw: Record<string, unknown>): Tapped {
  const empty = {
    at_ms: Date.now(),
    inbound: false,
    service: "",
    authority: "",
    path: "",
    status: 0,
    grpc: null,
    reason: "",
    words: "",
    flags: "-",
    latency_ms: 0,
    route: "",
    secured: false,
    attempts: 0,
    request_bytes: 0,
    response_bytes: 0,
    request_headers: [],
    response_headers: [],
    rule: null,
  };
  const ends = {
    id: String(raw.request_id ?? ""),
    from: peer(raw.source),
    // What failed before any pod was asked went to a service at most.
    to: peer(raw.destination, raw.service ? `svc/${raw.service}` : ""),
  };
  return { ...empty, ...(raw as Partial<Tapped>), ...ends } as Tapped;
}

/** A pod, else what is known of it. */
function peer(value: unknown, otherwise = ""): string {
  const of = (value ?? {}) as Record<string, unknown>;
  return String(of.pod || of.workload || otherwise || of.address || "");
}

/** Whether a request failed, by Linkerd's rule. */
export function failed(t: Tapped): boolean {
  if (t.grpc !== null) return [2, 4, 13, 14, 15].includes(t.grpc);
  return t.status === 0 ? t.reason !== "client_gone" : t.status >= 500;
}
