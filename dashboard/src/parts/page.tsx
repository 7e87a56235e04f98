// The frame of a page: title, what narrows it, and the command that shows the same.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { narrow, type Place } from "../router";
import { Copy } from "./icons";

interface Head {
  title: ComponentChildren;
  crumbs?: ComponentChildren;
  /** The same by the command line. */
  command: string;
  children?: ComponentChildren;
}

/** Title, tools, and "copy as CLI command". */
export function PageHead({ title, crumbs, command, children }: Head) {
  return (
    <div class="head">
      <div class="title">
        {crumbs && <div class="crumbs">{crumbs}</div>}
        <h1>{title}</h1>
      </div>
      <div class="tools">
        {children}
        <CopyCommand command={command} />
      </div>
    </div>
  );
}

/** A button that copies; what it copies is its tooltip. */
export function CopyCommand({ command, label = "Copy as CLI" }: { command: string; label?: string }) {
  const [said, say] = useState("");
  const copy = async () => {
    const copied = await put(command);
    say(copied ? `Copied: ${command}` : command);
    setTimeout(() => say(""), copied ? 1800 : 8000);
  };
  return (
    <>
      <button
        type="button"
        class="copy"
        title={`Copy as CLI command: ${command}`}
        data-command={command}
        onClick={() => void copy()}
      >
        <Copy /> {label}
      </button>
      {said && (
        <div class="toast mono" role="status">
          {said}
        </div>
      )}
    </>
  );
}

async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // Not on a secure address: the text itself is shown instead.
  }
}

/** Windows that can be chosen. */
export const WINDOWS = ["10s", "1m", "5m", "15m", "30m"];

/** Chooses how far back figures go; in the address. */
export function WindowPick({ place }: { place: Place }) {
  return (
    <label>
      <span class="hidden-label">Window</span>
      <select value={place.query.window ?? "1m"} onChange={(e) => narrow(place, { window: e.currentTarget.value })}>
        {WINDOWS.map((w) => (
          <option key={w} value={w}>
            last {w}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Chooses a namespace; in the address. */
export function NamespacePick({ place, all }: { place: Place; all: string[] }) {
  const chosen = place.query.ns ?? "";
  const known = [...new Set(chosen ? [...all, chosen] : all)].sort();
  return (
    <label>
      <span class="hidden-label">Namespace</span>
      <select value={chosen} onChange={(e) => narrow(place, { ns: e.currentTarget.value }, true)}>
        <option value="">all namespaces</option>
        {known.map((ns) => (
          <option key={ns} value={ns}>
            {ns}
          </option>
        ))}
      </select>
    </label>
  );
}

interface Find {
  place: Place;
  /** Its key in the address. */
  name?: string;
  label?: string;
  /** Examples. */
  hint?: string;
}

/** A filter by text; in the address. `/` goes there. */
export function FindBox({ place, name = "find", label = "Find", hint }: Find) {
  return (
    <label>
      <span class="hidden-label">{label}</span>
      <input
        type="search"
        class={name}
        placeholder={`${label}…`}
        title={hint}
        value={place.query[name] ?? ""}
        onInput={(e) => narrow(place, { [name]: e.currentTarget.value })}
        size={8}
      />
    </label>
  );
}
