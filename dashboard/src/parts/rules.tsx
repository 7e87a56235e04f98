// Route rules as a table: what is matched, where it goes, how long it may take.
import type { Graph, GraphEdge, Rule, StringMatch } from "../api";
import { millis } from "../format";
import { href } from "../router";
import { Empty } from "./state";
import { Table } from "./table";

interface Props {
  rules: Rule[];
  graph: Graph | undefined;
  /** With the service's name. */
  all?: boolean;
}

/** The table. */
export function RuleTable({ rules, graph, all = false }: Props) {
  return (
    <Table
      label="Routes"
      rows={rules}
      id={(r) => `${r.namespace}/${r.service}/${r.rule.name}/${r.rule.path}`}
      columns={[
        ...(all
          ? [
              {
                title: "Service",
                cell: (r: Rule) => <a href={href(["services", r.namespace, r.service])}>{r.service}</a>,
                sort: (r: Rule) => `${r.namespace}/${r.service}`,
              },
            ]
          : []),
        { title: "Route", cell: (r) => <b>{r.route || "(no name)"}</b>, sort: (r) => r.route },
        { title: "Matches", cell: (r) => matches(r), wrap: true },
        { title: "Goes to", cell: (r) => target(r, graph), wrap: true },
        { title: "Timeout", cell: (r) => (r.timeout_ms === null ? "none" : millis(r.timeout_ms)), figures: true },
        { title: "Retries", cell: (r) => retries(r), figures: true },
        {
          title: "Failures",
          cell: (r) => failures(r, graph),
          sort: (r) => failures(r, graph),
          figures: true,
        },
        {
          title: "From",
          cell: (r) => (
            <a href={href(["config", r.rule.kind, r.rule.namespace, r.rule.name], { path: r.rule.path })}>
              {r.rule.kind} {r.rule.name}
            </a>
          ),
        },
      ]}
      empty={<Empty title="No rule">Requests go to the service's endpoints as they are.</Empty>}
    />
  );
}

/** What a rule takes, in words. */
export function matches(rule: Rule): string {
  if (rule.matches.length === 0) return "every request";
  const one = (m: Rule["matches"][number]) =>
    [
      m.method && `method ${said(m.method)}`,
      m.uri && `path ${said(m.uri)}`,
      ...m.headers.map(([name, match]) => `header ${name} ${said(match)}`),
      ...m.query.map(([name, match]) => `query ${name} ${said(match)}`),
      m.source_namespace && `from namespace ${m.source_namespace}`,
    ]
      .filter(Boolean)
      .join(" and ") || "every request";
  return rule.matches.map(one).join(", or ");
}

function said(match: StringMatch | string): string {
  if (typeof match === "string") return match === "present" ? "is there" : match;
  const [kind, text] = Object.entries(match)[0] ?? ["", ""];
  const shown = typeof text === "string" ? text : JSON.stringify(text);
  return kind === "exact" ? `= ${shown}` : kind === "prefix" ? `${shown}*` : `${kind} ${shown}`;
}

function retries(rule: Rule): string {
  if (rule.retries === null) return "default";
  return `${rule.retries}${rule.per_try_ms === null ? "" : ` × ${millis(rule.per_try_ms)}`}`;
}

function target(rule: Rule, graph: Graph | undefined) {
  const { forward, redirect, respond } = rule.action;
  const notes = [rule.fault && "with a fault", rule.mirrors > 0 && "mirrored"].filter(Boolean).join(", ");
  if (redirect) return "a redirect";
  if (respond) return `answers ${respond.status}`;
  const total = forward?.reduce((sum, b) => sum + b.weight, 0) ?? 0;
  const shares = (forward ?? []).map((b) => {
    const share = total > 0 && (forward?.length ?? 0) > 1 ? ` ${Math.round((b.weight / total) * 1000) / 10} %` : "";
    return `${b.backend.service.name}${b.backend.subset ? ` (${b.backend.subset})` : ""}${share}`;
  });
  const seen = (forward?.length ?? 0) > 1 ? seenShares(rule, graph) : "";
  return (
    <>
      {shares.join(", ")}
      {seen && <div class="faint">seen: {seen}</div>}
      {notes && <div class="c-degraded">▲ {notes}</div>}
    </>
  );
}

function out(rule: Rule, graph: Graph | undefined): GraphEdge[] {
  return graph?.edges.filter((e) => e.from === `service/${rule.namespace}/${rule.service}`) ?? [];
}

function seenShares(rule: Rule, graph: Graph | undefined): string {
  const edges = out(rule, graph).filter((e) => e.wanted !== null && e.seen !== null);
  return edges.map((e) => `${e.to.split("/").at(-1)} ${Math.round((e.seen ?? 0) * 1000) / 10} %`).join(", ");
}

/** Failures that callers saw under a rule's name. */
function failures(rule: Rule, graph: Graph | undefined): number {
  const into = graph?.edges.filter((e) => e.to === `service/${rule.namespace}/${rule.service}`) ?? [];
  return into
    .flatMap((e) => e.failures)
    .filter((f) => f.route === rule.route)
    .reduce((sum, f) => sum + f.count, 0);
}
