// Asking again and again: what came last stays on the screen, with since when nothing new came.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get } from "./api";

/** What is known of an answer. */
export interface Polled<T> {
  /** The last one. */
  data: T | undefined;
  /** Why there is none since. */
  error: ApiError | undefined;
  /** When the last one came, milliseconds since 1970. */
  since: number | undefined;
}

/** Between two questions, milliseconds. */
export const EVERY = 3000;

/** Asks `path` now and every few seconds while the page is seen. `null` asks nothing. */
export function usePoll<T>(
  path: string | null,
  query: Record<string, string | undefined> = {},
  every = EVERY,
): Polled<T> {
  const key = path === null ? "" : `${path}?${JSON.stringify(query)}`;
  const [state, setState] = useState<Polled<T> & { key: string }>(() => fresh(key));
  const asked = useRef({ path, query });
  asked.current = { path, query };
  useEffect(() => {
    setState((before) => (before.key === key ? before : fresh(key)));
    if (!key) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const now = asked.current;
      if (now.path === null) return;
      try {
        const data = await get<T>(now.path, now.query, stop.signal);
        setState({ data, error: undefined, since: Date.now(), key });
      } catch (error) {
        if (stop.signal.aborted) return;
        const said = error instanceof ApiError ? error : new ApiError(String(error), 0);
        setState((before) => ({ ...(before.key === key ? before : fresh<T>(key)), error: said }));
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void run(), every);
    };
    const run = () => (document.hidden ? undefined : ask());
    const seen = () => {
      if (document.hidden) return;
      clearTimeout(timer);
      void ask();
    };
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [key, every]);
  // A render between a new question and its effect must not show the old answer.
  return state.key === key ? state : fresh(key);
}

function fresh<T>(key: string): Polled<T> & { key: string } {
  return { data: undefined, error: undefined, since: undefined, key };
}
