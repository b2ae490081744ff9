/**
 * A dashboard as plain rows → the JSON that Grafana imports, with Grafana's own SDK. Pure: the same rows give the same
 * bytes. All dashboards share the data source's variable, the links to each other and the colours.
 */
import { GraphDrawStyle } from "@grafana/grafana-foundation-sdk/common";
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeSeriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import type { Query } from "./query.ts";

export interface PanelRow {
  readonly title: string;
  readonly kind: "lines" | "number" | "table";
  /** Grafana's id of the unit: `Bps`, `percentunit`, `s`. */
  readonly unit: string;
  /** What it counts, and how to read it: shown at the panel's corner. */
  readonly about: string;
  /** Of 24. */
  readonly width: number;
  /** Of a table: a column each, with its head and unit; lines of equal labels become one. */
  readonly queries: readonly { readonly query: Query; readonly legend: string; readonly unit?: string }[];
}

/** A list of values from which the reader takes some; all of them at first. */
export interface Choice {
  readonly name: string;
  readonly title: string;
  readonly label: string;
  /** A selector whose series have the label. */
  readonly from: string;
}

export interface DashboardRows {
  readonly uid: string;
  readonly title: string;
  readonly about: string;
  readonly choices: readonly Choice[];
  readonly sections: readonly { readonly title: string; readonly panels: readonly PanelRow[] }[];
}

/** By which each dashboard finds the others. */
const DASHBOARD_TAG = "flowspan";
const SOURCE = { type: "prometheus", uid: "$datasource" };
const HEIGHTS = { lines: 8, number: 4, table: 12 } as const;

/** @returns the text of a file, which ends in a newline */
export function renderDashboard(rows: DashboardRows): string {
  return `${JSON.stringify(dashboardOf(rows), null, 2)}\n`;
}

function dashboardOf({ uid, title, about, choices, sections }: DashboardRows): Dashboard {
  const builder = new DashboardBuilder(title)
    .uid(uid)
    .description(about)
    .tags([DASHBOARD_TAG])
    .refresh("1m")
    .time({ from: "now-1h", to: "now" })
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder("flowspan")
        .type(DashboardLinkType.Dashboards)
        .tags([DASHBOARD_TAG])
        .asDropdown(true)
        .keepTime(true),
    )
    .withVariable(new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"));
  for (const choice of choices) builder.withVariable(variableOf(choice));
  let id = 0;
  for (const section of sections) {
    builder.withRow(new RowBuilder(section.title).id(++id));
    for (const panel of section.panels) builder.withPanel(panelOf(panel).id(++id));
  }
  return builder.build();
}

function variableOf({ name, title, label, from }: Choice): QueryVariableBuilder {
  return (
    new QueryVariableBuilder(name)
      .label(title)
      .datasource(SOURCE)
      .query({ query: `label_values(${from}, ${label})`, refId: "values" })
      .refresh(VariableRefresh.OnTimeRangeChanged)
      .sort(VariableSort.AlphabeticalAsc)
      .multi(true)
      .includeAll(true)
      // Also what has no such label, as hosts have no namespace.
      .allValue(".*")
      .current({ selected: true, text: "All", value: "$__all" })
  );
}

function panelOf(row: PanelRow) {
  const builder = builderOf(row.kind)
    .title(row.title)
    .description(row.about)
    .unit(row.unit)
    .datasource(SOURCE)
    .span(row.width)
    .height(HEIGHTS[row.kind]);
  for (const [index, { query, legend, unit = row.unit }] of row.queries.entries()) {
    const refId = String.fromCharCode(65 + index);
    const target = new DataqueryBuilder().refId(refId).datasource(SOURCE).expr(query.toString()).legendFormat(legend);
    builder.withTarget(row.kind === "lines" ? target.range() : asInstant(target, row.kind));
    if (row.kind !== "table") continue;
    const column = row.queries.length === 1 ? "Value" : `Value #${refId}`;
    builder.overrideByName(column, [
      { id: "displayName", value: legend },
      { id: "unit", value: unit },
    ]);
  }
  if (row.kind === "table") {
    builder.withTransformation({ id: "merge", options: {} });
    builder.withTransformation({ id: "organize", options: { excludeByName: { Time: true } } });
  }
  return builder;
}

function asInstant(target: DataqueryBuilder, kind: "number" | "table"): DataqueryBuilder {
  return kind === "table" ? target.instant().format(PromQueryFormat.Table) : target.instant();
}

function builderOf(kind: PanelRow["kind"]) {
  if (kind === "number") return new StatBuilder();
  if (kind === "table") return new TableBuilder();
  return new TimeSeriesBuilder().drawStyle(GraphDrawStyle.Line).fillOpacity(10).min(0);
}
