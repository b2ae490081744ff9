// biome-ignore-all lint/suspicious/noTemplateCurlyInString: substitutions of configuration files
/** What stands in the file is what counts for text and what a remedy quotes, not what YAML makes of it. */
import { describe, expect, test } from "vitest";
import { load, ours, refusal, yaml } from "./given.ts";

const lineOf = (text: string, word: string) =>
  text
    .split("\n")
    .find((line) => line.includes(word))
    ?.trim();

describe("a variable's text is text where text is wanted", () => {
  test.each([
    "48211907",
    "9e42",
    "0x1f",
    "0o17",
    "007",
    "1.10",
    "-0",
    ".5",
    "true",
    "null",
    "~",
    "yes",
    ".inf",
    "12 # x",
    "*a",
    "!a b",
    "&a b",
  ])("a node named %s", (name) => {
    const file = ours("kubernetes:", "  node: ${NODE_NAME}");

    expect(load({ file, env: { NODE_NAME: name } }).settings.kubernetes.node).toBe(name);
  });

  test("in a list, in a default, in the middle of a text and after a dollar sign", () => {
    const file = ours(
      "cluster: ${NONE:-0815}",
      ...["kubernetes:", "  node: ip-${N}", "  pod_labels:", "    - '${N}'", "    - ${N}", "    - $$1", "    - $${N}"],
      ...["cidrs:", "  office:", "    - ${CIDR}"],
    );

    const { cluster, kubernetes, cidrs } = load({ file, env: { N: "1e3", CIDR: "10.0.0.0/8" } }).settings;

    expect([cluster, kubernetes.node, kubernetes.podLabels, cidrs]).toEqual([
      "0815",
      "ip-1e3",
      ["1e3", "1e3", "$1", "${N}"],
      { office: ["10.0.0.0/8"] },
    ]);
  });

  test("a variable that is empty or not there leaves the default", () => {
    const file = ours("cluster: ${NONE}", "kubernetes:", "  node: ${EMPTY}");

    const { cluster, kubernetes } = load({ file, env: { EMPTY: " " } }).settings;

    expect([cluster, kubernetes.node]).toEqual([undefined, undefined]);
  });

  test("an attribute keeps its digits", () => {
    const file = yaml(
      "resource:",
      "  attributes:",
      "    - name: service.version",
      "      value: ${V}",
      "    - {name: n, value: 1.50}",
    );

    expect(load({ file, env: { V: "1.10" } }).settings.resource.attributes).toEqual({
      "service.version": "1.10",
      n: "1.5",
    });
  });
});

describe("a remedy quotes what stands in the file", () => {
  const AT = ["meter_provider:", "  readers:", "    - periodic:", "        exporter:", "          otlp_grpc:"];
  const otlp = (...fields: string[]) => yaml(...AT, ...fields.map((line) => `            ${line}`));

  test.each<[string, string, string, string]>([
    ["a number as it was written", ours("cluster: 0x1f"), "0x1f", 'put it in quotes: "0x1f"'],
    ["one with a zero before it", ours("cluster: 007"), "007", 'put it in quotes: "007"'],
    ["a boolean", ours("cluster: true"), "true", 'put it in quotes: "true"'],
    ["an item of a list", ours("kubernetes: {pod_labels: [a, 1e3]}"), "1e3", 'put it in quotes: "1e3"'],
    ["an octal number that is too large", ours("interval: 0o77777777777"), "0o77777777777", "write 3600000 or less"],
    [
      "where OTel's schema wants text: the reference",
      otlp("endpoint: ${E}"),
      "4317, from ${E}",
      'put it in quotes: "${E}"',
    ],
    [
      "a header's value: the reference, without what it holds",
      otlp("headers:", "  - name: a", "    value: ${E}"),
      "(a secret, not shown)",
      'put it in quotes: "${E}"',
    ],
    [
      "a header's value itself: nothing",
      otlp("headers: [{name: a, value: 123456}]"),
      "(a secret, not shown)",
      "put it in quotes",
    ],
    ["a variable's value and its name", ours("interval: ${I}"), '"15s", from ${I}', "write it in milliseconds: 15000"],
    ["a default without what it says", ours("interval: ${NO:-soon}"), '"soon", from ${NO:-…}', "write a whole number"],
  ])("%s", (_, file, found, remedy) => {
    const text = refusal({ file, env: { E: "4317", I: "15s" } });

    expect([lineOf(text, "found:"), lineOf(text, "remedy:")]).toEqual([`found:   ${found}`, `remedy:  ${remedy}`]);
  });
});

describe("a mark of YAML at a value's beginning is told without the value", () => {
  test.each([
    "*hunter2hunter2",
    "!hunter2hunter2",
    "&hunter2hunter2 x: y: z",
    "@hunter2hunter2",
    "|hunter2hunter2",
    '"\\hunter2"',
  ])("%s", (value) => {
    const text = refusal({ file: yaml(`resource:\n  attributes_list: ${value}`) });

    expect(text).toMatch(/FILE(:3)?: /);
    expect(text).not.toContain("unter2");
  });
});
