// Lines of the map.
import type { GraphEdge } from "../api";
import { millis, percent, rate } from "../format";
import { health } from "../health";
import type { Box, Flow } from "./layout";

/** What edges can say. */
export const LABELS = ["notable", "rate", "success", "p50", "p95", "p99", "share", "none"] as const;
export type Label = (typeof LABELS)[number];

/** A line of the map. */
export interface Line {
  path: string;
  /** The middle of it. */
  x: number;
  y: number;
  /** Its tip. */
  tip: string;
}

/** The line between two boxes. */
export function line(from: Box, to: Box, flow: Flow): Line {
  return flow === "down" ? downward(from, to) : rightward(from, to);
}

function rightward(from: Box, to: Box): Line {
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
  const [x2, y2] = [to.x - 7, to.y + to.height / 2];
  const tip = `M${x2 - 4} ${y2 - 5}L${x2 + 6} ${y2}L${x2 - 4} ${y2 + 5}z`;
  if (to.x > from.x) {
    const bend = Math.max(34, (x2 - x1) / 2);
    return {
      path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
      x: (x1 + x2) / 2,
      y: (y1 + y2) / 2,
      tip,
    };
  }
  // Back to an earlier column, or to itself: out to the right, around below, in from the left.
  const low = Math.max(from.y, to.y) + from.height + 26;
  const middle = (x1 + x2) / 2;
  return {
    path: `M${x1} ${y1}C${x1 + 70} ${y1} ${x1 + 50} ${low} ${middle} ${low}S${x2 - 70} ${y2} ${x2} ${y2}`,
    x: middle,
    y: low,
    tip,
  };
}

function downward(from: Box, to: Box): Line {
  const [x1, y1] = [from.x + from.width / 2, from.y + from.height];
  const [x2, y2] = [to.x + to.width / 2, to.y - 7];
  const tip = `M${x2 - 5} ${y2 - 4}L${x2} ${y2 + 6}L${x2 + 5} ${y2 - 4}z`;
  if (to.y > from.y) {
    const bend = Math.max(22, (y2 - y1) / 2);
    return {
      path: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`,
      x: (x1 + x2) / 2,
      y: (y1 + y2) / 2,
      tip,
    };
  }
  const far = Math.max(from.x, to.x) + from.width + 18;
  const middle = (y1 + y2) / 2;
  return {
    path: `M${x1} ${y1}C${x1} ${y1 + 50} ${far} ${y1 + 40} ${far} ${middle}S${x2} ${y2 - 50} ${x2} ${y2}`,
    x: far,
    y: middle,
    tip,
  };
}

/** Width by rate, on a logarithm: 1 rps and 10,000 rps are on one map. */
export function width(edge: GraphEdge): number {
  const volume = Math.max(edge.rps, edge.bytes_s / 10_000, edge.tcp_conns / 10);
  return Math.min(8, 1.3 + 1.5 * Math.log10(1 + volume));
}

/** What stands on a line; empty for nothing. */
export function label(edge: GraphEdge, kind: Label): string {
  switch (kind) {
    case "rate":
      return edge.requests > 0 ? `${rate(edge.rps)}/s` : "";
    case "success":
      return edge.success === null ? "" : percent(edge.success);
    case "p50":
    case "p95":
    case "p99":
      return edge[`${kind}_ms`] === null ? "" : millis(edge[`${kind}_ms`]);
    case "share":
      return edge.seen === null ? "" : shares(edge);
    case "notable":
      return notable(edge);
    default:
      return "";
  }
}

/** What a person must not miss: failures, and splits. */
function notable(edge: GraphEdge): string {
  const grade = health(edge.success);
  const failing = grade === "bad" || grade === "degraded" ? `${percent(1 - (edge.success ?? 1))} fail` : "";
  return [edge.wanted === null ? "" : shares(edge), failing].filter(Boolean).join(" · ");
}

/** `wants 90 %, gets 88.9 %`. */
export function shares(edge: GraphEdge): string {
  const seen = edge.seen === null ? "–" : whole(edge.seen);
  return edge.wanted === null ? seen : `${whole(edge.wanted)} → ${seen}`;
}

function whole(share: number): string {
  const value = share * 100;
  return `${Math.abs(value - Math.round(value)) < 0.05 ? Math.round(value) : value.toFixed(1)} %`;
}
