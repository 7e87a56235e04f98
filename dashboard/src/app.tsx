// The frame of all pages: where to go, how the mesh's own programs are, keys.
import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Status } from "./api";
import { clock, count, span } from "./format";
import { ConfigPage } from "./pages/config";
import { MtlsPage } from "./pages/mtls";
import { OverviewPage } from "./pages/overview";
import { RoutesPage } from "./pages/routes";
import { ServicesPage } from "./pages/services";
import { TapPage } from "./pages/tap";
import { TopologyPage } from "./pages/topology";
import { WorkloadsPage } from "./pages/workloads";
import { Config, Lock, Overview, Routes, Services, Sun, Tap, Topology, Workloads } from "./parts/icons";
import { Empty } from "./parts/state";
import { usePoll } from "./poll";
import { go, href, type Place, usePlace } from "./router";
import { turn } from "./theme";

interface Entry {
  path: string;
  title: string;
  key: string;
  icon: ComponentType;
  page: ComponentType<{ place: Place }>;
}

const ENTRIES: Entry[] = [
  { path: "", title: "Overview", key: "o", icon: Overview, page: OverviewPage },
  { path: "topology", title: "Topology", key: "t", icon: Topology, page: TopologyPage },
  { path: "workloads", title: "Workloads", key: "w", icon: Workloads, page: WorkloadsPage },
  { path: "services", title: "Services", key: "s", icon: Services, page: ServicesPage },
  { path: "routes", title: "Routes", key: "r", icon: Routes, page: RoutesPage },
  { path: "tap", title: "Tap", key: "p", icon: Tap, page: TapPage },
  { path: "config", title: "Configuration", key: "c", icon: Config, page: ConfigPage },
  { path: "mtls", title: "Mutual TLS", key: "m", icon: Lock, page: MtlsPage },
];

/** The whole. */
export function App() {
  const place = usePlace();
  const entry = ENTRIES.find((e) => e.path === (place.path[0] ?? ""));
  const help = useRef<HTMLDialogElement>(null);
  useKeys(help);
  useEffect(() => {
    const rest = place.path.slice(1).at(-1);
    document.title = `${rest ? `${rest} · ` : ""}${entry?.title ?? "Not found"} · Leno`;
  }, [place, entry]);
  const health = usePoll<Status>("status");
  const Page = entry?.page;
  return (
    <div class="shell">
      <div class="side">
        <a class="brand" href={href([])}>
          <img src="icon.svg" alt="" />
          <span>Leno</span>
        </a>
        <nav aria-label="Pages">
          {ENTRIES.map((e) => (
            <a key={e.path} href={href(e.path ? [e.path] : [])} aria-current={e === entry ? "page" : undefined}>
              <e.icon /> {e.title}
            </a>
          ))}
        </nav>
        <div class="foot">
          <span class="long">{health.data && `${count(health.data.proxies, "sidecar")} reporting`}</span>
          <div class="row">
            <button type="button" title="Light or dark" aria-label="Light or dark" onClick={turn}>
              <Sun />
            </button>
            <button type="button" class="long" onClick={() => help.current?.showModal()}>
              Keys <kbd>?</kbd>
            </button>
          </div>
        </div>
      </div>
      <main class={`main ${entry?.path === "topology" ? "full" : ""}`} id="main">
        <Freshness of={health.data} />
        {Page ? (
          <Page place={place} />
        ) : (
          <Empty title="There is no such page">
            <a href={href([])}>To the overview</a>
          </Empty>
        )}
      </main>
      <Help dialog={help} />
    </div>
  );
}

/** Says when leno-viz is up but nothing new comes to it. */
function Freshness({ of }: { of: Status | undefined }) {
  if (!of) return null;
  const age = of.last_ms ? (Date.now() - of.last_ms) / 1000 : null;
  if (of.control_lost_ms) {
    return (
      <div class="banner" role="status">
        <b>The control plane does not answer</b> since {clock(of.control_lost_ms)} (
        {span((Date.now() - of.control_lost_ms) / 1000)}). Sidecars go on with what they know and are measured on; new
        ones are not seen.
      </div>
    );
  }
  if (age !== null && age > 30) {
    return (
      <div class="banner bad" role="alert">
        <b>No data since {clock(of.last_ms ?? 0)}</b> ({span(age)}): no sidecar answers leno-viz.
      </div>
    );
  }
  return null;
}

/** One key goes to a page, `/` to the filter, `?` shows them all. */
function useKeys(help: { current: HTMLDialogElement | null }) {
  useEffect(() => {
    const pressed = (e: KeyboardEvent) => {
      const typing = (e.target as Element).closest("input, select, textarea, dialog");
      if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
      if (e.key === "?") return help.current?.showModal();
      if (e.key === "/") {
        const box = document.querySelector<HTMLInputElement>('input[type="search"]');
        if (box) {
          e.preventDefault();
          box.focus();
        }
        return;
      }
      if (e.key === "l") return turn();
      const entry = ENTRIES.find((x) => x.key === e.key);
      if (entry) go(entry.path ? [entry.path] : []);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [help]);
}

function Help({ dialog }: { dialog: { current: HTMLDialogElement | null } }) {
  const keys: [string, string][] = [
    ...ENTRIES.map((e): [string, string] => [e.key, e.title]),
    ["/", "Find"],
    ["l", "Light or dark"],
    ["?", "This"],
    ["Tab, Enter", "On the map: from node to node, open"],
    ["+ − 0 ← ↑ → ↓", "On the map: zoom, show all, move"],
    ["Esc", "Close the panel"],
  ];
  return (
    <dialog ref={dialog} aria-label="Keys">
      <h2>Keys</h2>
      <dl class="kv">
        {keys.map(([key, what]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
