// Figures as people read them.

const NONE = "–";

/** Requests a second: three digits that count. */
export function rate(rps: number | null | undefined): string {
  if (rps === null || rps === undefined) return NONE;
  if (rps === 0) return "0";
  if (rps < 0.01) return "<0.01";
  return short(rps);
}

/** `99.95 %`; never rounded up to 100 where something failed, nor down to 0 where something did not. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return NONE;
  const value = share * 100;
  if (value === 100 || value === 0) return `${value} %`;
  const text = value >= 99.995 ? "99.99" : value < 0.01 ? "<0.01" : value.toFixed(2);
  return `${text} %`;
}

/** Milliseconds, as `4.2 ms` or `1.35 s`. */
export function millis(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10_000 ? 1 : 2)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

/** Bytes a second. */
export function bytes(perSecond: number): string {
  return `${size(perSecond)}/s`;
}

/** Bytes. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 && Number.isInteger(value) ? value : short(value)} ${units[unit]}`;
}

/** How long ago or how long: `12 s`, `3 min`, `2 h`, `5 d`. */
export function span(seconds: number): string {
  const s = Math.abs(seconds);
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}

/** A time of day, with seconds. */
export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour12: false });
}

/** `1 pod`, `2 pods`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** Three digits that count. */
function short(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(value >= 100_000 ? 0 : 1)}k`;
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}
