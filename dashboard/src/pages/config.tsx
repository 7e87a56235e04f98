// Every object: what became of it, and what is wrong with it.
import { command, scope } from "../cli";
import { count } from "../format";
import { FindBox, NamespacePick, PageHead } from "../parts/page";
import { Empty, Loaded } from "../parts/state";
import { Table } from "../parts/table";
import { usePoll } from "../poll";
import { href, narrow, type Place } from "../router";
import { ObjectPage } from "./object";

export interface ObjectRow {
  kind: string;
  namespace: string;
  name: string;
  api_version: string;
  source: string;
  /** Of the control plane; null for kinds that it does not follow. */
  state: "accepted" | "refused" | null;
  in_force: boolean | null;
  live: number | null;
  of: number | null;
  messages: string[];
  errors: number;
  warnings: number;
  infos: number;
}

interface Objects {
  objects: ObjectRow[];
  missing: string[];
}

export function ConfigPage({ place }: { place: Place }) {
  const [, kind, second, third] = place.path;
  if (kind && second) {
    return (
      <ObjectPage place={place} kind={kind} namespace={third === undefined ? "" : second} name={third ?? second} />
    );
  }
  return <ConfigList place={place} />;
}

function ConfigList({ place }: { place: Place }) {
  const objects = usePoll<Objects>("objects", {}, 6000);
  const { ns, find = "", kind, only } = place.query;
  const all = objects.data?.objects ?? [];
  const rows = all.filter(
    (o) =>
      (!ns || o.namespace === ns) &&
      (!kind || o.kind === kind) &&
      (only !== "findings" || o.errors + o.warnings > 0 || o.state === "refused") &&
      `${o.kind}/${o.namespace}/${o.name}`.toLowerCase().includes(find.toLowerCase()),
  );
  rows.sort((a, b) => b.errors - a.errors || b.warnings - a.warnings || order(a) - order(b));
  return (
    <>
      <PageHead title="Configuration" command={command("analyze", scope(ns))}>
        <FindBox place={place} />
        <label>
          <span class="hidden-label">Kind</span>
          <select value={kind ?? ""} onChange={(e) => narrow(place, { kind: e.currentTarget.value })}>
            <option value="">all kinds</option>
            {[...new Set(all.map((o) => o.kind))].sort().map((k) => (
              <option key={k}>{k}</option>
            ))}
          </select>
        </label>
        <NamespacePick place={place} all={[...new Set(all.map((o) => o.namespace).filter(Boolean))]} />
        <button
          type="button"
          aria-pressed={only === "findings"}
          onClick={() => narrow(place, { only: only === "findings" ? undefined : "findings" })}
        >
          With findings
        </button>
      </PageHead>
      <Loaded of={objects}>
        {(o) => (
          <>
            {o.missing.length > 0 && (
              <div class="banner">
                Not all could be read, so some findings are not made: {o.missing.join("; ")}
                <p>The ClusterRole of leno-viz says what it may read.</p>
              </div>
            )}
            <div class="panel">
              <Table
                label="Objects"
                rows={rows}
                id={(r) => `${r.kind}/${r.namespace}/${r.name}`}
                columns={[
                  { title: "Name", cell: (r) => <a href={objectHref(r)}>{r.name}</a>, sort: (r) => r.name },
                  { title: "Kind", cell: (r) => r.kind, sort: (r) => r.kind },
                  { title: "Namespace", cell: (r) => r.namespace, sort: (r) => r.namespace },
                  { title: "Status", cell: (r) => <Status of={r} />, sort: (r) => r.state },
                  { title: "Live on", cell: live, sort: (r) => r.live, figures: true },
                  { title: "Findings", cell: (r) => <Counts of={r} />, sort: (r) => r.errors * 1000 + r.warnings },
                  { title: "Applied from", cell: (r) => <span class="faint">{r.source}</span>, sort: (r) => r.source },
                ]}
                empty={<Empty title={all.length === 0 ? "There are no objects" : "Nothing is like that"} />}
              />
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

/** Address of an object's page. */
export function objectHref(
  o: { kind: string; namespace: string; name: string },
  query: Record<string, string> = {},
): string {
  return href(["config", o.kind, ...(o.namespace ? [o.namespace] : []), o.name], query);
}

/** Configuration of the mesh before Kubernetes' own kinds. */
function order(o: ObjectRow): number {
  return o.api_version.includes(".istio.io") || /split|linkerd|gateway/.test(o.api_version)
    ? 0
    : o.kind === "Service"
      ? 1
      : 2;
}

function live(o: ObjectRow): string {
  return o.of ? `${o.live} of ${count(o.of, "proxy", "proxies")}` : "";
}

/** Whether an object is in force. */
export function Status({ of }: { of: ObjectRow }) {
  if (of.state === "refused") {
    return <span class="badge bad">■ {of.in_force ? "refused, last good version in force" : "refused"}</span>;
  }
  if (of.state === null)
    return (
      <span class="faint" title="The control plane does not follow this kind">
        Kubernetes' own
      </span>
    );
  const pending = (of.live ?? 0) < (of.of ?? 0);
  return pending ? <span class="badge degraded">▲ on its way</span> : <span class="badge good">● in force</span>;
}

function Counts({ of }: { of: ObjectRow }) {
  return (
    <span class="chips">
      {of.errors > 0 && <span class="badge bad">■ {count(of.errors, "error")}</span>}
      {of.warnings > 0 && <span class="badge degraded">▲ {count(of.warnings, "warning")}</span>}
      {of.infos > 0 && <span class="badge idle">○ {count(of.infos, "note")}</span>}
    </span>
  );
}
