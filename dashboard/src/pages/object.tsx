// One object: its YAML by lines, with what is found at them.
import { useEffect, useRef } from "preact/hooks";
import { command, quoted } from "../cli";
import { PageHead } from "../parts/page";
import { Loaded } from "../parts/state";
import { usePoll } from "../poll";
import { href, narrow, type Place } from "../router";
import { type ObjectRow, objectHref, Status } from "./config";

interface Finding {
  code: string;
  name: string;
  level: "Error" | "Warning" | "Info";
  message: string;
  what: string;
  mend: string;
  /** From 1; 0 for the object as a whole. */
  line: number;
}

interface ObjectDetail extends ObjectRow {
  yaml: string;
  /** Line by path. */
  lines: Record<string, number>;
  findings: Finding[];
  related: { kind: string; namespace: string; name: string }[];
}

interface Props {
  place: Place;
  kind: string;
  namespace: string;
  name: string;
}

export function ObjectPage({ place, kind, namespace, name }: Props) {
  const object = usePoll<ObjectDetail>("object", { kind, namespace, name }, 6000);
  return (
    <>
      <PageHead
        title={`${kind} ${name}`}
        crumbs={
          <>
            <a href={href(["config"])}>Configuration</a> / <a href={href(["config"], { kind })}>{kind}</a>
            {namespace && (
              <>
                {" "}
                / <a href={href(["config"], { ns: namespace })}>{namespace}</a>
              </>
            )}
          </>
        }
        command={command("analyze", namespace && `-n ${quoted(namespace)}`)}
      />
      <Loaded of={object}>
        {(o) => (
          <>
            <div class="panel">
              <div class="body chips">
                <Status of={o} />
                {o.of ? (
                  <span class="badge idle">
                    live on {o.live} of {o.of} proxies that use it
                  </span>
                ) : null}
                {o.source && <span class="badge idle">applied from {o.source}</span>}
                {o.related.map((r) => (
                  <a class="chip" key={`${r.kind} ${r.name}`} href={objectHref(r)}>
                    {r.kind} {r.name}
                  </a>
                ))}
              </div>
            </div>
            <Messages object={o} />
            <section class="panel">
              <header>
                <h2>YAML</h2>
                <span class="faint mono">{o.api_version}</span>
              </header>
              <Yaml object={o} place={place} />
            </section>
          </>
        )}
      </Loaded>
    </>
  );
}

function Messages({ object }: { object: ObjectDetail }) {
  const said = object.messages.filter((m) => m);
  if (said.length === 0 && object.findings.length === 0) return null;
  return (
    <section class="panel">
      <header>
        <h2>Findings</h2>
      </header>
      <div class="body">
        {said.map((m) => (
          <div class="finding" key={m}>
            <span>
              <span class={`badge ${object.state === "refused" ? "bad" : "degraded"}`}>control plane</span> {bare(m)}
            </span>
          </div>
        ))}
        {object.findings.map((f) => (
          <div class="finding" key={`${f.code} ${f.message}`}>
            <span>
              <span class={`badge ${grade(f.level)}`}>
                {f.level} {f.code}
              </span>{" "}
              {f.message} {f.line > 0 && <a href={objectHref(object, { line: String(f.line) })}>line {f.line}</a>}
            </span>
            <span class="faint">{f.mend}</span>
          </div>
        ))}
      </div>
    </section>
  );
}

/** The local runtime's own file names say nothing to a person. */
function bare(message: string): string {
  return message.replace(/^\S+\.json:\d+: /, "");
}

function grade(level: Finding["level"]): string {
  return level === "Error" ? "bad" : level === "Warning" ? "degraded" : "idle";
}

function Yaml({ object, place }: { object: ObjectDetail; place: Place }) {
  const { path, line } = place.query;
  const [first, last] = marked(object, path, line);
  const target = useRef<HTMLElement>(null);
  useEffect(() => target.current?.scrollIntoView({ block: "center" }), [first, object.name]);
  return (
    <pre class="yaml" id="yaml">
      {object.yaml
        .trimEnd()
        .split("\n")
        .map((text, i) => {
          const n = i + 1;
          const here = object.findings.filter((f) => f.line === n);
          const worst = here.some((f) => f.level === "Error")
            ? "err"
            : here.some((f) => f.level === "Warning")
              ? "warn"
              : "";
          const on = n >= first && n <= last ? "on" : "";
          return (
            <code class={`l ${on} ${worst}`} key={n} data-line={n} ref={n === first ? target : null}>
              <a
                href={objectHref(object, { line: String(n) })}
                aria-label={`line ${n}`}
                onClick={(e) => {
                  e.preventDefault();
                  narrow(place, { path: undefined, line: String(n) });
                }}
              >
                {n}
              </a>
              <Line text={text} />
              {here.map((f) => (
                <span class={`note ${f.level === "Error" ? "err" : ""}`} key={f.code + f.message}>
                  {f.code}: {f.message}
                </span>
              ))}
            </code>
          );
        })}
    </pre>
  );
}

/** First and last line of what the address names. */
export function marked(
  object: { yaml: string; lines: Record<string, number> },
  path?: string,
  line?: string,
): [number, number] {
  if (line) return [Number(line) || 0, Number(line) || 0];
  const first = path === undefined ? undefined : object.lines[path];
  if (path === undefined || first === undefined) return [0, 0];
  const inside = Object.entries(object.lines).filter(([p]) => p.startsWith(`${path}.`) || p.startsWith(`${path}[`));
  return [first, Math.max(first, ...inside.map(([, l]) => l))];
}

/** The key of a line stands out. */
function Line({ text }: { text: string }) {
  const found = /^(\s*(?:- )*)([\w./-]+)(:.*)$/.exec(text);
  if (!found) return <>{text}</>;
  return (
    <>
      {found[1]}
      <span class="k">{found[2]}</span>
      {found[3]}
    </>
  );
}
