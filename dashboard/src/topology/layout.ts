// Where the nodes of the map stand: columns from callers to callees, bands by namespace.
//
// The map is live and must not jump: a node keeps its place as long as it is remembered, and one that comes takes a free place
// in its column. Only the reader's wish lays everything out anew.

/** What is to be placed. */
export interface Item {
  id: string;
  /** Namespace; empty for what is outside. */
  band: string;
}

/** Who calls whom. */
export interface Link {
  from: string;
  to: string;
}

/** A place: column, and row within the band; rows may be halves. */
export interface Spot {
  band: string;
  column: number;
  row: number;
}

/** All places, kept between updates and in the browser's storage. */
export interface Memory {
  spots: Record<string, Spot>;
  /** Bands from the top. */
  bands: string[];
  /** Rows of each band; they never become fewer by themselves. */
  rows: Record<string, number>;
  /** Where callees stand; chosen once, by the shape of the map and of the window. */
  flow?: Flow | undefined;
}

/** Callees stand to the right of their callers, or below. */
export type Flow = "right" | "down";

/** A rectangle. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Coordinates of everything. */
export interface Layout {
  nodes: Map<string, Box>;
  bands: (Box & { name: string })[];
  width: number;
  height: number;
}

export const NODE = { width: 160, height: 42 };
/** From one column to the next, and from row to row, by flow. */
const STEP = { right: { column: 244, row: 60 }, down: { column: 98, row: 184 } };
const PAD = { x: 24, top: 34, bottom: 16 };
const GAP = 18;

/** No place is remembered. */
export function nothing(): Memory {
  return { spots: {}, bands: [], rows: {} };
}

/** Gives a place to each item that has none; who has one keeps it. Nodes that are gone keep theirs for when they come back. */
export function place(items: Item[], links: Link[], memory: Memory): Memory {
  const known = (item: Item) => memory.spots[item.id]?.band === item.band;
  const fresh = items.filter((item) => !known(item));
  if (fresh.length === 0) return memory;
  const next: Memory = { spots: { ...memory.spots }, bands: [...memory.bands], rows: { ...memory.rows } };
  const columns = columnsOf(items, links, memory);
  if (fresh.length === items.length) {
    arrange(items, links, columns, next);
  } else {
    for (const item of fresh) next.spots[item.id] = free(item.band, columns.get(item.id) ?? 0, next.spots, items);
  }
  for (const item of items) {
    const row = next.spots[item.id]?.row ?? 0;
    next.rows[item.band] = Math.max(next.rows[item.band] ?? 1, Math.ceil(row) + 1);
    if (!next.bands.includes(item.band)) next.bands.push(item.band);
  }
  // What is in no namespace stands below all.
  next.bands.sort((a, b) => Number(a === "") - Number(b === ""));
  return next;
}

/** Coordinates of the items at their places. */
export function coordinates(items: Item[], memory: Memory, flow: Flow): Layout {
  const shown = new Set(items.map((i) => i.band));
  const columns = Math.max(1, ...items.map((i) => (memory.spots[i.id]?.column ?? 0) + 1));
  const step = STEP[flow];
  const down = flow === "down";
  // Along the flow all bands are equal; across it each is as wide as its rows.
  const along = (columns - 1) * step.column + (down ? NODE.height + PAD.top + PAD.bottom : NODE.width + PAD.x * 2);
  const bands: Layout["bands"] = [];
  let at = 0;
  for (const name of memory.bands) {
    if (!shown.has(name)) continue;
    const rows = ((memory.rows[name] ?? 1) - 1) * step.row;
    const across = rows + (down ? NODE.width + PAD.x * 2 : NODE.height + PAD.top + PAD.bottom);
    bands.push({
      name,
      ...(down ? { x: at, y: 0, width: across, height: along } : { x: 0, y: at, width: along, height: across }),
    });
    at += across + GAP;
  }
  const starts = new Map(bands.map((b) => [b.name, b]));
  const nodes = new Map<string, Box>();
  for (const item of items) {
    const spot = memory.spots[item.id];
    const band = starts.get(item.band);
    if (!spot || !band) continue;
    const [column, row] = [spot.column * step.column, spot.row * step.row];
    const [x, y] = down ? [row, column] : [column, row];
    nodes.set(item.id, { x: band.x + PAD.x + x, y: band.y + PAD.top + y, ...NODE });
  }
  const total = Math.max(0, at - GAP);
  return { nodes, bands, width: down ? total : along, height: down ? along : total };
}

/** The flow in which more of the map can be read in a window of this size. */
export function better(items: Item[], memory: Memory, window: { width: number; height: number }): Flow {
  const scale = (flow: Flow) => {
    const { width, height } = coordinates(items, memory, flow);
    return Math.min(window.width / width, window.height / height, 1);
  };
  // To the right is the habit: below must be worth it.
  return scale("down") > scale("right") * 1.15 ? "down" : "right";
}

