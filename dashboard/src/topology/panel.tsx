// What is chosen on the map, beside it.
import { type Failure, type Graph, type GraphEdge, type GraphNode, plain, type Signals } from "../api";
import { command, quoted, scope, target } from "../cli";
import { bytes, millis, percent, rate } from "../format";
import { health } from "../health";
import { HealthBadge, Success } from "../parts/health";
import { Close, Lock } from "../parts/icons";
import { CopyCommand } from "../parts/page";
import { href } from "../router";
import { shares } from "./draw";
import { edgeId, name } from "./map";

interface Props {
  graph: Graph;
  chosen: string;
  close: () => void;
  choose: (id: string) => void;
}

/** The panel; nothing where what was chosen is not there. */
export function SidePanel({ graph, chosen, close, choose }: Props) {
  const node = graph.nodes.find((n) => n.id === chosen);
  const edge = graph.edges.find((e) => edgeId(e) === chosen);
  if (!node && !edge) return null;
  return (
    <aside class="aside" aria-label="Details">
      {node && <NodePanel node={node} graph={graph} close={close} choose={choose} />}
      {edge && <EdgePanel edge={edge} graph={graph} close={close} choose={choose} />}
    </aside>
  );
}

function Top({ kind, title, close }: { kind: string; title: string; close: () => void }) {
  return (
    <div class="top">
      <div>
        <h3>{kind}</h3>
        <h1>{title}</h1>
      </div>
      <button type="button" class="plain" aria-label="Close" onClick={close}>
        <Close />
      </button>
    </div>
  );
}

/** Six figures. */
export function SignalTiles({ of }: { of: Signals }) {
  return (
    <div class="signals">
      <div>
        <b>{rate(of.rps)}</b>
        <span>requests/s</span>
      </div>
      <div>
        <b>
          <Success share={of.success} />
        </b>
        <span>success</span>
      </div>
      <div>
        <b>{of.requests}</b>
        <span>requests</span>
      </div>
      <div>
        <b>{millis(of.p50_ms)}</b>
        <span>p50</span>
      </div>
      <div>
        <b>{millis(of.p95_ms)}</b>
        <span>p95</span>
      </div>
      <div>
        <b>{millis(of.p99_ms)}</b>
        <span>p99</span>
      </div>
    </div>
  );
}

function NodePanel({ node, graph, close, choose }: Omit<Props, "chosen"> & { node: GraphNode }) {
  const into = graph.edges.filter((e) => e.to === node.id);
  const out = graph.edges.filter((e) => e.from === node.id);
  const kind = node.kind === "workload" ? node.owner : node.kind;
  const place =
    node.kind === "workload"
      ? href(["workloads", node.namespace, node.owner, node.name])
      : node.kind === "service"
        ? href(["services", node.namespace, node.name])
        : undefined;
  return (
    <>
      <Top kind={`${kind}${node.namespace ? ` in ${node.namespace}` : ""}`} title={node.name} close={close} />
      <div>
        <HealthBadge of={health(node.success)} />
      </div>
      <SignalTiles of={node} />
      {place && (
        <div class="chips">
          <a class="chip" href={place}>
            Open details
          </a>
          <a class="chip" href={href(["tap"], { to: `${target(kind, node.name)}.${node.namespace}` })}>
            Tap its requests
          </a>
        </div>
      )}
      <Ends title="Callers" edges={into} end="from" choose={choose} />
      <Ends title="Calls" edges={out} end="to" choose={choose} />
      {place && <CopyCommand command={command("viz stat", target(kind, node.name), scope(node.namespace))} />}
    </>
  );
}

interface EndsProps {
  title: string;
  edges: GraphEdge[];
  end: "from" | "to";
  choose: (id: string) => void;
}

function Ends({ title, edges, end, choose }: EndsProps) {
  if (edges.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <div class="rows">
        {edges.map((edge) => (
          <div class="row" key={edgeId(edge)}>
            <button type="button" class="plain" onClick={() => choose(edgeId(edge))}>
              {name(edge[end])}
            </button>
            <span>
              {edge.requests > 0 ? (
                <>
                  {rate(edge.rps)}/s <Success share={edge.success} />
                </>
              ) : (
                <span class="faint">{edge.tcp_conns} TCP open</span>
              )}
            </span>
          </div>
        ))}
      </div>
    </section>
  );
}

