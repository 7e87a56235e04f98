// Objects that belong to something, with what is wrong with them.
import type { ObjectRef } from "../api";
import { href } from "../router";

function address(o: { kind: string; namespace: string; name: string }, line = 0): string {
  return href(["config", o.kind, ...(o.namespace ? [o.namespace] : []), o.name], line ? { line: String(line) } : {});
}

/** A link for each object, and each warning below. */
export function ObjectLinks({ objects }: { objects: ObjectRef[] }) {
  if (objects.length === 0) return <p class="faint">No configuration of the mesh names it.</p>;
  const findings = objects.flatMap((o) => o.findings.filter((f) => f.level !== "Info").map((f) => ({ o, f })));
  return (
    <>
      <div class="chips">
        {objects.map((o) => (
          <a class="chip" key={`${o.kind} ${o.name}`} href={address(o)}>
            {o.kind} {o.name}
          </a>
        ))}
      </div>
      {findings.map(({ o, f }) => (
        <div class="finding" key={`${o.kind} ${o.name} ${f.code} ${f.message}`}>
          <span>
            <span class={`badge ${f.level === "Error" ? "bad" : "degraded"}`}>
              {f.level} {f.code}
            </span>{" "}
            <a href={address(o, f.line)}>
              {o.kind} {o.name}
              {f.line > 0 ? `, line ${f.line}` : ""}
            </a>
            : {f.message}
          </span>
        </div>
      ))}
    </>
  );
}
