// Services, as their callers saw them.
import { command, scope } from "../cli";
import { FindBox, NamespacePick, PageHead, WindowPick } from "../parts/page";
import { lineOf, Spark } from "../parts/spark";
import { Empty, Loaded } from "../parts/state";
import { Table } from "../parts/table";
import { href, type Place } from "../router";
import { namespacesOf, signalColumns, sought, useSeries, useStat } from "./list";
import { ServicePage } from "./service";

export function ServicesPage({ place }: { place: Place }) {
  const [, namespace, name] = place.path;
  return namespace && name ? (
    <ServicePage key={place.path.join("/")} place={place} namespace={namespace} name={name} />
  ) : (
    <ServiceList place={place} />
  );
}

function ServiceList({ place }: { place: Place }) {
  const stat = useStat("service", place);
  const series = useSeries("service", place);
  const { ns, window = "1m", find } = place.query;
  return (
    <>
      <PageHead title="Services" command={command("viz stat svc", scope(ns), window !== "1m" && `-t ${window}`)}>
        <FindBox place={place} />
        <NamespacePick place={place} all={namespacesOf(stat.data)} />
        <WindowPick place={place} />
      </PageHead>
      <Loaded of={stat}>
        {(s) => (
          <div class="panel">
            <Table
              label="Services"
              rows={sought(s.rows, find)}
              id={(r) => `${r.namespace}/${r.name}`}
              columns={[
                {
                  title: "Name",
                  cell: (r) => <a href={href(["services", r.namespace, r.name])}>{r.name}</a>,
                  sort: (r) => r.name,
                },
                { title: "Namespace", cell: (r) => r.namespace, sort: (r) => r.namespace },
                { title: "Last minutes", cell: (r) => <Spark row={lineOf(series, r.namespace, r.name)} /> },
                ...signalColumns(),
              ]}
              empty={<Empty title={find ? "Nothing has that name" : "No service was called in this window"} />}
            />
          </div>
        )}
      </Loaded>
    </>
  );
}
