// A small chart in a row: requests a second as a line, failures below it.
import type { Series, SeriesRow } from "../api";
import { rate } from "../format";

/** The line of one thing; nothing where it has none. */
export function Spark({ row }: { row: SeriesRow | undefined }) {
  if (!row || row.rps.length < 2) return <span class="spark" />;
  const top = Math.max(...row.rps, 1e-9);
  const x = (i: number) => (i * 100) / (row.rps.length - 1);
  const y = (v: number) => 23 - (v / top) * 21;
  const points = row.rps.map((v, i) => `${x(i).toFixed(1)} ${y(v).toFixed(1)}`);
  const failed = row.failed.map((v, i) => `L${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const any = row.failed.some((f) => f > 0);
  return (
    <svg
      class="spark"
      viewBox="0 0 100 24"
      preserveAspectRatio="none"
      role="img"
      aria-label={`up to ${rate(top)} requests a second`}
    >
      {any && <path class="err" d={`M0 23${failed}L100 23z`} />}
      <path d={`M${points.join("L")}`} />
    </svg>
  );
}

/** Finds the line of a row. */
export function lineOf(series: Series | undefined, namespace: string, name: string): SeriesRow | undefined {
  return series?.rows.find((r) => r.namespace === namespace && r.name === name);
}
