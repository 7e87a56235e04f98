// Requests as they happen.
import { useEffect, useRef, useState } from "preact/hooks";
import { command, quoted } from "../cli";
import { clock, count, millis, size } from "../format";
import { Close, Lock } from "../parts/icons";
import { PageHead } from "../parts/page";
import { Empty } from "../parts/state";
import { href, narrow, type Place } from "../router";
import { FILTERS, failed, Lines, type Tapped, type TapState } from "../tap";

/** Kept on the page. */
const MOST = 300;
const HINTS: Record<(typeof FILTERS)[number], string> = {
  from: "deploy/web.shop",
  to: "svc/reviews.shop",
  method: "GET",
  path: "/cart",
  authority: "web:8080",
  status: "503, 5xx",
  min_latency: "200ms",
};

type State = { kind: "starting" | "live" | "paused" | "ended" } | { kind: "none"; why: string };

export function TapPage({ place }: { place: Place }) {
  const query = Object.fromEntries(FILTERS.map((f) => [f, place.query[f] ?? ""])) as Record<
    (typeof FILTERS)[number],
    string
  >;
  const [paused, pause] = useState(false);
  const headers = place.query.headers === "1";
  const { rows, state, tap } = useTap({ ...query, headers: headers ? "1" : "" }, paused);
  const [chosen, choose] = useState<Tapped | null>(null);
  const only = place.query.failed === "1";
  const shown = only ? rows.filter(failed) : rows;
  return (
    <>
      <PageHead title="Tap" command={line(query, headers)}>
        <button
          type="button"
          aria-pressed={headers}
          title="Values that may be secret stay in the sidecar"
          onClick={() => narrow(place, { headers: headers ? undefined : "1" })}
        >
          Headers
        </button>
        <button type="button" aria-pressed={only} onClick={() => narrow(place, { failed: only ? undefined : "1" })}>
          Failures only
        </button>
        <button type="button" aria-pressed={paused} onClick={() => pause(!paused)}>
          {paused ? "Go on" : "Pause"}
        </button>
      </PageHead>
      <form class="panel body filters" onSubmit={(e) => e.preventDefault()}>
        {FILTERS.map((f) => (
          <label key={f}>
            <span>{f.replace("_", " ")}</span>
            <input
              value={query[f]}
              placeholder={HINTS[f]}
              onChange={(e) => narrow(place, { [f]: e.currentTarget.value.trim() || undefined })}
            />
          </label>
        ))}
      </form>
      <div class="panel graph tap">
        <div class="scroll">
          {shown.length > 0 ? (
            <Requests rows={shown} chosen={chosen} choose={choose} />
          ) : (
            <Nothing state={state} only={only} />
          )}
        </div>
        {chosen && <Chosen of={chosen} close={() => choose(null)} />}
      </div>
      {tap && <Below state={state} tap={tap} rows={rows.length} />}
    </>
  );
}

/** How much this is of all there was. */
function Below({ state, tap, rows }: { state: State; tap: TapState; rows: number }) {
  const asked =
    tap.sidecars < tap.of
      ? `${tap.sidecars} of ${tap.of} sidecars (name a workload to see the others)`
      : count(tap.sidecars, "sidecar");
  const lost = [
    tap.paced > 0 && `${tap.paced} beyond 100 a second`,
    tap.missed > 0 && `${tap.missed} faster than they could be read`,
  ].filter(Boolean);
  return (
    <div class="faint" role="status">
      <p>
        {state.kind === "live" ? "Live from " : "From "}
        {asked}. {count(rows, "request")} on this page
        {lost.length > 0 ? `; not shown: ${lost.join(", ")}.` : ", none left out."}
      </p>
      {tap.problems.map((p) => (
        <p key={p.pod}>
          {p.pod ? `${p.pod} (${p.namespace}) does not answer: ` : ""}
          {p.why}
        </p>
      ))}
    </div>
  );
}

