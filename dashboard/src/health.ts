// How well something is, from its success rate. Said three ways wherever it is shown: colour, mark and word.

/** From nothing to say to failing. */
export type Health = "idle" | "good" | "degraded" | "bad";

/** At least this share of requests succeed where all is well. */
export const GOOD = 0.999;
/** Below this it fails. */
export const BAD = 0.95;

/** `null` is no traffic. */
export function health(success: number | null | undefined): Health {
  if (success === null || success === undefined) return "idle";
  if (success >= GOOD) return "good";
  return success >= BAD ? "degraded" : "bad";
}

/** The word. */
export const WORDS: Record<Health, string> = {
  idle: "no traffic",
  good: "healthy",
  degraded: "degraded",
  bad: "failing",
};

/** The mark, which is there for those who do not see the colour. */
export const MARKS: Record<Health, string> = { idle: "○", good: "●", degraded: "▲", bad: "■" };

/** The worst of several. */
export function worst(all: Health[]): Health {
  const order: Health[] = ["idle", "good", "degraded", "bad"];
  return all.reduce<Health>((a, b) => (order.indexOf(b) > order.indexOf(a) ? b : a), "idle");
}

/**
 * What callers saw, each request once, over the whole map or into one namespace: edges out of a service are what was asked
 * behind it, and leave out what failed before that.
 */
export function asCallersSaw<E extends { from: string; to: string; rps: number; success: number | null }>(
  edges: E[],
  namespace?: string,
): { failed: number; success: number | null } {
  const into = (id: string) => namespace === undefined || id.split("/")[1] === namespace;
  const calls = edges.filter((e) => !e.from.startsWith("service/") && e.success !== null && into(e.to));
  const rps = calls.reduce((sum, e) => sum + e.rps, 0);
  const failed = calls.reduce((sum, e) => sum + e.rps * (1 - (e.success ?? 1)), 0);
  return { failed, success: rps > 0 ? 1 - failed / rps : null };
}

/**
 * How a namespace is: as its workloads answered, and as the callers of its services saw, who alone know what failed before any
 * pod was asked (an injected fault, no endpoint, a timeout).
 */
export function namespaceHealth<N extends { kind: string; namespace: string; success: number | null }>(
  namespace: string,
  success: number | null,
  nodes: N[],
): { grade: Health; unwell: N[] } {
  const inside = nodes.filter((n) => n.namespace === namespace && (n.kind === "workload" || n.kind === "service"));
  const unwell = inside.filter((n) => !["idle", "good"].includes(health(n.success)));
  return { grade: worst([health(success), ...inside.map((n) => health(n.success))]), unwell };
}
