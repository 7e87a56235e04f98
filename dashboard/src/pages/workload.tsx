// One Deployment or the like.
import type { Graph, Stat, WorkloadDetail } from "../api";
import { command, quoted, target } from "../cli";
import { millis, rate, span } from "../format";
import { health } from "../health";
import { HealthBadge, Success } from "../parts/health";
import { ObjectLinks } from "../parts/objects";
import { PageHead, WindowPick } from "../parts/page";
import { Empty, Loaded } from "../parts/state";
import { Table } from "../parts/table";
import { usePoll } from "../poll";
import { href, type Place } from "../router";
import { SignalTiles } from "../topology/panel";
import { around, Failures, History, Traffic } from "./detail";

interface Props {
  place: Place;
  namespace: string;
  kind: string;
  name: string;
}

export function WorkloadPage({ place, namespace, kind, name }: Props) {
  const window = place.query.window ?? "5m";
  const graph = usePoll<Graph>("topology", { window, namespace });
  const detail = usePoll<WorkloadDetail>("workload", { namespace, kind, name });
  const pods = usePoll<Stat>("stat", { kind: "pod", namespace, window });
  const { node, into, out } = around(graph.data, `workload/${namespace}/${kind}/${name}`);
  return (
    <>
      <PageHead
        title={
          <>
            {name} <HealthBadge of={health(node?.success)} />
          </>
        }
        crumbs={
          <>
            <a href={href(["workloads"])}>Workloads</a> /{" "}
            <a href={href(["workloads"], { ns: namespace })}>{namespace}</a> / {kind}
          </>
        }
        command={command("viz stat", target(kind, name), `-n ${quoted(namespace)}`, `-t ${window}`)}
      >
        <a class="chip" href={href(["topology"], { ns: namespace, sel: `workload/${namespace}/${kind}/${name}` })}>
          On the map
        </a>
        <a class="chip" href={href(["tap"], { to: `${target(kind, name)}.${namespace}` })}>
          Tap
        </a>
        <WindowPick place={{ ...place, query: { ...place.query, window } }} />
      </PageHead>
      <Loaded of={graph}>
        {() =>
          node ? (
            <SignalTiles of={node} />
          ) : (
            <div class="panel">
              <Empty title={`No sidecar of ${kind} ${name} has reported in this window`}>
                <code>leno check --proxy</code> says whether its pods are in the mesh.
              </Empty>
            </div>
          )
        }
      </Loaded>
      <History kind={kind} namespace={namespace} name={name} window={window} />
      <Failures edges={[...into, ...out]} />
      <div class="two">
        <Traffic title="In" edges={into} end="from" empty="Nobody calls it" />
        <Traffic title="Out" edges={out} end="to" empty="It calls nobody" />
      </div>
      <Loaded of={detail}>
        {(d) => (
          <>
            <section class="panel">
              <header>
                <h2>Pods</h2>
              </header>
              <Pods detail={d} stat={pods.data} />
            </section>
            <div class="two">
              <section class="panel">
                <header>
                  <h2>Configuration and warnings</h2>
                </header>
                <div class="body">
                  <ObjectLinks objects={d.objects} />
                </div>
              </section>
              <section class="panel">
                <header>
                  <h2>Policies that hold for it</h2>
                </header>
                <div class="body chips">
                  {d.policies.length === 0 && <span class="faint">None: any caller, plaintext and mutual TLS.</span>}
                  {d.policies.map((p) => (
                    <a class="chip" key={`${p.kind} ${p.name}`} href={href(["config", p.kind, p.namespace, p.name])}>
                      {p.kind} {p.name} {p.mode && <b>{p.mode}</b>}
                    </a>
                  ))}
                  {d.services.map((s) => (
                    <a class="chip" key={s.name} href={href(["services", s.namespace, s.name])}>
                      Service {s.name}
                    </a>
                  ))}
                </div>
              </section>
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function Pods({ detail, stat }: { detail: WorkloadDetail; stat: Stat | undefined }) {
  type Pod = WorkloadDetail["pods"][number];
  const of = (pod: Pod) => stat?.rows.find((r) => r.name === pod.name);
  return (
    <Table
      label="Pods"
      rows={detail.pods}
      id={(p) => p.name}
      columns={[
        { title: "Pod", cell: (p) => <span class="mono">{p.name}</span>, sort: (p) => p.name },
        { title: "Address", cell: (p) => <span class="mono">{p.ip}</span> },
        { title: "Requests/s", cell: (p) => rate(of(p)?.rps), sort: (p) => of(p)?.rps ?? null, figures: true },
        {
          title: "Success",
          cell: (p) => <Success share={of(p)?.success ?? null} />,
          sort: (p) => of(p)?.success ?? null,
          figures: true,
        },
        { title: "p99", cell: (p) => millis(of(p)?.p99_ms), sort: (p) => of(p)?.p99_ms ?? null, figures: true },
        {
          title: "Configuration",
          cell: (p) =>
            p.synced ? <span class="badge good">● in sync</span> : <span class="badge degraded">▲ on its way</span>,
        },
        {
          title: "Certificate ends",
          cell: (p) => <Certificate pod={p} />,
          sort: (p) => p.certificate?.not_after_ms ?? null,
        },
        { title: "Ejected by", cell: (p) => <Ejected by={p.ejected_by} /> },
      ]}
      empty={<Empty title="No sidecar of it is connected to the control plane" />}
    />
  );
}

function Certificate({ pod }: { pod: WorkloadDetail["pods"][number] }) {
  if (pod.problem) return <span class="c-bad">■ {pod.problem}</span>;
  if (!pod.certificate) return <span class="faint">not told yet</span>;
  const { issued_ms, not_after_ms } = pod.certificate;
  const left = (not_after_ms - Date.now()) / 1000;
  // Renewal is at half of its life: below a fifth something does not renew it.
  const late = left < (not_after_ms - issued_ms) / 5000;
  return (
    <span class={late ? "c-bad" : ""} title={`${pod.certificate.identity}\nserial ${pod.certificate.serial}`}>
      {left < 0 ? "■ ended" : `${late ? "▲ " : ""}in ${span(left)}`}
    </span>
  );
}

/** Who does not send there for a while. */
export function Ejected({ by }: { by: string[] }) {
  if (by.length === 0) return <span class="faint">nobody</span>;
  return (
    <span class="badge bad" title={by.join("\n")}>
      ■ {by.length === 1 ? by[0] : `${by.length} callers`}
    </span>
  );
}