/** The longest way from a caller gives the column; ways that close a circle do not count. */
export function columnsOf(items: Item[], links: Link[], memory: Memory): Map<string, number> {
  const out = new Map<string, string[]>(items.map((i) => [i.id, []]));
  for (const link of links) if (out.has(link.to) && link.from !== link.to) out.get(link.from)?.push(link.to);
  const fixed = (id: string) => memory.spots[id]?.column;
  const state = new Map<string, "open" | "done">();
  const order: string[] = [];
  const back = new Set<string>();
  const called = new Set(links.filter((l) => l.from !== l.to).map((l) => l.to));
  const visit = (root: string) => {
    // By hand, not by recursion: chains may be long.
    const stack: { id: string; at: number }[] = [{ id: root, at: 0 }];
    state.set(root, "open");
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = out.get(top.id)?.[top.at];
      top.at += 1;
      if (next === undefined) {
        state.set(top.id, "done");
        order.push(top.id);
        stack.pop();
      } else if (state.get(next) === "open") {
        back.add(`${top.id}\n${next}`);
      } else if (!state.has(next)) {
        state.set(next, "open");
        stack.push({ id: next, at: 0 });
      }
    }
  };
  // Those whom nobody calls come first, so that circles are cut where they close.
  const sorted = [...items].sort((a, b) => Number(called.has(a.id)) - Number(called.has(b.id)) || compare(a.id, b.id));
  for (const item of sorted) if (!state.has(item.id)) visit(item.id);
  const columns = new Map<string, number>();
  for (const id of order.reverse()) {
    const column = fixed(id) ?? columns.get(id) ?? 0;
    columns.set(id, column);
    for (const to of out.get(id) ?? []) {
      if (!back.has(`${id}\n${to}`)) columns.set(to, Math.max(columns.get(to) ?? 0, column + 1));
    }
  }
  for (const item of items) {
    const column = fixed(item.id);
    if (column !== undefined) columns.set(item.id, column);
  }
  return columns;
}

/** Orders each column of each band by where its neighbours stand, some times to and fro. */
function arrange(items: Item[], links: Link[], columns: Map<string, number>, next: Memory): void {
  const bands = [...new Set(items.map((i) => i.band))].sort(compare);
  const cells = new Map<string, string[]>();
  const cellOf = (item: Item) => `${item.band}\n${columns.get(item.id) ?? 0}`;
  for (const item of [...items].sort((a, b) => compare(a.id, b.id))) {
    const cell = cells.get(cellOf(item));
    if (cell) cell.push(item.id);
    else cells.set(cellOf(item), [item.id]);
  }
  const band = new Map(items.map((i) => [i.id, bands.indexOf(i.band)]));
  const near = new Map<string, string[]>(items.map((i) => [i.id, []]));
  for (const { from, to } of links) {
    if (!near.has(from) || !near.has(to) || from === to) continue;
    near.get(from)?.push(to);
    near.get(to)?.push(from);
  }
  const height = new Map<number, number>();
  for (const [key, ids] of cells) {
    const at = bands.indexOf(key.split("\n")[0] ?? "");
    height.set(at, Math.max(height.get(at) ?? 1, ids.length));
  }
  const tops = new Map<number, number>();
  let sum = 0;
  for (let i = 0; i < bands.length; i += 1) {
    tops.set(i, sum);
    sum += height.get(i) ?? 1;
  }
  const rows = new Map<string, number>();
  const settle = () => {
    for (const [key, ids] of cells) {
      const at = bands.indexOf(key.split("\n")[0] ?? "");
      const first = ((height.get(at) ?? 1) - ids.length) / 2;
      ids.forEach((id, i) => {
        rows.set(id, first + i);
      });
    }
  };
  settle();
  for (let sweep = 0; sweep < 8; sweep += 1) {
    const y = (id: string) => (tops.get(band.get(id) ?? 0) ?? 0) + (rows.get(id) ?? 0);
    for (const ids of cells.values()) {
      const weight = new Map(ids.map((id) => [id, mean((near.get(id) ?? []).map(y)) ?? y(id)]));
      ids.sort((a, b) => (weight.get(a) ?? 0) - (weight.get(b) ?? 0) || compare(a, b));
    }
    settle();
  }
  for (const item of items) {
    next.spots[item.id] = { band: item.band, column: columns.get(item.id) ?? 0, row: rows.get(item.id) ?? 0 };
  }
  next.bands = bands;
}

/** The first row of a column that nobody stands on. */
function free(band: string, column: number, spots: Record<string, Spot>, items: Item[]): Spot {
  const present = new Set(items.map((i) => i.id));
  const taken = Object.entries(spots)
    .filter(([id, s]) => s.band === band && s.column === column && present.has(id))
    .map(([, s]) => s.row);
  for (let row = 0; ; row += 1) if (taken.every((t) => Math.abs(t - row) >= 1)) return { band, column, row };
}

function mean(values: number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
