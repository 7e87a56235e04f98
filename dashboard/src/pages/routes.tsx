// All route rules in force.
import type { Graph, Rule } from "../api";
import { command, scope } from "../cli";
import { FindBox, NamespacePick, PageHead, WindowPick } from "../parts/page";
import { matches, RuleTable } from "../parts/rules";
import { Loaded } from "../parts/state";
import { usePoll } from "../poll";
import type { Place } from "../router";

export function RoutesPage({ place }: { place: Place }) {
  const { ns, window = "1m", find = "" } = place.query;
  const rules = usePoll<{ rules: Rule[] }>("rules", { namespace: ns });
  const graph = usePoll<Graph>("topology", { window, namespace: ns });
  const sought = (r: Rule) =>
    `${r.namespace}/${r.service} ${r.route} ${matches(r)}`.toLowerCase().includes(find.toLowerCase());
  return (
    <>
      <PageHead title="Routes" command={command("viz stat svc", scope(ns), window !== "1m" && `-t ${window}`)}>
        <FindBox place={place} />
        <NamespacePick place={place} all={[...new Set(rules.data?.rules.map((r) => r.namespace))]} />
        <WindowPick place={place} />
      </PageHead>
      <Loaded of={rules}>
        {(r) => (
          <div class="panel">
            <RuleTable rules={r.rules.filter(sought)} graph={graph.data} all />
          </div>
        )}
      </Loaded>
    </>
  );
}
