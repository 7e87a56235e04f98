// Each view as the command that shows the same.

/** Short name of a kind, as people type it. */
const SHORT: Record<string, string> = {
  namespace: "ns",
  deployment: "deploy",
  statefulset: "sts",
  daemonset: "ds",
  job: "job",
  pod: "pod",
  service: "svc",
};

/** `deploy/web`. */
export function target(kind: string, name: string): string {
  return `${SHORT[kind.toLowerCase()] ?? kind.toLowerCase()}/${name}`;
}

/** `-n NAMESPACE`, or `-A` for all. */
export function scope(namespace: string | undefined): string {
  return namespace ? `-n ${quoted(namespace)}` : "-A";
}

/** A command line of its words; what a shell would take apart is quoted. */
export function command(...words: (string | undefined | false)[]): string {
  return ["leno", ...words.filter((w): w is string => Boolean(w))].join(" ");
}

/** For a shell. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
