// How the mesh is, by namespace, and what fails most.
import { type Events, type Graph, type GraphEdge, plain, type Series, type Stat, type StatRow } from "../api";
import { command } from "../cli";
import { count, millis, percent, rate } from "../format";
import { asCallersSaw, namespaceHealth } from "../health";
import { EventList } from "../parts/chart";
import { HealthBadge, Success } from "../parts/health";
import { PageHead, WindowPick } from "../parts/page";
import { lineOf, Spark } from "../parts/spark";
import { Empty, Loaded } from "../parts/state";
import { usePoll } from "../poll";
import { href, type Place } from "../router";
import { edgeId, name } from "../topology/map";
import type { ObjectRow } from "./config";

export function OverviewPage({ place }: { place: Place }) {
  const window = place.query.window ?? "1m";
  const stat = usePoll<Stat>("stat", { kind: "ns", window });
  const graph = usePoll<Graph>("topology", { window });
  const series = usePoll<Series>("series", { kind: "ns", window: "5m" }, 6000);
  return (
    <>
      <PageHead title="Overview" command={command("viz stat ns", window !== "1m" && `-t ${window}`)}>
        <WindowPick place={place} />
      </PageHead>
      <Loaded of={stat}>
        {(s) =>
          s.rows.length === 0 ? (
            <div class="panel">
              <Empty title="No sidecar has reported yet">
                <p>
                  Label a namespace and restart its pods:{" "}
                  <code>kubectl label namespace NAME istio-injection=enabled</code>. Then <code>leno check</code> tells
                  whether they are in the mesh.
                </p>
              </Empty>
            </div>
          ) : (
            <>
              <Totals stat={s} graph={graph.data} />
              <div class="grid">
                {s.rows.map((row) => (
                  <Namespace key={row.name} row={row} graph={graph.data} series={series.data} />
                ))}
              </div>
            </>
          )
        }
      </Loaded>
      {graph.data && graph.data.edges.length > 0 && (
        <>
          <Worst edges={graph.data.edges} />
          <Happened />
        </>
      )}
    </>
  );
}

function Totals({ stat, graph }: { stat: Stat; graph: Graph | undefined }) {
  const rps = stat.rows.reduce((sum, r) => sum + r.rps, 0);
  const { success, failed } = asCallersSaw(graph?.edges ?? []);
  const pods = stat.rows.reduce((sum, r) => sum + r.meshed.meshed, 0);
  const edges = graph?.edges ?? [];
  const locked = edges.length - edges.filter(plain).length;
  return (
    <div class="tiles">
      <Tile label="Requests a second" value={rate(rps)} more="as workloads were asked" />
      <Tile
        label="Success"
        value={success === null ? "–" : percent(success)}
        more={`${rate(failed)} failures a second, as callers saw`}
      />
      <Tile label="Pods in the mesh" value={String(pods)} more={count(stat.rows.length, "namespace")} />
      <a class="panel tile" href={href(["topology"], { find: locked < edges.length ? "is:plaintext" : undefined })}>
        <div class="label">Edges by mutual TLS</div>
        <div class="value">{edges.length === 0 ? "–" : `${locked} of ${edges.length}`}</div>
        <div class="more">{locked === edges.length ? "all of them" : `${edges.length - locked} with plaintext`}</div>
      </a>
      <Configuration />
    </div>
  );
}

/** What is wrong with what was written. */
function Configuration() {
  const { data, error } = usePoll<{ objects: ObjectRow[] }>("objects", {}, 10_000);
  if (!data) return error ? null : <Tile label="Configuration" value="…" more="" />;
  const sum = (of: (o: ObjectRow) => number) => data.objects.reduce((n, o) => n + of(o), 0);
  const errors = sum((o) => o.errors + (o.state === "refused" ? 1 : 0));
  const warnings = sum((o) => o.warnings);
  return (
    <a class="panel tile" href={href(["config"], { only: errors + warnings > 0 ? "findings" : undefined })}>
      <div class="label">Configuration</div>
      <div class={`value ${errors > 0 ? "c-bad" : warnings > 0 ? "c-degraded" : ""}`}>
        {errors > 0 ? `■ ${count(errors, "error")}` : warnings > 0 ? `▲ ${count(warnings, "warning")}` : "in order"}
      </div>
      <div class="more">{errors > 0 ? count(warnings, "warning") : count(data.objects.length, "object")}</div>
    </a>
  );
}

