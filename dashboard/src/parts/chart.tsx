// Charts over the window by uPlot, with events as upright lines.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { MeshEvent, Series, SeriesRow } from "../api";
import { clock, millis, rate } from "../format";
import { href } from "../router";

interface Props {
  series: Series;
  row: SeriesRow;
  events: MeshEvent[];
}

interface Line {
  label: string;
  values: (number | null)[];
  colour: string;
  dash?: number[];
  fill?: boolean;
}

/** Rate with failures, and latencies. */
export function Charts({ series, row, events }: Props) {
  const times = row.rps.map((_, i) => (series.start_ms + (i + 1) * series.step_ms) / 1000);
  const rates: Line[] = [
    { label: "requests/s", values: row.rps, colour: "--accent" },
    { label: "failures/s", values: row.failed, colour: "--bad", dash: [4, 3], fill: true },
  ];
  const latencies: Line[] = [
    { label: "p50", values: row.p50_ms ?? [], colour: "--accent" },
    { label: "p95", values: row.p95_ms ?? [], colour: "--degraded", dash: [8, 3] },
    { label: "p99", values: row.p99_ms ?? [], colour: "--event", dash: [2, 3] },
  ];
  return (
    <div class="two">
      <Chart title="Requests and failures a second" times={times} lines={rates} show={rate} events={events} />
      <Chart title="Latency" times={times} lines={latencies} show={millis} events={events} />
    </div>
  );
}

interface ChartProps {
  title: string;
  times: number[];
  lines: Line[];
  show: (value: number | null) => string;
  events: MeshEvent[];
}

function Chart({ title, times, lines, show, events }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const marks = useRef(events);
  marks.current = events;
  const data = [times, ...lines.map((l) => l.values)] as uPlot.AlignedData;
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(element.clientWidth, lines, show, () => marks.current),
        latest.current,
        element,
      );
    };
    draw();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    sized.observe(element);
    addEventListener("leno-theme", draw);
    return () => {
      sized.disconnect();
      removeEventListener("leno-theme", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(latest.current), [data]);
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
      </header>
      <div class="body">
        <div class="chart" ref={place} role="img" aria-label={`${title}, as a chart over time`} />
      </div>
    </section>
  );
}

const HEIGHT = 190;

function options(width: number, lines: Line[], show: ChartProps["show"], events: () => MeshEvent[]): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [12, 30, 0, 0],
    cursor: { y: false },
    scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((t) => clock(t * 1000)), space: 70 },
      { ...axis, size: 62, values: (_, ticks) => ticks.map((t) => (t === 0 ? "0" : show(t))) },
    ],
    series: [
      { value: (_, t) => (t ? clock(t * 1000) : "–") },
      ...lines.map((l) => ({
        label: l.label,
        stroke: colour(l.colour),
        width: 1.8,
        ...(l.dash ? { dash: l.dash } : {}),
        ...(l.fill ? { fill: `${colour(l.colour)}33` } : {}),
        spanGaps: false,
        points: { show: false },
        value: (_: uPlot, v: number | null) => show(v),
      })),
    ],
    hooks: { draw: [(u) => uprights(u, events(), colour("--event"))] },
  };
}

/** An upright line for each event, with the letter of its kind on top. */
function uprights(u: uPlot, events: MeshEvent[], colour: string): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.font = `bold ${10 * devicePixelRatio}px sans-serif`;
  for (const event of events) {
    const x = u.valToPos(event.at_ms / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(LETTERS[event.what], x + 3 * devicePixelRatio, bbox.top + 9 * devicePixelRatio);
  }
  ctx.restore();
}

const LETTERS: Record<MeshEvent["what"], string> = { config: "C", rollout: "R", ejection: "E", certificate: "K" };
const NAMES: Record<MeshEvent["what"], string> = {
  config: "configuration",
  rollout: "rollout",
  ejection: "ejection",
  certificate: "certificate",
};

/** Events in the list. */
const MOST = 8;

/** The events as a list, with the letters that stand in the charts. */
export function EventList({ events }: { events: MeshEvent[] }) {
  if (events.length === 0)
    return <p class="faint">Nothing happened in this window: no rollout, change, ejection or renewal.</p>;
  return (
    <ul class="events">
      {events.slice(0, MOST).map((e) => (
        <li key={`${e.at_ms} ${e.text}`}>
          <span class="faint">{clock(e.at_ms)}</span>
          <span>
            <b class="event-mark" title={NAMES[e.what]}>
              {LETTERS[e.what]}
            </b>{" "}
            <EventText of={e} />
          </span>
        </li>
      ))}
      {events.length > MOST && <li class="faint">and {events.length - MOST} earlier ones</li>}
    </ul>
  );
}

function EventText({ of }: { of: MeshEvent }) {
  const to = link(of);
  return to ? <a href={to}>{of.text}</a> : of.text;
}

function link(e: MeshEvent): string | undefined {
  if (e.what === "config") return href(["config", e.kind, ...(e.namespace ? [e.namespace] : []), e.name]);
  if (e.what === "rollout") return href(["workloads", e.namespace, e.kind, e.name]);
  return undefined;
}
