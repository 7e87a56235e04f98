// What the pages of a workload and of a service share: charts, traffic in and out.
import { type Events, type Graph, type GraphEdge, type MeshEvent, plain, type Series } from "../api";
import { millis, rate } from "../format";
import { Charts, EventList } from "../parts/chart";
import { Success } from "../parts/health";
import { Empty } from "../parts/state";
import { Table } from "../parts/table";
import { usePoll } from "../poll";
import { href } from "../router";
import { edgeId, name } from "../topology/map";
import { Reason } from "../topology/panel";

/** Charts of one thing and the events around it. */
export function History({
  kind,
  namespace,
  name,
  window,
}: {
  kind: string;
  namespace: string;
  name: string;
  window: string;
}) {
  const series = usePoll<Series>("series", { kind, namespace, name, window, detail: "1" }, 5000);
  const events = usePoll<Events>("events", { namespace, window }, 5000);
  const row = series.data?.rows[0];
  const happened: MeshEvent[] = events.data?.events ?? [];
  if (!series.data) return <div class="skeleton" />;
  return (
    <>
      {row ? (
        <Charts series={series.data} row={row} events={happened} />
      ) : (
        <div class="panel">
          <Empty title="No requests in this window">
            Opaque TCP has no requests; its bytes and connections are below.
          </Empty>
        </div>
      )}
      <section class="panel">
        <header>
          <h2>What happened in {namespace}</h2>
        </header>
        <div class="body">
          <EventList events={happened} />
        </div>
      </section>
    </>
  );
}

/** Edges of one node, as a table. */
export function Traffic({
  title,
  edges,
  end,
  empty,
}: {
  title: string;
  edges: GraphEdge[];
  end: "from" | "to";
  empty: string;
}) {
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
      </header>
      <Table
        label={title}
        rows={edges}
        id={edgeId}
        columns={[
          {
            title: end === "from" ? "Caller" : "Callee",
            cell: (e) => <a href={href(["topology"], { sel: edgeId(e) })}>{name(e[end])}</a>,
            sort: (e) => e[end],
          },
          { title: "Requests/s", cell: (e) => rate(e.rps), sort: (e) => e.rps, figures: true },
          { title: "Success", cell: (e) => <Success share={e.success} />, sort: (e) => e.success, figures: true },
          { title: "p50", cell: (e) => millis(e.p50_ms), sort: (e) => e.p50_ms, figures: true },
          { title: "p99", cell: (e) => millis(e.p99_ms), sort: (e) => e.p99_ms, figures: true },
          { title: "TCP", cell: (e) => e.tcp_conns || "", sort: (e) => e.tcp_conns, figures: true },
          {
            title: "Secured",
            cell: (e) => (
              <span class={`badge ${e.secured === "mTLS" ? "good" : plain(e) ? "bad" : "idle"}`}>
                {e.secured ?? "no connection"}
              </span>
            ),
            sort: (e) => e.secured,
          },
        ]}
        empty={<Empty title={empty} />}
      />
    </section>
  );
}

/** Why requests on these edges fail. */
export function Failures({ edges }: { edges: GraphEdge[] }) {
  const failing = edges.filter((e) => e.failures.length > 0);
  if (failing.length === 0) return null;
  return (
    <section class="panel">
      <header>
        <h2>Why requests fail</h2>
      </header>
      <div class="body rows">
        {failing.flatMap((e) =>
          e.failures.map((f) => (
            <Reason key={`${edgeId(e)} ${f.route} ${f.reason} ${f.status} ${f.grpc}`} failure={f} edge={e} />
          )),
        )}
      </div>
    </section>
  );
}

/** Edges into and out of a node. */
export function around(
  graph: Graph | undefined,
  id: string,
): { node: Graph["nodes"][number] | undefined; into: GraphEdge[]; out: GraphEdge[] } {
  return {
    node: graph?.nodes.find((n) => n.id === id),
    into: graph?.edges.filter((e) => e.to === id) ?? [],
    out: graph?.edges.filter((e) => e.from === id) ?? [],
  };
}