function Tile({ label, value, more }: { label: string; value: string; more: string }) {
  return (
    <div class="panel tile">
      <div class="label">{label}</div>
      <div class="value">{value}</div>
      <div class="more">{more}</div>
    </div>
  );
}

function Namespace({ row, graph, series }: { row: StatRow; graph: Graph | undefined; series: Series | undefined }) {
  const inside = graph?.nodes.filter((n) => n.kind === "workload" && n.namespace === row.name) ?? [];
  const seen = asCallersSaw(graph?.edges ?? [], row.name);
  const { grade, unwell } = namespaceHealth(row.name, row.success, graph?.nodes ?? []);
  return (
    <section class="panel namespace">
      <header>
        <h2>
          <a href={href(["topology"], { ns: row.name })}>{row.name}</a>
        </h2>
        <HealthBadge of={grade} />
      </header>
      <div class="body">
        <dl class="kv">
          <dt>Workloads</dt>
          <dd>
            <a href={href(["workloads"], { ns: row.name })}>{count(inside.length, "workload")}</a>,{" "}
            {count(row.meshed.meshed, "pod")}
          </dd>
          <dt>Rate</dt>
          <dd class="with-spark">
            {rate(row.rps)} requests/s <Spark row={lineOf(series, row.name, row.name)} />
          </dd>
          <dt>Success</dt>
          <dd>
            <Success share={seen.success ?? row.success} />
            {seen.success !== null && percent(seen.success) !== percent(row.success) && (
              <span class="faint"> as callers saw; workloads answered {percent(row.success)}</span>
            )}
          </dd>
          <dt>Latency</dt>
          <dd>
            p50 {millis(row.p50_ms)}, p95 {millis(row.p95_ms)}, p99 {millis(row.p99_ms)}
          </dd>
          {unwell.length > 0 && (
            <>
              <dt>Look at</dt>
              <dd class="chips">
                {unwell.map((n) => (
                  <a class="chip" key={n.id} href={href(["topology"], { ns: row.name, sel: n.id })}>
                    {n.kind === "service" ? `svc/${n.name}` : n.name} {percent(n.success)}
                  </a>
                ))}
              </dd>
            </>
          )}
        </dl>
      </div>
    </section>
  );
}

function Happened() {
  const events = usePoll<Events>("events", { window: "30m" }, 6000);
  return (
    <section class="panel">
      <header>
        <h2>What happened in the last half hour</h2>
      </header>
      <div class="body">
        <EventList events={events.data?.events ?? []} />
      </div>
    </section>
  );
}

function Worst({ edges }: { edges: GraphEdge[] }) {
  const failing = edges
    .filter((e) => e.success !== null && e.success < 1)
    .sort((a, b) => b.rps * (1 - (b.success ?? 1)) - a.rps * (1 - (a.success ?? 1)))
    .slice(0, 6);
  return (
    <section class="panel">
      <header>
        <h2>Where requests fail</h2>
        <a href={href(["topology"], { find: "is:failing" })}>Show on the map</a>
      </header>
      {failing.length === 0 ? (
        <Empty title="Nowhere">No request failed in this window.</Empty>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Traffic</th>
                <th class="num">Failures/s</th>
                <th class="num">Success</th>
                <th>Most often</th>
              </tr>
            </thead>
            <tbody>
              {failing.map((e) => (
                <tr key={edgeId(e)}>
                  <td>
                    <a href={href(["topology"], { sel: edgeId(e) })}>
                      {name(e.from)} → {name(e.to)}
                    </a>
                  </td>
                  <td class="num">{rate(e.rps * (1 - (e.success ?? 1)))}</td>
                  <td class="num">
                    <Success share={e.success} />
                  </td>
                  <td class="wrap">{cause(e)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function cause(edge: GraphEdge): string {
  const first = edge.failures[0];
  if (!first) return "";
  const status = first.grpc === null ? `${first.status || "no answer"}` : `gRPC ${first.grpc}`;
  return `${status}: ${first.reason === "answered" ? "the application itself answered so" : first.words}`;
}
