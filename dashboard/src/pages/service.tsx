// One service.
import type { Graph, ServiceDetail } from "../api";
import { command, quoted } from "../cli";
import { health } from "../health";
import { HealthBadge } from "../parts/health";
import { ObjectLinks } from "../parts/objects";
import { PageHead, WindowPick } from "../parts/page";
import { RuleTable } from "../parts/rules";
import { Empty, Loaded } from "../parts/state";
import { Table } from "../parts/table";
import { usePoll } from "../poll";
import { href, type Place } from "../router";
import { SignalTiles } from "../topology/panel";
import { around, Failures, History, Traffic } from "./detail";
import { Ejected } from "./workload";

export function ServicePage({ place, namespace, name }: { place: Place; namespace: string; name: string }) {
  const window = place.query.window ?? "5m";
  const graph = usePoll<Graph>("topology", { window, namespace });
  const detail = usePoll<ServiceDetail>("service", { namespace, name });
  const { node, into, out } = around(graph.data, `service/${namespace}/${name}`);
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
            <a href={href(["services"])}>Services</a> / <a href={href(["services"], { ns: namespace })}>{namespace}</a>
          </>
        }
        command={command("viz stat", `svc/${quoted(name)}`, `-n ${quoted(namespace)}`, `-t ${window}`)}
      >
        <a class="chip" href={href(["topology"], { ns: namespace, sel: `service/${namespace}/${name}` })}>
          On the map
        </a>
        <a class="chip" href={href(["tap"], { to: `svc/${name}.${namespace}` })}>
          Tap
        </a>
        <WindowPick place={{ ...place, query: { ...place.query, window } }} />
      </PageHead>
      {node && <SignalTiles of={node} />}
      <History kind="service" namespace={namespace} name={name} window={window} />
      <Failures edges={[...into, ...out]} />
      <Loaded of={detail}>
        {(d) =>
          d.known ? (
            <>
              <section class="panel">
                <header>
                  <h2>Routes</h2>
                </header>
                <RuleTable rules={d.rules} graph={graph.data} />
              </section>
              <section class="panel">
                <header>
                  <h2>Endpoints</h2>
                  <span class="faint mono">
                    {d.addresses?.join(" ")} {d.ports?.map((p) => `${p.port}/${p.protocol}`).join(" ")}
                  </span>
                </header>
                <Endpoints of={d} />
              </section>
              <section class="panel">
                <header>
                  <h2>Configuration and warnings</h2>
                </header>
                <div class="body">
                  <ObjectLinks objects={d.objects} />
                </div>
              </section>
            </>
          ) : (
            <div class="panel">
              <Empty title={`The mesh knows no service ${name} in ${namespace}`}>
                <a href={href(["services"])}>All services</a>
              </Empty>
            </div>
          )
        }
      </Loaded>
      <div class="two">
        <Traffic title="Callers" edges={into} end="from" empty="Nobody called it in this window" />
        <Traffic title="Who answers" edges={out} end="to" empty="Nobody answered in this window" />
      </div>
    </>
  );
}

function Endpoints({ of }: { of: ServiceDetail }) {
  type Endpoint = ServiceDetail["endpoints"][number];
  return (
    <Table
      label="Endpoints"
      rows={of.endpoints}
      id={(e: Endpoint) => `${e.ip} ${e.pod}`}
      columns={[
        { title: "Pod", cell: (e) => <span class="mono">{e.pod}</span>, sort: (e) => e.pod },
        { title: "Address", cell: (e) => <span class="mono">{e.ip}</span> },
        { title: "Workload", cell: (e) => e.workload, sort: (e) => e.workload },
        { title: "Version", cell: (e) => e.version ?? "", sort: (e) => e.version },
        {
          title: "Ready",
          cell: (e) =>
            e.ready ? <span class="badge good">● ready</span> : <span class="badge idle">○ not ready</span>,
        },
        { title: "Ejected by", cell: (e) => <Ejected by={e.ejected_by} /> },
        {
          title: "Mutual TLS",
          cell: (e) => (e.identity ? <span class="badge good">mTLS</span> : <span class="badge bad">plaintext</span>),
        },
      ]}
      empty={
        <Empty title="No endpoint">No pod is behind this service: its selector takes none, or none is there.</Empty>
      }
    />
  );
}
