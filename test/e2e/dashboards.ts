/**
 * The shipped dashboards as files, and what Grafana makes of their queries before it asks Prometheus: variables and
 * ranges filled in.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const DIRECTORY = join(import.meta.dirname, "../../deploy/dashboards");

export interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string; readonly refId: string }[];
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } };
}

export interface DashboardFile {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly query: string | { query: string };
    }[];
  };
}

export function shippedDashboards(): DashboardFile[] {
  const files = readdirSync(DIRECTORY).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => JSON.parse(readFileSync(join(DIRECTORY, file), "utf8")) as DashboardFile);
}

export interface PanelQuery {
  /** `flowspan-overview: Payload, A` */
  readonly name: string;
  readonly dashboard: string;
  readonly panel: string;
  readonly refId: string;
  readonly expr: string;
}

export function panelQueries(dashboards: readonly DashboardFile[]): PanelQuery[] {
  return dashboards.flatMap(({ uid, panels }) =>
    panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, refId }) => ({
        name: `${uid}: ${title}, ${refId}`,
        ...{ dashboard: uid, panel: title, refId, expr },
      })),
    ),
  );
}

/** @param chosen by variable; one that is not there takes all, as a dashboard does at first */
export function filledIn(expr: string, range: string, chosen: Readonly<Record<string, string>> = {}): string {
  const ranged = expr.replaceAll("$__rate_interval", range);
  return ranged.replace(/\$([a-z_]+)/g, (_, name: string) => chosen[name] ?? ".*");
}
