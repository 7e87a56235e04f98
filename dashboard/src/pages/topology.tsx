// The live map.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Graph } from "../api";
import { command, scope } from "../cli";
import { FindBox, NamespacePick, PageHead, WindowPick } from "../parts/page";
import { Empty, Loaded } from "../parts/state";
import { usePoll } from "../poll";
import { narrow, type Place } from "../router";
import { LABELS, type Label } from "../topology/draw";
import { nodeMatcher } from "../topology/find";
import { better, coordinates, type Flow, type Memory, nothing, place as placed } from "../topology/layout";
import { TopologyMap } from "../topology/map";
import { SidePanel } from "../topology/panel";

const FLOWS: Flow[] = ["right", "down"];

const WORDS: Record<Label, string> = {
  notable: "failures and splits",
  rate: "rate",
  success: "success",
  p50: "latency p50",
  p95: "latency p95",
  p99: "latency p99",
  share: "share",
  none: "no labels",
};

export function TopologyPage({ place }: { place: Place }) {
  const { ns, window = "1m", sel, find = "", hide = "" } = place.query;
  const graph = usePoll<Graph>("topology", { window, namespace: ns });
  const labels = LABELS.find((l) => l === place.query.labels) ?? "notable";
  const [anew, layAnew] = useState(0);
  return (
    <>
      <PageHead title="Topology" command={command("viz edges deploy", scope(ns))}>
        <FindBox place={place} label="Find" hint="web, ns:shop, kind:service, is:failing, -is:idle" />
        <FindBox place={place} name="hide" label="Hide" hint="is:idle, is:healthy, kind:service" />
        <NamespacePick place={place} all={namespaces(graph.data)} />
        <label>
          <span class="hidden-label">Labels</span>
          <select value={labels} onChange={(e) => narrow(place, { labels: e.currentTarget.value })}>
            {LABELS.map((l) => (
              <option key={l} value={l}>
                {WORDS[l]}
              </option>
            ))}
          </select>
        </label>
        <WindowPick place={place} />
        <label>
          <span class="hidden-label">Direction</span>
          <select value={place.query.flow ?? ""} onChange={(e) => narrow(place, { flow: e.currentTarget.value })}>
            <option value="">fits</option>
            <option value="right">→ right</option>
            <option value="down">↓ down</option>
          </select>
        </label>
        <button
          type="button"
          title="Forget where nodes stood, and lay the map out anew"
          onClick={() => layAnew(anew + 1)}
        >
          Anew
        </button>
      </PageHead>
      <Loaded of={graph}>
        {(g) => (
          <div class="panel graph">
            {g.nodes.length === 0 ? (
              <Empty title={ns ? `Nothing of the mesh is in ${ns}` : "No sidecar has reported yet"}>
                As soon as pods with a sidecar send or get requests, they stand here.
              </Empty>
            ) : (
              <LiveMap
                key={`${ns ?? ""} ${anew}`}
                graph={g}
                place={place}
                labels={labels}
                find={find}
                hide={hide}
                fresh={anew > 0}
              />
            )}
            {sel && (
              <SidePanel
                graph={g}
                chosen={sel}
                close={() => narrow(place, { sel: undefined })}
                choose={(id) => narrow(place, { sel: id }, true)}
              />
            )}
          </div>
        )}
      </Loaded>
    </>
  );
}

interface MapProps {
  graph: Graph;
  place: Place;
  labels: Label;
  find: string;
  hide: string;
  /** Whatever was remembered is forgotten. */
  fresh: boolean;
}

function LiveMap({ graph, place, labels, find, hide, fresh }: MapProps) {
  const key = `leno.layout.${place.query.ns ?? ""}`;
  const flow = FLOWS.find((f) => f === place.query.flow);
  const memory = useRef<Memory | null>(null);
  memory.current ??= fresh ? nothing() : remembered(key);
  const { nodes, edges } = useMemo(() => {
    const hidden = hide.trim() ? nodeMatcher(hide, graph.edges) : () => false;
    const kept = graph.nodes.filter((n) => !hidden(n));
    const ids = new Set(kept.map((n) => n.id));
    return { nodes: kept, edges: graph.edges.filter((e) => ids.has(e.from) && ids.has(e.to)) };
  }, [graph, hide]);
  // Places do not depend on what is hidden: what comes back stands where it stood.
  const layout = useMemo(() => {
    const item = (n: { id: string; namespace: string }) => ({ id: n.id, band: n.namespace });
    const items = graph.nodes.map(item);
    const next = placed(items, graph.edges, memory.current ?? nothing());
    const space = { width: innerWidth - (innerWidth > 800 ? 260 : 24), height: innerHeight - 250 };
    memory.current = { ...next, flow: next.flow ?? better(items, next, space) };
    return coordinates(nodes.map(item), memory.current, flow ?? memory.current.flow ?? "right");
  }, [graph, nodes, flow]);
  useEffect(() => {
    if (memory.current) localStorage.setItem(key, JSON.stringify(memory.current));
  }, [key, layout]);
  const found = useMemo(() => {
    if (!find.trim()) return null;
    const matches = nodeMatcher(find, graph.edges);
    return new Set(graph.nodes.filter(matches).map((n) => n.id));
  }, [graph, find]);
  const choose = useRef((_: string | undefined) => {});
  choose.current = (id) => narrow(place, { sel: id }, id !== undefined);
  const stable = useMemo(() => (id: string | undefined) => choose.current(id), []);
  return (
    <TopologyMap
      nodes={nodes}
      edges={edges}
      layout={layout}
      flow={flow ?? memory.current?.flow ?? "right"}
      labels={labels}
      chosen={place.query.sel}
      found={found}
      choose={stable}
    />
  );
}

function remembered(key: string): Memory {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "null") as Memory | null;
    return kept?.spots && kept.bands && kept.rows ? kept : nothing();
  } catch {
    return nothing();
  }
}

function namespaces(graph: Graph | undefined): string[] {
  return [...new Set(graph?.nodes.map((n) => n.namespace).filter(Boolean))];
}
