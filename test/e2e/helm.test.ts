/**
 * deploy/helm/flowspan as Helm renders it: the objects of deploy/manifests, what each value changes, what is refused.
 *
 * Renders are kept in test/golden/helm/; `npx vitest run --project e2e test/e2e/helm.test.ts -u` writes them anew.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { VALUES } from "../../scripts/chart/values.ts";
import {
  CHART,
  comparable,
  configsOf,
  helm,
  kustomize,
  kustomizeWith,
  nameOf,
  objectsOf,
  readConfig,
  render,
  renderText,
} from "./chart.ts";
import { VALUE_CASES } from "./helm-values.ts";
import type { Manifest } from "./manifests.ts";

const ROOT = join(import.meta.dirname, "../..");
const GOLDEN = join(ROOT, "test/golden/helm");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** Values at a dotted path. */
function at(path: string, value: unknown): object {
  return path.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
}

function merged(a: object, b: object): object {
  const both = { ...a } as Record<string, unknown>;
  for (const [name, value] of Object.entries(b)) {
    const mine = both[name];
    const bothGroups = [mine, value].every((each) => typeof each === "object" && each !== null && !Array.isArray(each));
    both[name] = bothGroups ? merged(mine as object, value as object) : value;
  }
  return both;
}

const byName = (objects: readonly Manifest[]) => new Map(objects.map((object) => [nameOf(object), object]));
const rendered = (objects: readonly Manifest[]) =>
  Object.fromEntries(objects.map((object) => [nameOf(object), comparable(object)]));

describe("the chart", () => {
  test("has no complaint of helm lint, and the package's version", async () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const chart = parse(readFileSync(join(CHART, "Chart.yaml"), "utf8")) as { version: string; appVersion: string };

    expect(await helm("lint", "--strict", CHART)).toContain("0 chart(s) failed");
    expect([chart.version, chart.appVersion]).toEqual([version, version]);
  });

  test("has no hook", () => {
    const templates = readdirSync(join(CHART, "templates")).map((file) =>
      readFileSync(join(CHART, "templates", file), "utf8"),
    );

    expect(templates.filter((text) => text.includes("helm.sh/hook"))).toEqual([]);
  });
});

