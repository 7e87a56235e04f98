// Addresses: `#/page/part/part?key=value`. After the hash, so that they hold behind any proxy's path.
import { useEffect, useState } from "preact/hooks";

/** A view's address. */
export interface Place {
  /** Parts of the path, decoded; none is the overview. */
  path: string[];
  /** What the view is narrowed to. */
  query: Record<string, string>;
}

/** Reads what stands after the `#`. Anything can be read: what is not understood is left to the page. */
export function parse(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** The address of a view; empty values are left out. */
export function href(path: string[], query: Record<string, string | undefined> = {}): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const search = new URLSearchParams(pairs).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** Where the browser is, followed. */
export function usePlace(): Place {
  const [place, setPlace] = useState(() => parse(location.hash));
  useEffect(() => {
    const moved = () => setPlace(parse(location.hash));
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

/** Changes the query of the present view. Not a step of the history unless `push`. */
export function narrow(place: Place, change: Record<string, string | undefined>, push = false): void {
  const to = href(place.path, { ...place.query, ...change });
  if (push) {
    location.hash = to;
    return;
  }
  history.replaceState(null, "", to);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The page's own address is kept. */
export function go(path: string[], query: Record<string, string | undefined> = {}): void {
  location.hash = href(path, query);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
