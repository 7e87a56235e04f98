// Who talks plaintext to whom, and who would break if a namespace turned STRICT.
import { type Graph, type GraphEdge, type Policies, plain } from "../api";
import { command } from "../cli";
import { count, rate } from "../format";
import { PageHead, WindowPick } from "../parts/page";
import { Empty, Loaded } from "../parts/state";
import { Table } from "../parts/table";
import { usePoll } from "../poll";
import { href, type Place } from "../router";
import { edgeId, name } from "../topology/map";

interface Row {
  namespace: string;
  /** Mode of the whole namespace, and the object that says so. */
  mode: string;
  by: { kind: string; namespace: string; name: string } | undefined;
  exceptions: number;
  edges: number;
  plain: GraphEdge[];
}

export function MtlsPage({ place }: { place: Place }) {
  const window = place.query.window ?? "5m";
  const graph = usePoll<Graph>("topology", { window });
  const policies = usePoll<Policies>("policies");
  return (
    <>
      <PageHead title="Mutual TLS" command={command("viz edges deploy -A", `-t ${window}`)}>
        <WindowPick place={{ ...place, query: { ...place.query, window } }} />
      </PageHead>
      <Loaded of={graph}>
        {(g) => (
          <>
            <section class="panel">
              <header>
                <h2>Namespaces</h2>
              </header>
              <Table
                label="Namespaces"
                rows={rows(g, policies.data)}
                id={(r) => r.namespace}
                columns={[
                  { title: "Namespace", cell: (r) => <b>{r.namespace}</b>, sort: (r) => r.namespace },
                  { title: "Takes", cell: (r) => <Mode row={r} />, sort: (r) => r.mode },
                  { title: "Callers seen", cell: (r) => r.edges, sort: (r) => r.edges, figures: true },
                  { title: "By plaintext", cell: (r) => r.plain.length, sort: (r) => r.plain.length, figures: true },
                  { title: "If it turned STRICT", cell: (r) => <Verdict row={r} />, wrap: true },
                ]}
                empty={<Empty title="No sidecar has reported yet" />}
              />
            </section>
            <section class="panel">
              <header>
                <h2>Plaintext</h2>
                <a href={href(["topology"], { find: "is:plaintext" })}>Show on the map</a>
              </header>
              <Table
                label="Plaintext"
                rows={g.edges.filter(plain)}
                id={edgeId}
                columns={[
                  { title: "From", cell: (e) => name(e.from), sort: (e) => e.from },
                  {
                    title: "To",
                    cell: (e) => <a href={href(["topology"], { sel: edgeId(e) })}>{name(e.to)}</a>,
                    sort: (e) => e.to,
                  },
                  { title: "Requests/s", cell: (e) => rate(e.rps), sort: (e) => e.rps, figures: true },
                  { title: "How", cell: (e) => (e.secured === "mixed" ? "some of it" : "all of it") },
                  { title: "Why", cell: (e) => why(e, g), wrap: true },
                ]}
                empty={<Empty title="None">Everything that was seen in this window was mutual TLS.</Empty>}
              />
            </section>
          </>
        )}
      </Loaded>
    </>
  );
}

/** What holds in each namespace, and who calls into it. */
export function rows(graph: Graph, policies: Policies | undefined): Row[] {
  const spaces = [...new Set(graph.nodes.map((n) => n.namespace).filter(Boolean))].sort();
  const find = (ns: string) => policies?.policies.find((p) => p.namespace === ns)?.peer_authentications ?? [];
  const whole = (ns: string) => find(ns).find((p) => Object.keys(p.selector).length === 0 && p.mode);
  return spaces.map((namespace) => {
    const holds = whole(namespace) ?? (policies ? whole(policies.root_namespace) : undefined);
    const inside = new Set(graph.nodes.filter((n) => n.namespace === namespace).map((n) => n.id));
    const entering = graph.edges.filter(
      (e) => inside.has(e.to) && (e.from === "unknown" || !e.from.startsWith("service/")),
    );
    return {
      namespace,
      mode: holds?.mode ?? "PERMISSIVE",
      by: holds?.origin,
      exceptions: find(namespace).filter((p) => Object.keys(p.selector).length > 0 || p.ports.length > 0).length,
      edges: entering.length,
      plain: entering.filter(plain),
    };
  });
}

function Mode({ row }: { row: Row }) {
  const strict = row.mode.toUpperCase() === "STRICT";
  return (
    <>
      <span class={`badge ${strict ? "good" : "idle"}`}>{row.mode.toUpperCase()}</span>{" "}
      {row.by ? (
        <a href={href(["config", row.by.kind, row.by.namespace, row.by.name])}>{row.by.name}</a>
      ) : (
        <span class="faint">by default</span>
      )}
      {row.exceptions > 0 && <span class="faint"> and {count(row.exceptions, "exception")}</span>}
    </>
  );
}

function Verdict({ row }: { row: Row }) {
  if (row.mode.toUpperCase() === "STRICT") {
    return row.plain.length === 0 ? (
      <>It is STRICT, and nobody comes by plaintext.</>
    ) : (
      <>It is STRICT; plaintext still comes to excepted ports.</>
    );
  }
  if (row.plain.length === 0) return <span class="c-good">● nobody who was seen would break</span>;
  return (
    <span class="c-bad">
      ■ {count(row.plain.length, "caller")} would break:{" "}
      {row.plain.map((e, i) => (
        <>
          {i > 0 && ", "}
          <a href={href(["topology"], { sel: edgeId(e) })}>
            {name(e.from)} → {name(e.to)}
          </a>
        </>
      ))}
    </span>
  );
}

function why(edge: GraphEdge, graph: Graph): string {
  if (edge.from === "unknown") return "The caller has no sidecar.";
  const to = graph.nodes.find((n) => n.id === edge.to);
  if (to?.kind === "outside") return "It is outside of the mesh.";
  if (to?.kind === "workload" && to.pods === 0) return "The callee has no sidecar.";
  return "A DestinationRule turns mutual TLS off, or the port is excepted.";
}
