// What is shown where there is nothing (yet) to show.
import type { ComponentChildren } from "preact";
import type { ApiError } from "../api";
import { clock, span } from "../format";
import type { Polled } from "../poll";

/** Nothing is there, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty" role="status">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** The content once it is there; before that a placeholder or the error. Old content stays, with a word on its age. */
export function Loaded<T>({ of, children }: { of: Polled<T>; children: (data: T) => ComponentChildren }) {
  if (of.data === undefined) {
    return of.error ? <Failed error={of.error} /> : <div class="skeleton" role="status" aria-label="Loading" />;
  }
  return (
    <>
      {of.error && <Stale error={of.error} since={of.since} />}
      {children(of.data)}
    </>
  );
}

function Stale({ error, since }: { error: ApiError; since: number | undefined }) {
  const ago = since === undefined ? 0 : (Date.now() - since) / 1000;
  return (
    <div class="banner bad" role="alert">
      <b>No data since {since === undefined ? "the start" : clock(since)}</b> ({span(ago)}): {error.message}. What is
      below is from then.
      <p>The mesh does not need leno-viz: traffic goes on. This page asks again by itself.</p>
    </div>
  );
}

function Failed({ error }: { error: ApiError }) {
  return (
    <div class="banner bad" role="alert">
      <b>{error.status === 0 ? "No data" : "This cannot be shown"}</b>: {error.message}.
      {error.status === 0 && (
        <p>
          Is <code>leno dashboard</code> still running? <code>leno check</code> tells how the mesh is. This page asks
          again by itself.
        </p>
      )}
    </div>
  );
}
