// A table that sorts by a click on a column's head.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

/** A column. */
export interface Column<T> {
  title: string;
  /** What is shown. */
  cell: (row: T) => ComponentChildren;
  /** What is sorted by; columns without are not. */
  sort?: (row: T) => string | number | null;
  /** Figures stand to the right. */
  figures?: boolean;
  /** Long text may break. */
  wrap?: boolean;
}

interface Props<T> {
  rows: T[];
  columns: Column<T>[];
  id: (row: T) => string;
  label: string;
  /** Shown instead of rows, where there are none. */
  empty?: ComponentChildren;
}

/** The table. */
export function Table<T>({ rows, columns, id, label, empty }: Props<T>) {
  const [by, setBy] = useState<{ column: number; down: boolean } | null>(null);
  const key = by === null ? undefined : columns[by.column]?.sort;
  const sorted = key && by ? [...rows].sort((a, b) => compare(key(a), key(b)) * (by.down ? -1 : 1)) : rows;
  const order = (i: number) => (by?.column !== i ? "none" : by.down ? "descending" : "ascending");
  if (rows.length === 0 && empty) return <>{empty}</>;
  return (
    <div class="scroll">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((c, i) => (
              <th
                key={c.title}
                class={c.figures ? "num" : ""}
                scope="col"
                {...(c.sort ? { "aria-sort": order(i) } : {})}
              >
                {c.sort ? (
                  <button
                    type="button"
                    // Figures are first wanted from the highest.
                    onClick={() => setBy({ column: i, down: by?.column === i ? !by.down : Boolean(c.figures) })}
                  >
                    {c.title}
                  </button>
                ) : (
                  c.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={id(row)}>
              {columns.map((c) => (
                <td key={c.title} class={`${c.figures ? "num" : ""} ${c.wrap ? "wrap" : ""}`}>
                  {c.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What is not there comes last, whichever way. */
export function compare(a: string | number | null, b: string | number | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}
