// Requests live: a stream of JSON, one request a line, or a line of an event stream each.

/** One request. What a version of leno-viz does not tell is empty. */
export interface Tapped {
  at_ms: number;
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
  latency_ms: number | null;
  route: string;
  secured: boolean;
  rule: { kind: string; namespace: string; name: string; path: string } | null;
}

/** Filters, as the address of the page and the question to leno-viz have them. */
export const FILTERS = ["from", "to", "method", "path", "authority", "status", "min_latency"] as const;

/** Takes text as it comes, in whatever pieces, and gives what is whole. */
export class Lines {
  private rest = "";

  push(text: string): Tapped[] {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    return lines.flatMap((line) => {
      const found = one(line);
      return found ? [found] : [];
    });
  }
}

/** A line of JSON, or of an event stream (`data: …`); others are of no account. */
export function one(line: string): Tapped | undefined {
  const text = line.replace(/^data:/, "").trim();
  if (!text.startsWith("{")) return undefined;
  try {
    return read(JSON.parse(text) as Record<string, unknown>);
  } catch {
    return undefined;
  }
}

function read(raw: Record<string, unknown>): Tapped | undefined {
  const text = (...names: string[]) => String(names.map((n) => raw[n]).find((v) => typeof v === "string") ?? "");
  const number = (...names: string[]) => names.map((n) => raw[n]).find((v): v is number => typeof v === "number");
  const status = number("status", "response_code");
  if (status === undefined && !text("method")) return undefined;
  return {
    at_ms: number("at_ms", "time_ms") ?? Date.now(),
    id: text("id", "request_id"),
    from: peer(raw.from ?? raw.source),
    to: peer(raw.to ?? raw.destination),
    service: typeof raw.service === "string" ? raw.service : peer(raw.service),
    method: text("method"),
    authority: text("authority", "host"),
    path: text("path"),
    status: status ?? 0,
    grpc: number("grpc", "grpc_status") ?? null,
    reason: text("reason"),
    words: text("words", "why", "sentence"),
    flags: text("flags", "response_flags"),
    latency_ms: number("latency_ms", "duration_ms") ?? null,
    route: text("route"),
    secured: raw.mtls === true || raw.secured === true || raw.tls === "mTLS",
    rule: rule(raw.rule),
  };
}

function peer(value: unknown): string {
  if (typeof value === "string") return value;
  const of = (value ?? {}) as Record<string, unknown>;
  return String(of.pod || of.workload || of.name || of.address || "");
}

function rule(value: unknown): Tapped["rule"] {
  const of = (value ?? {}) as Record<string, unknown>;
  const [kind, namespace, name, path] = [of.kind, of.namespace, of.name, of.path];
  return typeof kind === "string" && typeof name === "string"
    ? { kind, namespace: String(namespace ?? ""), name, path: String(path ?? "") }
    : null;
}

/** Whether a request failed, by Linkerd's rule. */
export function failed(t: Tapped): boolean {
  if (t.grpc !== null) return [2, 4, 13, 14, 15].includes(t.grpc);
  return t.status === 0 ? t.reason !== "client_gone" : t.status >= 500;
}
