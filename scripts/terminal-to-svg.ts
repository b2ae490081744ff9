/**
 * A captured terminal (text with ANSI colours on stdin) as an SVG on stdout: how docs/demo.svg was made.
 *
 *     tmux new-session -d -x 118 -y 19 'make demo SECONDS=60'
 *     tmux capture-pane -e -p | node scripts/terminal-to-svg.ts >docs/demo.svg
 *
 * Knows the few attributes that flowspan's screens use; each run of cells has a fixed length, so that no
 * reader's font can move a column.
 */
import { readFileSync } from "node:fs";

const CELL = { width: 8, height: 18 };
const MARGIN = 14;
const COLOURS: Readonly<Record<string, string>> = { 31: "#ff7b72", 33: "#e3b341", 39: "#e6edf3" };

interface Style {
  readonly colour: string;
  readonly bold: boolean;
  readonly dim: boolean;
}

const PLAIN: Style = { colour: COLOURS[39] ?? "", bold: false, dim: false };

function restyled(style: Style, code: string): Style {
  if (code === "" || code === "0") return PLAIN;
  if (code === "1") return { ...style, bold: true };
  if (code === "2") return { ...style, dim: true };
  return { ...style, colour: COLOURS[code] ?? style.colour };
}

function run(text: string, { colour, bold, dim }: Style, column: number, y: number): string {
  if (text.trim() === "") return "";
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const look = `fill="${colour}"${bold ? ' font-weight="bold"' : ""}${dim ? ' opacity="0.65"' : ""}`;
  const length = `textLength="${[...text].length * CELL.width}" lengthAdjust="spacingAndGlyphs"`;
  return `<text x="${MARGIN + column * CELL.width}" y="${y}" ${length} ${look}>${escaped}</text>\n`;
}

const lines = readFileSync(0, "utf8").trimEnd().split("\n");
let style = PLAIN;
let columns = 0;
const body = lines.map((line, row) => {
  const y = MARGIN + (row + 0.75) * CELL.height;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what this reads
  const parts = line.trimEnd().split(/\x1b\[([\d;]*)m/);
  return parts
    .map((part, i) => {
      if (i % 2 === 1) {
        style = part.split(";").reduce(restyled, style);
        return "";
      }
      const svg = run(part, style, column, y);
      column += [...part].length;
      columns = Math.max(columns, column);
      return svg;
    })
    .join("");
});
const width = columns * CELL.width + 2 * MARGIN;
const height = lines.length * CELL.height + 2 * MARGIN;
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" \
font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13.3" xml:space="preserve">
<title>flowspan in a terminal</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${body.join("")}</svg>
`);
