// biome-ignore-all lint/suspicious/noTemplateCurlyInString: substitutions of configuration files
/** Headers are checked where they are read, as gRPC will check them, and nothing of them is ever shown. */
import { Metadata } from "@grpc/grpc-js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { load, refusal, yaml } from "./given.ts";

const SECRET = "abcdefSECRETabcdef";
const inFile = (entry: string) =>
  yaml(`meter_provider: {readers: [{periodic: {exporter: {otlp_grpc: {headers: [{name: a, value: b}, ${entry}]}}}}]}`);
const PLACE = "meter_provider.readers[0].periodic.exporter.otlp_grpc.headers";

describe("by variable", () => {
  const read = (headers: string) => {
    const { settings, warnings } = load({ env: { OTEL_EXPORTER_OTLP_HEADERS: headers } });
    return { headers: settings.otlp.headers, said: warnings.join("\n") };
  };

  test.each([
    ["a line break in the middle", `a=${SECRET}%0Ab`, "in pair 1, write a value of printable ASCII characters"],
    ["another script", `b=1,x-api-key=M%C3%BCnchen${SECRET}`, "in pair 2, write a value of printable ASCII characters"],
    ["a space in the name", `api key=${SECRET}`, "in pair 1, write a name of letters, digits"],
    ["a name for bytes", `token-bin=${SECRET}`, "in pair 1, choose a name that does not end in -bin"],
    ["a header that HTTP/2 does not have", `Transfer-Encoding=${SECRET}`, "in pair 1, remove transfer-encoding"],
    ["no name", SECRET, "write NAME=VALUE"],
    ["the value in the name's place", `Bearer ${SECRET}==`, "in pair 1, write a name of letters"],
  ])("%s: the variable is ignored, with a word that shows nothing of it", (_, text, remedy) => {
    const { headers, said } = read(text);

    expect(headers).toEqual({});
    expect(said).toContain("environment: OTEL_EXPORTER_OTLP_HEADERS");
    expect(said).toContain(remedy);
    expect(said).not.toContain(SECRET);
  });

  test("a line break at the end is left out, and told", () => {
    const { headers, said } = read(`authorization=Bearer%20${SECRET}%0A`);

    expect(headers).toEqual({ authorization: `Bearer ${SECRET}` });
    expect(said).toMatch(/^environment: OTEL_EXPORTER_OTLP_HEADERS: white space around a value/);
    expect(said).not.toContain(SECRET);
  });

  test("whatever is taken, gRPC takes", () => {
    const pair = fc.tuple(fc.string({ unit: "binary", minLength: 1 }), fc.string({ unit: "binary" }));
    const ascii = fc.tuple(fc.string({ minLength: 1 }), fc.string());
    fc.assert(
      fc.property(fc.array(fc.oneof(pair, ascii), { minLength: 1, maxLength: 3 }), (pairs) => {
        const text = pairs
          .map(([name, value]) => [name, value].map((part) => encodeURIComponent(part)).join("="))
          .join(",");
        const { headers } = read(text);
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        expect(metadata.getMap()).toEqual({ ...headers });
      }),
      { numRuns: 2000 },
    );
  });
});

describe("in a file", () => {
  test.each([
    ["a line break", `{name: t, value: "${SECRET}\\nx"}`, `${PLACE}[1]`],
    ["a name with a space", `{name: "a b", value: ${SECRET}}`, `${PLACE}[1]`],
    ["a value that is a list", `{name: t, value: [${SECRET}]}`, `${PLACE}[1].value`],
    ["no value", `{name: ${SECRET}}`, `${PLACE}[1]`],
    ["a bare text", SECRET, `${PLACE}[1]`],
  ])("%s is refused with its place and nothing of it", (_, entry, place) => {
    const text = refusal({ file: inFile(entry) });

    expect(text).toContain(`FILE:2: ${place}\n  found:   (a secret, not shown)`);
    expect(text).not.toContain(SECRET);
  });

  test("a Secret's line break at its end is left out, and told with its line", () => {
    const { settings, warnings, file } = load({
      file: inFile('{name: t, value: "Bearer ${TOKEN}"}'),
      env: { TOKEN: `${SECRET}\n` },
    });

    expect(settings.otlp.headers).toEqual({ a: "b", t: `Bearer ${SECRET}` });
    expect(warnings).toEqual([
      `${file}:2: ${PLACE}: white space around a value, as a line break at its end, is left out`,
    ]);
  });
});

test.each([
  `http://collector:99999/?token=${SECRET}`,
  `htp://collector:4317/v1?token=${SECRET}`,
  `htp://collector:4317/#${SECRET}`,
  `http://anna:p?${SECRET}@collector:99999`,
  `authorization=${SECRET}`,
  `Bearer ${SECRET}`,
  `api-key=${SECRET}:4317`,
])("an endpoint with a secret in it is refused without showing it: %s", (endpoint) => {
  for (const given of [{ flags: { endpoint } }, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } }]) {
    const said = saidOf(given);

    expect(said).toMatch(/--endpoint|OTEL_EXPORTER_OTLP_ENDPOINT/);
    expect(said).not.toContain(SECRET);
  }
});

/** The refusal, or the warnings. */
function saidOf(given: Parameters<typeof load>[0]): string {
  try {
    return load(given).warnings.join("\n");
  } catch (error) {
    return (error as Error).message;
  }
}
