// The map itself: SVG, moved and zoomed by pointer, wheel and keys. Moving changes one attribute and draws nothing anew.
import { memo } from "preact/compat";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type GraphEdge, type GraphNode, plain } from "../api";
import { percent, rate } from "../format";
import { health, MARKS, WORDS } from "../health";
import { type Label, label, line, width } from "./draw";
import type { Box, Flow, Layout } from "./layout";

interface Props {
  nodes: GraphNode[];
  edges: GraphEdge[];
  layout: Layout;
  flow: Flow;
  labels: Label;
  chosen: string | undefined;
  /** Ids that stand out; `null` where nothing is sought. */
  found: Set<string> | null;
  choose: (id: string | undefined) => void;
}

interface View {
  x: number;
  y: number;
  k: number;
}

/** How an edge is named in addresses. */
export function edgeId(edge: { from: string; to: string }): string {
  return `${edge.from}>${edge.to}`;
}

/** The map. */
export function TopologyMap({ nodes, edges, layout, flow, labels, chosen, found, choose }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const group = useRef<SVGGElement>(null);
  const view = useRef<View>({ x: 0, y: 0, k: 1 });
  const moved = useRef(false);
  const apply = () => {
    const { x, y, k } = view.current;
    group.current?.setAttribute("transform", `translate(${x} ${y}) scale(${k})`);
  };
  const fit = () => {
    const size = svg.current?.getBoundingClientRect();
    if (!size || size.width === 0 || layout.width === 0) return;
    const k = Math.min(1.15, (size.width - 24) / layout.width, (size.height - 84) / Math.max(1, layout.height));
    view.current = {
      k,
      x: (size.width - layout.width * k) / 2,
      y: Math.max(12, (size.height - 62 - layout.height * k) / 2),
    };
    moved.current = false;
    apply();
  };
  const zoom = (factor: number, cx?: number, cy?: number) => {
    const size = svg.current?.getBoundingClientRect();
    if (!size) return;
    const { x, y, k } = view.current;
    const to = Math.min(3, Math.max(0.08, k * factor));
    const [px, py] = [cx ?? size.width / 2, cy ?? size.height / 2];
    view.current = { k: to, x: px - ((px - x) * to) / k, y: py - ((py - y) * to) / k };
    moved.current = true;
    apply();
  };
  const pan = (dx: number, dy: number) => {
    view.current = { ...view.current, x: view.current.x + dx, y: view.current.y + dy };
    moved.current = true;
    apply();
  };
  // What the reader has moved stays; else the whole map is shown.
  useEffect(() => {
    if (!moved.current) fit();
  }, [layout.width, layout.height]);
  useEffect(() => {
    const element = svg.current;
    if (!element) return;
    const wheel = (e: WheelEvent) => {
      e.preventDefault();
      const box = element.getBoundingClientRect();
      zoom(Math.exp(-e.deltaY * (e.deltaMode === 1 ? 0.05 : 0.0016)), e.clientX - box.left, e.clientY - box.top);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    const sized = new ResizeObserver(() => !moved.current && fit());
    sized.observe(element);
    return () => {
      element.removeEventListener("wheel", wheel);
      sized.disconnect();
    };
  }, [layout.width, layout.height]);
  const drag = usePointers(pan, zoom);
  const keys = (e: KeyboardEvent) => {
    const step = 60;
    const does: Record<string, () => void> = {
      "+": () => zoom(1.25),
      "=": () => zoom(1.25),
      "-": () => zoom(0.8),
      0: fit,
      ArrowLeft: () => pan(step, 0),
      ArrowRight: () => pan(-step, 0),
      ArrowUp: () => pan(0, step),
      ArrowDown: () => pan(0, -step),
      Escape: () => choose(undefined),
    };
    const act = does[e.key];
    if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    act();
  };
  const near = useMemo(() => neighbours(chosen, edges), [chosen, edges]);
  const seen = (id: string) => (!found || found.has(id)) && (!near || near.has(id));
  return (
    <div class="canvas">
      <svg
        ref={svg}
        class="map"
        role="group"
        aria-label={`Topology: ${nodes.length} nodes, ${edges.length} edges`}
        onKeyDown={keys}
        onClick={(e) => e.target === svg.current && !drag.dragged() && choose(undefined)}
        {...drag.handlers}
      >
        <g ref={group}>
          {layout.bands.map((band) => (
            <g class="band" key={band.name}>
              <rect x={band.x} y={band.y} width={band.width} height={band.height} rx="13" />
              <text x={band.x + 15} y={band.y + 21}>
                {band.name || "outside of namespaces"}
              </text>
            </g>
          ))}
          {edges.map((edge) => {
            const [from, to] = [layout.nodes.get(edge.from), layout.nodes.get(edge.to)];
            if (!from || !to) return null;
            const id = edgeId(edge);
            const dim = !(seen(edge.from) && seen(edge.to));
            return (
              <Edge
                key={id}
                edge={edge}
                flow={flow}
                from={from}
                to={to}
                labels={labels}
                chosen={chosen === id}
                dim={dim}
                choose={choose}
              />
            );
          })}
          {nodes.map((node) => {
            const box = layout.nodes.get(node.id);
            if (!box) return null;
            const dim = !seen(node.id);
            return <Node key={node.id} node={node} box={box} chosen={chosen === node.id} dim={dim} choose={choose} />;
          })}
        </g>
      </svg>
      <div class="zoom">
        <button type="button" aria-label="Zoom in" onClick={() => zoom(1.25)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(0.8)}>
          −
        </button>
        <button type="button" aria-label="Show all" title="Show all (0)" onClick={fit}>
          ⤢
        </button>
      </div>
      <Legend />
    </div>
  );
}

/** What is chosen and what it talks to; `null` where nothing is. */
function neighbours(chosen: string | undefined, edges: GraphEdge[]): Set<string> | null {
  if (!chosen) return null;
  const near = edges.filter((e) => edgeId(e) === chosen || e.from === chosen || e.to === chosen);
  return near.length === 0 ? null : new Set([chosen, ...near.flatMap((e) => [e.from, e.to])]);
}

interface NodeProps {
  node: GraphNode;
  box: Box;
  chosen: boolean;
  dim: boolean;
  choose: (id: string) => void;
}

const Node = memo(function Node({ node, box, chosen, dim, choose }: NodeProps) {
  const grade = health(node.success);
  const about = node.requests > 0 ? `${rate(node.rps)}/s · ${percent(node.success)}` : sub(node);
  const press = (e: KeyboardEvent) => {
    if (e.key !== "Enter" && e.key !== " ") return;
    e.preventDefault();
    choose(node.id);
  };
  return (
    <g
      class={`node ${node.kind} ${grade} ${chosen ? "chosen" : ""} ${dim ? "dim" : ""}`}
      transform={`translate(${box.x} ${box.y})`}
      role="button"
      tabindex={0}
      data-id={node.id}
      aria-label={`${node.kind} ${node.name}, ${WORDS[grade]}, ${about}`}
      onClick={() => choose(node.id)}
      onKeyDown={press}
    >
      {node.kind === "service" ? (
        <path class="box" d={hexagon(box)} />
      ) : (
        <rect
          class="box"
          width={box.width}
          height={box.height}
          rx={node.kind === "workload" ? 8 : 21}
          {...(node.kind === "workload" ? {} : { "stroke-dasharray": "4 3" })}
        />
      )}
      <text class={`mark ${grade}`} x="15" y={box.height / 2 + 4}>
        {MARKS[grade]}
      </text>
      <text x="30" y="18">
        {cut(node.name, 20)}
      </text>
      <text class="sub" x="30" y="33">
        {about}
      </text>
      <title>{`${node.kind} ${node.namespace ? `${node.namespace}/` : ""}${node.name}: ${WORDS[grade]}`}</title>
    </g>
  );
});

function sub(node: GraphNode): string {
  if (node.kind === "workload") return `${node.owner} · ${node.pods} ${node.pods === 1 ? "pod" : "pods"}`;
  return node.kind;
}

interface EdgeProps {
  edge: GraphEdge;
  from: Box;
  to: Box;
  flow: Flow;
  labels: Label;
  chosen: boolean;
  dim: boolean;
  choose: (id: string) => void;
}

const Edge = memo(function Edge({ edge, from, to, flow, labels, chosen, dim, choose }: EdgeProps) {
  const { path, x, y, tip } = line(from, to, flow);
  const grade = edge.success === null && (edge.tcp_conns > 0 || edge.bytes_s > 0) ? "good" : health(edge.success);
  const text = label(edge, labels);
  const id = edgeId(edge);
  const open = plain(edge);
  const press = (e: KeyboardEvent) => {
    if (e.key !== "Enter" && e.key !== " ") return;
    e.preventDefault();
    choose(id);
  };
  return (
    <g
      class={`edge ${grade} ${chosen ? "chosen" : ""} ${dim ? "dim" : ""}`}
      role="button"
      tabindex={0}
      data-id={id}
      aria-label={`from ${name(edge.from)} to ${name(edge.to)}: ${WORDS[grade]}, ${rate(edge.rps)} requests a second, ${edge.secured ?? "no connection"}`}
      onClick={() => choose(id)}
      onKeyDown={press}
    >
      <path class="hit" d={path} />
      <path class="line" d={path} stroke-width={width(edge)} />
      <path class="tip" d={tip} />
      {edge.secured && (
        <path class={`lock ${open ? "open" : ""}`} transform={`translate(${x - 5} ${y - 6})`} d={open ? OPEN : SHUT} />
      )}
      {text && (
        <text x={x} y={y - 10}>
          {text}
        </text>
      )}
      <title>{`${name(edge.from)} → ${name(edge.to)}: ${rate(edge.rps)}/s, ${percent(edge.success)}, ${edge.secured ?? "no connection"}`}</title>
    </g>
  );
});

/** A node in a word: a service is told from the workload of its name. */
export function name(id: string): string {
  const last = id.split("/").at(-1) ?? id;
  return id.startsWith("service/") ? `svc/${last}` : last;
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function hexagon({ width: w, height: h }: Box): string {
  return `M11 0H${w - 11}L${w} ${h / 2}L${w - 11} ${h}H11L0 ${h / 2}z`;
}

const SHUT = "M1 5h8v6H1zM2.4 5V3.4a2.6 2.6 0 0 1 5.2 0V5H6.3V3.4a1.3 1.3 0 0 0-2.6 0V5z";
const OPEN = "M1 5h8v6H1zM6.4 5V2.4a2.6 2.6 0 0 1 5.2 0V4h-1.3V2.4a1.3 1.3 0 0 0-2.6 0V5z";

function Legend() {
  const sample = (grade: string) => (
    <svg viewBox="0 0 30 8" aria-hidden="true" class={`edge ${grade}`}>
      <path class="line" d="M0 4H30" stroke-width="2.6" />
    </svg>
  );
  return (
    <div class="legend">
      <span>{sample("good")} ≥ 99.9 %</span>
      <span>{sample("degraded")} ≥ 95 %</span>
      <span>{sample("bad")} below</span>
      <span>{sample("idle")} no requests</span>
      <span>width: rate</span>
      <span>
        <svg viewBox="0 0 12 12" aria-hidden="true" class="edge">
          <path class="lock" d={SHUT} />
        </svg>
        mTLS
      </span>
      <span>
        <svg viewBox="0 0 12 12" aria-hidden="true" class="edge">
          <path class="lock open" d={OPEN} />
        </svg>
        plaintext in it
      </span>
    </div>
  );
}

/** Drag by one pointer, zoom by two. */
function usePointers(pan: (dx: number, dy: number) => void, zoom: (factor: number, x: number, y: number) => void) {
  const down = useRef(new Map<number, { x: number; y: number }>());
  const travelled = useRef(0);
  const start = (e: PointerEvent) => {
    if (down.current.size === 0) travelled.current = 0;
    down.current.set(e.pointerId, { x: e.clientX, y: e.clientY });
  };
  const move = (e: PointerEvent) => {
    const before = down.current.get(e.pointerId);
    if (!before) return;
    const [dx, dy] = [e.clientX - before.x, e.clientY - before.y];
    travelled.current += Math.abs(dx) + Math.abs(dy);
    const other = [...down.current].find(([id]) => id !== e.pointerId)?.[1];
    down.current.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (other) {
      const apart = (p: { x: number; y: number }) => Math.hypot(p.x - other.x, p.y - other.y);
      const box = (e.currentTarget as Element).getBoundingClientRect();
      const factor = apart({ x: e.clientX, y: e.clientY }) / Math.max(1, apart(before));
      zoom(factor, (e.clientX + other.x) / 2 - box.left, (e.clientY + other.y) / 2 - box.top);
    } else {
      pan(dx, dy);
      // Only a real drag holds the pointer: a click must still reach what it was on.
      if (travelled.current > 5) (e.currentTarget as Element).setPointerCapture(e.pointerId);
    }
  };
  const end = (e: PointerEvent) => down.current.delete(e.pointerId);
  return {
    dragged: () => travelled.current > 5,
    handlers: {
      onPointerDown: start,
      onPointerMove: move,
      onPointerUp: end,
      onPointerCancel: end,
      onPointerLeave: end,
    },
  };
}