describe("chart and kustomize say the same objects", () => {
  // Helm makes a namespace with --create-namespace, and deletes none.
  const withoutNamespace = (objects: Manifest[]) => rendered(objects.filter(({ kind }) => kind !== "Namespace"));

  test("by default", async () => {
    expect(rendered(await render())).toEqual(withoutNamespace(await kustomize("deploy/manifests")));
  });

  test("when everything is removed from nodes", async () => {
    const chart = await render({ uninstall: { enabled: true } });

    expect(rendered(chart)).toEqual(rendered(await kustomize("deploy/manifests/uninstall")));
  });

  test("with a directory that takes one token of all agents", async () => {
    const chart = await render({ directory: { enabled: true } });

    expect(rendered(chart)).toEqual(withoutNamespace(await kustomizeWith("directory")));
  });

  test("with a directory that knows each agent by its service account", async () => {
    const chart = await render({ directory: { enabled: true, authentication: "serviceAccount" } });

    expect(rendered(chart)).toEqual(withoutNamespace(await kustomizeWith("directory", "directory-identity")));
  });

  test("with profiles of the nodes it says what the components seccomp and apparmor say", async () => {
    const profiles = (name: string) => ({
      seccompProfile: { type: "Localhost", localhostProfile: `${name}.json` },
      appArmorProfile: { type: "Localhost", localhostProfile: name },
    });
    const agent = profiles("flowspan-agent");

    const chart = await render({ agent, directory: { enabled: true, ...agent }, probe: profiles("flowspan-probe") });

    const components = await kustomizeWith("directory", "seccomp", "apparmor");
    expect(rendered(chart)).toEqual(withoutNamespace(components));
    expect(JSON.stringify(components).match(/"localhostProfile":"[^"]+"/g)).toHaveLength(6);
  });

  const at4317 = (scheme: string, tls = {}) => ({ endpoint: `${scheme}://otel-collector.observability:4317`, tls });
  const memory = (limit: string, request: string) => ({ limits: { memory: limit }, requests: { memory: request } });
  const overlays = {
    "collector-service": { otlp: at4317("http") },
    "large-cluster": {
      otlp: at4317("http"),
      directory: { enabled: true, authentication: "serviceAccount", replicas: 3, resources: memory("1Gi", "256Mi") },
    },
    "mutual-tls": { otlp: at4317("https", { secret: "otlp-tls", clientCertificate: true }) },
    "small-cluster": {
      otlp: at4317("http"),
      agent: {
        config: { distribution: { flowspan: { budget: { flows: 2000 } } } },
        resources: memory("192Mi", "64Mi"),
      },
      probe: { extraArgs: ["--edges=16384"], resources: memory("96Mi", "48Mi") },
    },
    tls: { otlp: at4317("https", { secret: "otlp-tls" }) },
  };

  test("the values of each overlay are here", () => {
    expect(Object.keys(overlays)).toEqual(readdirSync(join(ROOT, "deploy/overlays")).sort());
  });

  test.each(Object.entries(overlays))("with the values of the overlay %s", async (name, values) => {
    expect(rendered(await render(values))).toEqual(withoutNamespace(await kustomize(`deploy/overlays/${name}`)));
  });
});

describe("each value changes the render", () => {
  test("the table below has each value of the chart and no other", () => {
    expect(Object.keys(VALUE_CASES).sort()).toEqual(VALUES.map(({ path }) => path).sort());
  });

  const befores = new Map<string, Promise<string>>();
  const renderOnce = (given: object) => {
    const key = JSON.stringify(given);
    const known = befores.get(key) ?? renderText(given);
    befores.set(key, known);
    return known;
  };

  test.each(Object.entries(VALUE_CASES))("%s", async (path, { value, given = {}, changes, line }) => {
    const [before, after] = await Promise.all([renderOnce(given), renderText(merged(given, at(path, value)))]);
    const [old, now] = [byName(objectsOf(before)), byName(objectsOf(after))];
    const all = [...new Set([...old.keys(), ...now.keys()])].sort();
    const changed = all.filter((name) => JSON.stringify(old.get(name)) !== JSON.stringify(now.get(name)));

    expect(changed).toEqual(changes === "all" ? all : [...changes].sort());
    if (line === undefined) return;
    const lines = new Set(before.split("\n").map((each) => each.trim()));
    const added = after.split("\n").map((each) => each.trim());
    expect(added.filter((each) => !lines.has(each))).toContain(line);
  });
});

describe("what is wrong is refused, with the field's name", () => {
  test.each([
    [{ otlp: { endpoint: 4317 } }, /at '\/otlp\/endpoint': got number, want string/],
    [{ otlp: { endpont: "http://collector:4317" } }, /at '\/otlp': additional properties 'endpont' not allowed/],
    [{ endpoint: "http://collector:4317" }, /additional properties 'endpoint' not allowed/],
    [{ otlp: { compression: "zstd" } }, /at '\/otlp\/compression': value must be one of 'none', 'gzip'/],
    [{ agent: { image: { digest: "abc" } } }, /at '\/agent\/image\/digest': 'abc' does not match pattern/],
    [{ agent: { tolerations: { operator: "Exists" } } }, /at '\/agent\/tolerations': got object, want array/],
    [{ probe: { pins: "../other" } }, /at '\/probe\/pins': '..\/other' does not match pattern/],
    [{ directory: { enabled: "yes" } }, /at '\/directory\/enabled': got string, want boolean/],
    [{ directory: { replicas: 0 } }, /at '\/directory\/replicas': minimum: got 0, want 1/],
    [{ directory: { authentication: "none" } }, /at '\/directory\/authentication': value must be one of/],
    [{ agent: { extraEnv: [{ value: "x" }] } }, /at '\/agent\/extraEnv\/0': missing property 'name'/],
    [{ agent: { podLabels: { a: 1 } } }, /at '\/agent\/podLabels\/a': got number, want string/],
    [{ probe: { resources: { limit: {} } } }, /at '\/probe\/resources': additional properties 'limit' not allowed/],
    [{ otlp: { tls: { secret: "otlp" } } }, /otlp\.tls\.secret is set, but otlp\.endpoint begins with http:\/\//],
    [{ otlp: { tls: { clientCertificate: true } } }, /otlp\.tls\.clientCertificate needs otlp\.tls\.secret/],
    [{ agent: { config: { meter_provider: {} } } }, /agent\.config\.meter_provider would replace all of otlp/],
    [{ probe: { serviceAccount: { create: false } } }, /probe\.serviceAccount\.name must name an account that exists/],
  ])("%j", async (values, message) => {
    await expect(render(values)).rejects.toThrow(message);
  });
});

describe("the configuration", () => {
  const hashOf = async (config: object) => {
    const daemonSet = byName(await render({ agent: { config } })).get("DaemonSet/flowspan") as Manifest & {
      spec: { template: { metadata: { annotations: Record<string, string> } } };
    };
    return daemonSet.spec.template.metadata.annotations["checksum/config"];
  };
  const ours = (flowspan: object) => ({ distribution: { flowspan } });

  test("restarts agents where a changed field needs it, and nowhere else", async () => {
    const hash = await hashOf({});

    expect(await hashOf({ log_level: "debug", ...ours({ interval: 30_000 }) })).toBe(hash);
    expect(await hashOf(ours({ findings: { rate: 5, retransmits: { threshold: 0.1 } } }))).toBe(hash);
    expect(await hashOf(ours({ coverage: false }))).not.toBe(hash);
    expect(await hashOf({ resource: { attributes_list: "a=b" } })).not.toBe(hash);
  });

  test("for TLS, headers and a cluster's name is one that the agent and OTel's schema take", async () => {
    const values = parse(read("test/golden/helm/large.values.yaml")) as object;
    const configs = configsOf(await render(values));

    expect([...configs.keys()]).toEqual(["flowspan-directory", "flowspan"].sort());
    const agent = await readConfig(configs.get("flowspan") ?? "");
    const directory = await readConfig(configs.get("flowspan-directory") ?? "");
    expect([agent.complaints, directory.complaints]).toEqual([[], []]);
    expect(agent.values).toMatchObject({
      cluster: "shop-eu",
      interval: 30_000,
      "otlp.endpoint": "https://otel-collector.observability:4317",
      "otlp.caFile": "/etc/flowspan-otlp/ca.crt",
      "kubernetes.metadata": "directory",
    });
  });
});

describe("rules and dashboards", () => {
  test("are those of deploy/alerts and deploy/dashboards", async () => {
    const objects = byName(await render({ prometheusRule: { enabled: true }, dashboards: { enabled: true } }));
    const [rule] = objectsOf(read("deploy/alerts/prometheus-rule.yaml"));
    const files = readdirSync(join(ROOT, "deploy/dashboards"));
    const shown = [...objects.values()].flatMap(({ data }) =>
      Object.entries((data as Record<string, string> | undefined) ?? {}).filter(([file]) => file.endsWith(".json")),
    );

    expect(comparable(objects.get("PrometheusRule/flowspan") as Manifest)).toEqual(comparable(rule as Manifest));
    expect(Object.fromEntries(shown)).toEqual(
      Object.fromEntries(files.map((file) => [file, read(`deploy/dashboards/${file}`)])),
    );
  });
});

describe("golden renders", () => {
  const names = readdirSync(GOLDEN).flatMap((file) =>
    file.endsWith(".values.yaml") ? [file.split(".")[0] ?? ""] : [],
  );

  test.each(names)("%s", async (name) => {
    const text = await renderText(parse(read(`test/golden/helm/${name}.values.yaml`)) as object);

    expect(text.match(/[ \t]$/gm)).toBeNull();
    await expect(text).toMatchFileSnapshot(join(GOLDEN, `${name}.yaml`));
  });

  test("every render has its values", () => {
    const files = readdirSync(GOLDEN);

    expect(files.sort()).toEqual(names.flatMap((name) => [`${name}.values.yaml`, `${name}.yaml`]).sort());
  });
});
