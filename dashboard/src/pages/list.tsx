// What lists of workloads and services have in common.
import type { Series, Stat, StatRow } from "../api";
import { millis, rate } from "../format";
import { Success } from "../parts/health";
import type { Column } from "../parts/table";
import { usePoll } from "../poll";
import type { Place } from "../router";

/** Golden signals of all of a kind. */
export function useStat(kind: string, place: Place) {
  return usePoll<Stat>("stat", { kind, window: place.query.window ?? "1m", namespace: place.query.ns });
}

/** The lines of all of a kind, for small charts; over five minutes at least. */
export function useSeries(kind: string, place: Place): Series | undefined {
  const window = ["15m", "30m"].find((w) => w === place.query.window) ?? "5m";
  return usePoll<Series>("series", { kind, window, namespace: place.query.ns }, 6000).data;
}

/** Rows whose name or namespace has the text that is sought. */
export function sought(rows: StatRow[], text: string | undefined): StatRow[] {
  const words = (text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((r) => words.every((w) => `${r.namespace}/${r.name} ${r.kind}`.toLowerCase().includes(w)));
}

/** Columns of golden signals. */
export function signalColumns<T extends StatRow>(): Column<T>[] {
  return [
    { title: "Success", cell: (r) => <Success share={r.success} />, sort: (r) => r.success, figures: true },
    { title: "Requests/s", cell: (r) => rate(r.rps), sort: (r) => r.rps, figures: true },
    { title: "p50", cell: (r) => millis(r.p50_ms), sort: (r) => r.p50_ms, figures: true },
    { title: "p95", cell: (r) => millis(r.p95_ms), sort: (r) => r.p95_ms, figures: true },
    { title: "p99", cell: (r) => millis(r.p99_ms), sort: (r) => r.p99_ms, figures: true },
    { title: "TCP", cell: (r) => r.tcp_conns || "", sort: (r) => r.tcp_conns, figures: true },
  ];
}

/** Namespaces of the rows. */
export function namespacesOf(...stats: (Stat | undefined)[]): string[] {
  return [...new Set(stats.flatMap((s) => s?.rows.map((r) => r.namespace) ?? []))];
}