function EdgePanel({ edge, graph, close, choose }: Omit<Props, "chosen"> & { edge: GraphEdge }) {
  const find = (id: string) => graph.nodes.find((n) => n.id === id);
  const [from, to] = [find(edge.from), find(edge.to)];
  const ends = filters(from, to, graph);
  const stat =
    to?.kind === "service"
      ? command(
          "viz stat",
          target("service", to.name),
          scope(to.namespace),
          from?.kind === "workload" && `--from ${filter(from)}`,
        )
      : command("viz edges", to?.owner || "deploy", scope(to?.namespace));
  return (
    <>
      <Top kind="traffic" title={`${name(edge.from)} → ${name(edge.to)}`} close={close} />
      <div class="chips">
        <HealthBadge of={edge.requests === 0 && edge.tcp_conns > 0 ? "good" : health(edge.success)} />
        <span class={`badge ${edge.secured === "mTLS" ? "good" : plain(edge) ? "bad" : "idle"}`}>
          <Lock /> {edge.secured ?? "no connection"}
        </span>
      </div>
      <SignalTiles of={edge} />
      {edge.failures.length > 0 && (
        <section>
          <h3>Why requests fail</h3>
          <div class="rows">
            {edge.failures.map((f) => (
              <Reason key={`${f.route} ${f.reason} ${f.status} ${f.grpc}`} failure={f} edge={edge} tap={ends} />
            ))}
          </div>
        </section>
      )}
      <dl class="kv">
        {edge.wanted !== null && (
          <>
            <dt>Split</dt>
            <dd>wanted → seen: {shares(edge)}</dd>
          </>
        )}
        {(edge.tcp_conns > 0 || edge.bytes_s > 0) && (
          <>
            <dt>TCP</dt>
            <dd>
              {edge.tcp_conns} open, {bytes(edge.bytes_s)}
            </dd>
          </>
        )}
        {edge.client_id && (
          <>
            <dt>Caller is</dt>
            <dd class="mono">{edge.client_id}</dd>
            <dt>Callee is</dt>
            <dd class="mono">{edge.server_id}</dd>
          </>
        )}
      </dl>
      <div class="chips">
        <a class="chip open-tap" href={href(["tap"], ends)}>
          Tap these requests
        </a>
        {[from, to].map(
          (n) =>
            n && (
              <button type="button" class="chip" key={n.id} onClick={() => choose(n.id)}>
                {n.name}
              </button>
            ),
        )}
      </div>
      <CopyCommand command={stat} />
    </>
  );
}

/** `deploy/web.shop`. */
function filter(node: GraphNode): string {
  const kind = node.kind === "workload" ? node.owner || "deploy" : "service";
  return quoted(`${target(kind, node.name)}.${node.namespace}`);
}

function filters(
  from: GraphNode | undefined,
  to: GraphNode | undefined,
  graph: Graph,
): Record<string, string | undefined> {
  const real = (n: GraphNode | undefined) =>
    n && (n.kind === "workload" || n.kind === "service") ? filter(n) : undefined;
  if (from?.kind !== "service") return { from: real(from), to: real(to), failed: "1" };
  // Nobody calls as a service: it is whoever calls it.
  const callers = graph.edges.filter((e) => e.to === from.id);
  const only = callers.length === 1 ? graph.nodes.find((n) => n.id === callers[0]?.from) : undefined;
  return { from: real(only), to: real(to), failed: "1" };
}

/** One way to fail: what happened, how often, by which rule. */
export function Reason({
  failure,
  edge,
  tap,
}: {
  failure: Failure;
  edge: { requests: number };
  tap?: Record<string, string | undefined>;
}) {
  const status =
    failure.grpc === null
      ? failure.status === 0
        ? "no answer"
        : `status ${failure.status}`
      : `gRPC status ${failure.grpc}`;
  const rule = failure.rule;
  return (
    <div class="reason">
      <div class="row">
        <b>{status}</b>
        <span>
          {failure.count} ({percent(edge.requests === 0 ? 0 : failure.count / edge.requests)})
        </span>
      </div>
      <div>{failure.reason === "answered" ? "The application itself answered so." : sentence(failure.words)}</div>
      {failure.route && (
        <div class="faint">
          Route <b>{failure.route}</b>
        </div>
      )}
      <div class="links">
        {rule && (
          <a
            class="open-yaml"
            href={href(["config", rule.kind, ...(rule.namespace ? [rule.namespace] : []), rule.name], {
              path: rule.path,
            })}
          >
            {rule.kind} {rule.name}: open the YAML
          </a>
        )}
        {tap && (
          <a href={href(["tap"], { ...tap, status: failure.status ? String(failure.status) : undefined })}>
            See them in tap
          </a>
        )}
      </div>
    </div>
  );
}

function sentence(words: string): string {
  return words ? `${words.charAt(0).toUpperCase()}${words.slice(1)}.` : "";
}
