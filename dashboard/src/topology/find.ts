// What is sought or hidden on the map: words, all of which must hold. `web`, `ns:shop`, `kind:service`, `is:failing`, `-is:idle`.
import { type GraphEdge, type GraphNode, plain } from "../api";
import { health } from "../health";

/** Words that stand for how something is. */
const STATES = ["failing", "degraded", "healthy", "idle", "plaintext", "mtls", "split"] as const;

/** Whether a node is what the words say; none of them is everything. */
export function nodeMatcher(text: string, edges: GraphEdge[]): (node: GraphNode) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const of = (node: GraphNode) => edges.filter((e) => e.from === node.id || e.to === node.id);
  return (node) => words.every((word) => negated(word, (w) => one(w, node, () => of(node))));
}

function negated(word: string, test: (word: string) => boolean): boolean {
  return word.length > 1 && word.startsWith("-") ? !test(word.slice(1)) : test(word);
}

function one(word: string, node: GraphNode, edges: () => GraphEdge[]): boolean {
  const [key, value] = split(word);
  switch (key) {
    case "ns":
      return node.namespace.toLowerCase() === value;
    case "kind":
      return node.kind === value || node.owner === value;
    case "is":
      return is(value, node, edges());
    default:
      return node.name.toLowerCase().includes(word);
  }
}

function is(state: string, node: GraphNode, edges: GraphEdge[]): boolean {
  const calls = edges.some((e) => e.requests > 0 || e.tcp_conns > 0 || e.bytes_s > 0);
  const grades = [health(node.success), ...edges.filter((e) => e.to === node.id).map((e) => health(e.success))];
  switch (state as (typeof STATES)[number]) {
    case "failing":
      return grades.includes("bad");
    case "degraded":
      return grades.includes("degraded");
    case "healthy":
      return grades.includes("good") && !grades.includes("bad") && !grades.includes("degraded");
    case "idle":
      return node.requests === 0 && !calls;
    case "plaintext":
      return edges.some(plain);
    case "mtls":
      return edges.length > 0 && edges.every((e) => e.secured === "mTLS");
    case "split":
      return edges.some((e) => e.wanted !== null);
    default:
      return false;
  }
}

function split(word: string): [string, string] {
  const at = word.indexOf(":");
  return at < 0 ? ["", word] : [word.slice(0, at), word.slice(at + 1)];
}
