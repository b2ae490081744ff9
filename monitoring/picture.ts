/**
 * A dashboard's panels with the answers that a real Prometheus gave, as an SVG for the documents: drawn by ECharts, which
 * needs no browser.
 *
 *   FLOWSPAN_DASHBOARD_DATA=answers.json npx vitest run --project e2e test/e2e/dashboards.test.ts
 *   node monitoring/picture.ts answers.json
 *
 * Grafana draws these panels itself; the picture shows what is in them, not how Grafana looks.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as echarts from "echarts";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const WIDTH = 960;
const PANEL_HEIGHT = 230;
const SERIES_MAX = 4;
/** Which panels a picture has: those of lines, two in a row. */
const PICTURES: Readonly<Record<string, readonly string[]>> = {
  "flowspan-overview": [
    ...["Payload by pair", "Connections that fail, by pair and reason"],
    ...["Segments sent again, by pair", "Round trip, 99th percentile, by pair"],
  ],
  "flowspan-service": [
    ...["Payload by server", "Connections by server"],
    ...["Segments sent again, by type", "Open connections"],
  ],
  "flowspan-own-health": [
    ...["Coverage, the least of all net namespaces", "Edges and cgroups"],
    ...["Data points", "Resident memory"],
  ],
};

interface Line {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly (number | null)[];
}
interface Panel {
  readonly title: string;
  readonly fieldConfig: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly refId: string; readonly legendFormat: string }[];
}

/** By panel and query: `flowspan-overview: Payload, A`, a value a second. */
type Answers = Readonly<Record<string, readonly Line[]>>;

export function drawDashboard(uid: string, panels: readonly Panel[], answers: Answers): string {
  const height = Math.ceil(panels.length / 2) * PANEL_HEIGHT;
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  const drawn = panels.map((panel, index) => drawPanel(uid, panel, index, answers));
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "sans-serif" },
    title: drawn.map(({ title }) => title),
    legend: drawn.map(({ legend }) => legend),
    grid: drawn.map(({ grid }) => grid),
    xAxis: drawn.map(({ xAxis }) => xAxis),
    yAxis: drawn.map(({ yAxis }) => yAxis),
    series: drawn.flatMap(({ series }) => series),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

function drawPanel(uid: string, panel: Panel, index: number, answers: Answers) {
  const left = (index % 2) * (WIDTH / 2);
  const top = Math.floor(index / 2) * PANEL_HEIGHT;
  const lines = (panel.targets ?? [])
    .flatMap(({ refId, legendFormat }) =>
      (answers[`${uid}: ${panel.title}, ${refId}`] ?? []).map((line) => ({ line, name: nameOf(legendFormat, line) })),
    )
    .sort((a, b) => largest(b.line) - largest(a.line))
    .slice(0, SERIES_MAX);
  const seconds = lines[0]?.line.values.length ?? 0;
  const unit = panel.fieldConfig.defaults.unit ?? "";
  return {
    title: { text: panel.title, left: left + 12, top: top + 8, textStyle: { fontSize: 13 } },
    legend: {
      data: lines.map(({ name }) => name),
      ...{ orient: "vertical", left: left + 12, top: top + PANEL_HEIGHT - 72 },
      ...{ itemWidth: 10, itemHeight: 4, itemGap: 6, textStyle: { fontSize: 9 } },
    },
    grid: { left: left + 60, top: top + 36, width: WIDTH / 2 - 80, height: PANEL_HEIGHT - 126 },
    xAxis: {
      gridIndex: index,
      type: "category",
      data: Array.from({ length: seconds }, (_, second) => `${second} s`),
      axisLabel: { fontSize: 9, interval: Math.max(1, Math.floor(seconds / 6)) },
    },
    yAxis: {
      gridIndex: index,
      type: "value",
      min: 0,
      splitNumber: 3,
      axisLabel: { fontSize: 9, formatter: (value: number) => inUnit(value, unit) },
    },
    series: lines.map(({ line, name }) => ({
      ...{ type: "line", xAxisIndex: index, yAxisIndex: index, name, showSymbol: false, lineStyle: { width: 1.5 } },
      data: line.values.map((value) => (value === null ? "-" : Number(value.toPrecision(3)))),
    })),
  };
}

/** `{{a}} → {{b}}` with the series' labels. */
function nameOf(format: string, { labels }: Line): string {
  return format.replace(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? "").trim();
}

function largest({ values }: Line): number {
  return Math.max(0, ...values.map((value) => value ?? 0));
}

function inUnit(value: number, unit: string): string {
  if (unit === "percentunit") return `${Number((value * 100).toPrecision(3))} %`;
  if (unit === "s") return `${Number((value * 1000).toPrecision(3))} ms`;
  const scale = value >= 1e6 ? 1e6 : value >= 1e3 ? 1e3 : 1;
  const prefix = { 1e6: "M", 1e3: "k", 1: "" }[scale];
  const word = unit === "Bps" ? "B/s" : unit === "bytes" ? "B" : unit === "cps" ? "/s" : "";
  return `${Number((value / scale).toPrecision(3))} ${prefix}${word}`.trim();
}

function main([path]: readonly string[]): void {
  if (path === undefined) throw new Error("usage: node monitoring/picture.ts ANSWERS.json");
  const answers = JSON.parse(readFileSync(path, "utf8")) as Answers;
  for (const [uid, titles] of Object.entries(PICTURES)) {
    const file = readFileSync(join(ROOT, `deploy/dashboards/${uid}.json`), "utf8");
    const { panels } = JSON.parse(file) as { panels: Panel[] };
    const shown = titles.map((title) => {
      const panel = panels.find((each) => each.title === title);
      if (panel === undefined) throw new Error(`${uid} has no panel ${title}: mend PICTURES in monitoring/picture.ts`);
      return panel;
    });
    const target = `docs/${uid.replace("flowspan-", "dashboard-")}.svg`;
    writeFileSync(join(ROOT, target), drawDashboard(uid, shown, answers));
    console.error(`wrote ${target}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