function Requests({ rows, chosen, choose }: { rows: Tapped[]; chosen: Tapped | null; choose: (t: Tapped) => void }) {
  return (
    <table aria-label="Requests">
      <thead>
        <tr>
          <th>Time</th>
          <th>From</th>
          <th>To</th>
          <th>Request</th>
          <th>Status</th>
          <th class="num">Latency</th>
          <th>Reason</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((t) => (
          <tr key={`${t.id} ${t.at_ms} ${t.path}`} class={t === chosen ? "on" : ""} onClick={() => choose(t)}>
            <td class="faint">{clock(t.at_ms)}</td>
            <td>{t.from}</td>
            <td>
              {t.secured && <Lock />} {t.to || t.service}
            </td>
            <td>
              <button type="button" class="plain mono" onClick={() => choose(t)}>
                {t.method} {t.path}
              </button>
            </td>
            <td>
              <span class={`badge ${failed(t) ? "bad" : "good"}`}>
                {failed(t) ? "■" : "●"} {t.grpc === null ? t.status || "none" : `gRPC ${t.grpc}`}
              </span>
            </td>
            <td class="num">{millis(t.latency_ms)}</td>
            <td class="wrap">{failed(t) ? t.words || t.reason : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Nothing({ state, only }: { state: State; only: boolean }) {
  if (state.kind === "none") {
    return (
      <Empty title="Requests cannot be tapped here">
        <p>{state.why}</p>
      </Empty>
    );
  }
  if (state.kind === "starting") return <Empty title="Waiting for requests" />;
  if (state.kind === "ended") return <Empty title="leno-viz has ended the tap">Load the page again to go on.</Empty>;
  return (
    <Empty title={only ? "No request has failed yet" : "No request is like that yet"}>They appear as they end.</Empty>
  );
}

function Chosen({ of, close }: { of: Tapped; close: () => void }) {
  const facts: [string, string][] = [
    ["Authority", of.authority],
    ["Service", of.service],
    ["Route", of.route],
    ["Flags", of.flags === "-" ? "" : of.flags],
    ["Tries", of.attempts > 1 ? String(of.attempts) : ""],
    ["Body", `${size(of.request_bytes)} asked, ${size(of.response_bytes)} answered`],
    ["Request ID", of.id],
  ];
  return (
    <aside class="aside" aria-label="Request">
      <div class="top">
        <div>
          <h3>request</h3>
          <h1>
            {of.method} {of.path}
          </h1>
        </div>
        <button type="button" class="plain" aria-label="Close" onClick={close}>
          <Close />
        </button>
      </div>
      {failed(of) && (
        <div class="reason">
          {of.reason === "answered" ? "The application itself answered so." : of.words || of.reason}
        </div>
      )}
      <dl class="kv">
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd class="mono">{value}</dd>
            </>
          ))}
      </dl>
      {of.rule && (
        <a
          class="open-yaml"
          href={href(["config", of.rule.kind, of.rule.namespace, of.rule.name].filter(Boolean), { path: of.rule.path })}
        >
          {of.rule.kind} {of.rule.name}: open the YAML
        </a>
      )}
      <HeaderList title="Request headers" of={of.request_headers} />
      <HeaderList title="Response headers" of={of.response_headers} />
      {of.id && <code>leno why --request-id {of.id}</code>}
    </aside>
  );
}

function HeaderList({ title, of }: { title: string; of: [string, string][] }) {
  if (of.length === 0) return null;
  return (
    <>
      <h2>{title}</h2>
      <dl class="kv">
        {of.map(([name, value], at) => (
          <>
            <dt key={`${name}${at}`} class="mono">
              {name}
            </dt>
            <dd class="mono">{value}</dd>
          </>
        ))}
      </dl>
    </>
  );
}

/** The same by the command line. */
function line(query: Record<(typeof FILTERS)[number], string>, headers: boolean): string {
  const { to, from, method, path, authority, status, min_latency } = query;
  const flag = (name: string, value: string) => value && `--${name} ${quoted(value)}`;
  // A service has no sidecar: what calls it is watched.
  const target = from || (to.startsWith("svc/") ? "deploy" : to) || "deploy";
  return command(
    "viz tap",
    quoted(target),
    target !== to && flag("to", to),
    flag("method", method),
    flag("path", path),
    flag("authority", authority),
    flag("status", status),
    flag("min-latency", min_latency),
    headers && "--headers",
  );
}

/** Follows the stream; the latest first. */
function useTap(
  query: Record<string, string>,
  paused: boolean,
): { rows: Tapped[]; state: State; tap: TapState | undefined } {
  const [rows, setRows] = useState<Tapped[]>([]);
  const [state, setState] = useState<State>({ kind: "starting" });
  const [tap, setTap] = useState<TapState>();
  const key = JSON.stringify(query);
  const last = useRef(key);
  useEffect(() => {
    if (last.current !== key) setRows([]);
    last.current = key;
    if (paused) {
      setState({ kind: "paused" });
      return;
    }
    const stop = new AbortController();
    setState({ kind: "starting" });
    void follow(JSON.parse(key) as Record<string, string>, stop.signal, (some, how) => {
      setState({ kind: "live" });
      if (how) setTap(how);
      if (some.length > 0) setRows((before) => [...some.reverse(), ...before].slice(0, MOST));
    }).then((why) => {
      if (!stop.signal.aborted) setState(why === null ? { kind: "ended" } : { kind: "none", why });
    });
    return () => stop.abort();
  }, [key, paused]);
  return { rows, state, tap };
}

/** Reads until it ends; why there is none, where there is none. */
async function follow(
  query: Record<string, string>,
  signal: AbortSignal,
  take: (some: Tapped[], state: TapState | undefined) => void,
): Promise<string | null> {
  const search = new URLSearchParams(Object.entries(query).filter(([, v]) => v));
  try {
    const answer = await fetch(new URL(`api/v1/tap?${search}`, document.baseURI), { signal, cache: "no-store" });
    if (!answer.ok || !answer.body) {
      const said = (await answer.json().catch(() => null)) as { error?: string } | null;
      return said?.error ?? `leno-viz answers ${answer.status}`;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const lines = new Lines();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      const { requests, state } = lines.push(value);
      if (requests.length > 0 || state) take(requests, state);
    }
  } catch {
    return signal.aborted ? null : "leno-viz does not answer.";
  }
}
