// Deployments and the like.
import type { Series, Stat } from "../api";
import { command, scope } from "../cli";
import { FindBox, NamespacePick, PageHead, WindowPick } from "../parts/page";
import { lineOf, Spark } from "../parts/spark";
import { Empty, Loaded } from "../parts/state";
import { Table } from "../parts/table";
import type { Polled } from "../poll";
import { href, type Place } from "../router";
import { namespacesOf, signalColumns, sought, useSeries, useStat } from "./list";
import { WorkloadPage } from "./workload";

/** Kinds that own pods. */
export const OWNERS = ["deployment", "statefulset", "daemonset", "job"];

export function WorkloadsPage({ place }: { place: Place }) {
  const [, namespace, kind, name] = place.path;
  return namespace && kind && name ? (
    <WorkloadPage key={place.path.join("/")} place={place} namespace={namespace} kind={kind} name={name} />
  ) : (
    <WorkloadList place={place} />
  );
}

function WorkloadList({ place }: { place: Place }) {
  const all = [
    useStat("deployment", place),
    useStat("statefulset", place),
    useStat("daemonset", place),
    useStat("job", place),
  ];
  const joined = join(all);
  const series: Record<string, Series | undefined> = {
    deployment: useSeries("deployment", place),
    statefulset: useSeries("statefulset", place),
  };
  const { ns, window = "1m", find } = place.query;
  return (
    <>
      <PageHead title="Workloads" command={command("viz stat deploy", scope(ns), window !== "1m" && `-t ${window}`)}>
        <FindBox place={place} />
        <NamespacePick place={place} all={namespacesOf(joined.data)} />
        <WindowPick place={place} />
      </PageHead>
      <Loaded of={joined}>
        {(stat) => (
          <div class="panel">
            <Table
              label="Workloads"
              rows={sought(stat.rows, find)}
              id={(r) => `${r.kind}/${r.namespace}/${r.name}`}
              columns={[
                {
                  title: "Name",
                  cell: (r) => <a href={href(["workloads", r.namespace, r.kind, r.name])}>{r.name}</a>,
                  sort: (r) => r.name,
                },
                { title: "Namespace", cell: (r) => r.namespace, sort: (r) => r.namespace },
                { title: "Kind", cell: (r) => r.kind, sort: (r) => r.kind },
                { title: "Pods", cell: (r) => r.meshed.meshed, sort: (r) => r.meshed.meshed, figures: true },
                { title: "Last minutes", cell: (r) => <Spark row={lineOf(series[r.kind], r.namespace, r.name)} /> },
                ...signalColumns(),
              ]}
              empty={<Empty title={find ? "Nothing has that name" : "No workload has a sidecar that reports"} />}
            />
          </div>
        )}
      </Loaded>
    </>
  );
}

/** Several answers as one: it is there when all are. */
function join(all: Polled<Stat>[]): Polled<Stat> {
  const error = all.find((p) => p.error)?.error;
  const since = Math.min(...all.map((p) => p.since ?? Number.POSITIVE_INFINITY));
  const stats = all.flatMap((p) => (p.data ? [p.data] : []));
  const data =
    stats.length === all.length ? { window_s: stats[0]?.window_s ?? 0, rows: stats.flatMap((s) => s.rows) } : undefined;
  return { data, error, since: Number.isFinite(since) ? since : undefined };
}
