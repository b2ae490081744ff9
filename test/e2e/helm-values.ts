/**
 * For each value of the chart, a value other than its default, and what becomes of the render: the objects that change,
 * appear or go, and a line that only the new render has.
 */

export interface ValueCase {
  readonly value: unknown;
  /** What else must be set, on both sides. */
  readonly given?: object;
  /** Names of objects, as `DaemonSet/flowspan`, in alphabetical order. `all`: every object of the render. */
  readonly changes: readonly string[] | "all";
  /** Without indentation. None: something goes. */
  readonly line?: string;
}

const AGENT = "DaemonSet/flowspan";
const PROBE = "DaemonSet/flowspan-probe";
const DIRECTORY = "Deployment/flowspan-directory";
const CONFIGS = ["ConfigMap/flowspan", "ConfigMap/flowspan-directory"];
const withDirectory = { directory: { enabled: true } };
const pairOf = (name: string) => [`ClusterRole/${name}`, `ClusterRoleBinding/${name}`];

const byItself: Readonly<Record<string, ValueCase>> = {
  nameOverride: { value: "network", changes: "all", line: "app.kubernetes.io/name: network-probe" },
  fullnameOverride: { value: "network", changes: "all", line: "name: network-probe" },
  commonLabels: { value: { team: "platform" }, changes: "all", line: "team: platform" },
  imageRegistry: {
    value: "registry.example/mirror/",
    changes: [AGENT, PROBE],
    line: "image: registry.example/mirror/flowspan-agent:0.1.0",
  },
  imagePullSecrets: { value: [{ name: "pull" }], changes: [AGENT, PROBE], line: "- name: pull" },
  clusterName: {
    value: "shop-eu",
    given: withDirectory,
    changes: [...CONFIGS, AGENT, DIRECTORY],
    line: "cluster: shop-eu",
  },
  appLabels: {
    value: true,
    given: withDirectory,
    changes: [...CONFIGS, AGENT, DIRECTORY],
    line: "app_labels: true",
  },
  "otlp.endpoint": {
    value: "http://otel-collector.observability:4317",
    given: withDirectory,
    changes: [...CONFIGS, AGENT, DIRECTORY],
    line: "endpoint: http://otel-collector.observability:4317",
  },
  "otlp.protocol": {
    value: "http/protobuf",
    given: withDirectory,
    changes: [...CONFIGS, AGENT, DIRECTORY],
    line: `endpoint: http://\${HOST_IP}:4318/v1/metrics`,
  },
  "otlp.compression": { value: "none", changes: ["ConfigMap/flowspan", AGENT], line: "compression: none" },
  "otlp.exporter": { value: { timeout: 5000 }, changes: ["ConfigMap/flowspan", AGENT], line: "timeout: 5000" },
  "otlp.headers.secret": {
    value: "vendor",
    given: withDirectory,
    changes: [...CONFIGS, AGENT, DIRECTORY],
    line: `headers_list: \${OTLP_HEADERS}`,
  },
  "otlp.headers.key": {
    value: "other",
    given: { otlp: { headers: { secret: "vendor" } } },
    changes: [AGENT],
    line: "key: other",
  },
  "otlp.tls.secret": {
    value: "otlp-tls",
    given: { ...withDirectory, otlp: { endpoint: "https://collector:4317" } },
    changes: [...CONFIGS, AGENT, DIRECTORY],
    line: "ca_file: /etc/flowspan-otlp/ca.crt",
  },
  "otlp.tls.clientCertificate": {
    value: true,
    given: { otlp: { endpoint: "https://collector:4317", tls: { secret: "otlp-tls" } } },
    changes: ["ConfigMap/flowspan", AGENT],
    line: "cert_file: /etc/flowspan-otlp/tls.crt",
  },
  "traceKey.secret": { value: "ours", changes: [AGENT], line: "secretName: ours" },
  "traceKey.key": { value: "other", changes: [AGENT], line: "value: /etc/flowspan-trace-key/other" },
  "rbac.create": { value: false, changes: pairOf("flowspan") },
  "priorityClass.create": { value: false, changes: [AGENT, PROBE, "PriorityClass/flowspan"] },
  "priorityClass.name": {
    value: "high",
    changes: [AGENT, PROBE, "PriorityClass/flowspan", "PriorityClass/high"],
    line: "priorityClassName: high",
  },
  "priorityClass.value": { value: 7_000_000, changes: ["PriorityClass/flowspan"], line: "value: 7000000" },
  "networkPolicy.enabled": { value: false, changes: ["NetworkPolicy/flowspan", "NetworkPolicy/flowspan-probe"] },
  "agent.config": {
    value: { distribution: { flowspan: { interval: 30_000 } } },
    changes: ["ConfigMap/flowspan"],
    line: "interval: 30000",
  },
  "probe.extraArgs": { value: ["--edges=131072"], changes: [PROBE], line: "- --edges=131072" },
  "probe.socketDirectory": { value: "/run/other", changes: [AGENT, PROBE], line: "path: /run/other" },
  "probe.pins": { value: "other", changes: [PROBE], line: "- --pins=/bpf/other" },
  "probe.appArmorProfile": {
    value: { type: "Localhost", localhostProfile: "flowspan-probe" },
    changes: [PROBE],
    line: "localhostProfile: flowspan-probe",
  },
  "agent.appArmorProfile": {
    value: { type: "Localhost", localhostProfile: "flowspan-agent" },
    changes: [AGENT],
    line: "localhostProfile: flowspan-agent",
  },
  "directory.appArmorProfile": {
    value: { type: "Localhost", localhostProfile: "flowspan-agent" },
    given: withDirectory,
    changes: [DIRECTORY],
    line: "localhostProfile: flowspan-agent",
  },
  "probe.seccompProfile": {
    value: { type: "Localhost", localhostProfile: "flowspan-probe.json" },
    changes: [PROBE],
    line: "localhostProfile: flowspan-probe.json",
  },
  "agent.seccompProfile": {
    value: { type: "Localhost", localhostProfile: "flowspan-agent.json" },
    changes: [AGENT],
    line: "localhostProfile: flowspan-agent.json",
  },
  "directory.seccompProfile": {
    value: { type: "Localhost", localhostProfile: "flowspan-agent.json" },
    given: withDirectory,
    changes: [DIRECTORY],
    line: "localhostProfile: flowspan-agent.json",
  },
  "directory.enabled": {
    value: true,
    changes: [
      "ClusterRole/flowspan",
      ...pairOf("flowspan-directory"),
      ...CONFIGS,
      AGENT,
      DIRECTORY,
      "NetworkPolicy/flowspan-directory",
      "PodDisruptionBudget/flowspan-directory",
      "Service/flowspan-directory",
      "ServiceAccount/flowspan-directory",
    ],
    line: "metadata: directory",
  },
  "directory.replicas": { value: 3, given: withDirectory, changes: [DIRECTORY], line: "replicas: 3" },
  "directory.authentication": {
    value: "serviceAccount",
    given: withDirectory,
    changes: [...pairOf("flowspan-directory-identity"), "ConfigMap/flowspan-directory", AGENT, DIRECTORY],
    line: "audience: flowspan-directory",
  },
  "directory.secret": { value: "ours", given: withDirectory, changes: [DIRECTORY], line: "secretName: ours" },
  "directory.agentSecret": { value: "ours", given: withDirectory, changes: [AGENT], line: "secretName: ours" },
  "directory.config": {
    value: { log_level: "debug" },
    given: withDirectory,
    changes: ["ConfigMap/flowspan-directory", DIRECTORY],
    line: "log_level: debug",
  },
  "directory.podDisruptionBudget.enabled": {
    value: false,
    given: withDirectory,
    changes: ["PodDisruptionBudget/flowspan-directory"],
  },
  "directory.podDisruptionBudget.maxUnavailable": {
    value: 2,
    given: withDirectory,
    changes: ["PodDisruptionBudget/flowspan-directory"],
    line: "maxUnavailable: 2",
  },
  "directory.topologySpreadConstraints": {
    value: [{ maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "DoNotSchedule" }],
    given: withDirectory,
    changes: [DIRECTORY],
    line: "topologyKey: topology.kubernetes.io/zone",
  },
  "prometheusRule.enabled": { value: true, changes: ["PrometheusRule/flowspan"], line: "kind: PrometheusRule" },
  "prometheusRule.labels": {
    value: { release: "prometheus" },
    given: { prometheusRule: { enabled: true } },
    changes: ["PrometheusRule/flowspan"],
    line: "release: prometheus",
  },
  "prometheusRule.runbookBase": {
    value: "https://git.example/runbooks/",
    given: { prometheusRule: { enabled: true } },
    changes: ["PrometheusRule/flowspan"],
    line: "runbook_url: https://git.example/runbooks/listen-queue-overflow.md",
  },
  "dashboards.enabled": {
    value: true,
    changes: ["edges", "findings", "overview", "own-health", "service"].map(
      (name) => `ConfigMap/flowspan-${name}-dashboard`,
    ),
    line: 'grafana_dashboard: "1"',
  },
  "dashboards.labels": {
    value: { grafana_dashboard: "yes", team: "network" },
    given: { dashboards: { enabled: true } },
    changes: ["edges", "findings", "overview", "own-health", "service"].map(
      (name) => `ConfigMap/flowspan-${name}-dashboard`,
    ),
    line: 'grafana_dashboard: "yes"',
  },
  "dashboards.annotations": {
    value: { grafana_folder: "Network" },
    given: { dashboards: { enabled: true } },
    changes: ["edges", "findings", "overview", "own-health", "service"].map(
      (name) => `ConfigMap/flowspan-${name}-dashboard`,
    ),
    line: "grafana_folder: Network",
  },
  "uninstall.enabled": {
    value: true,
    changes: "all",
    line: "args: [--unpin, --every=5, --pins=/bpf/flowspan]",
  },
  extraObjects: {
    value: [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "{{ .Release.Name }}-more" } }],
    changes: ["ConfigMap/flowspan-more"],
    line: "name: 'flowspan-more'",
  },
};

/** What agent, probe and directory have alike. @param account the objects that name the service account */
function ofWorkload(workload: string, object: string, account: readonly string[]): Record<string, ValueCase> {
  const given = workload === "directory" ? withDirectory : {};
  const suffix = workload === "agent" ? "" : `-${workload}`;
  const changes = [object];
  const cases: Record<string, ValueCase> = {
    "serviceAccount.create": {
      value: false,
      given: {
        ...given,
        [workload]: { ...(given as Record<string, object>)[workload], serviceAccount: { name: "ours" } },
      },
      changes: ["ServiceAccount/ours"],
    },
    "serviceAccount.name": {
      value: "ours",
      given,
      changes: [...account, object, `ServiceAccount/flowspan${suffix}`, "ServiceAccount/ours"],
      line: "serviceAccountName: ours",
    },
    "serviceAccount.annotations": {
      value: { role: "arn" },
      given,
      changes: [`ServiceAccount/flowspan${suffix}`],
      line: "role: arn",
    },
    resources: { value: { limits: { memory: "1Gi" } }, given, changes, line: "memory: 1Gi" },
    updateStrategy: {
      value: { type: "OnDelete" },
      given,
      changes,
      line: "type: OnDelete",
    },
    podLabels: { value: { team: "platform" }, given, changes, line: "team: platform" },
    podAnnotations: { value: { note: "text" }, given, changes, line: "note: text" },
    nodeSelector: { value: { pool: "one" }, given, changes, line: "pool: one" },
    tolerations: { value: [{ key: "gpu" }], given, changes, line: "- key: gpu" },
    affinity: { value: { nodeAffinity: {} }, given, changes, line: "nodeAffinity: {}" },
    extraEnv: { value: [{ name: "SSL_CERT_DIR", value: "/certs" }], given, changes, line: "- name: SSL_CERT_DIR" },
    extraVolumes: { value: [{ name: "more", emptyDir: {} }], given, changes, line: "name: more" },
    extraVolumeMounts: { value: [{ name: "more", mountPath: "/more" }], given, changes, line: "- mountPath: /more" },
  };
  return Object.fromEntries(Object.entries(cases).map(([name, each]) => [`${workload}.${name}`, each]));
}

function ofImage(workload: string, object: string): Record<string, ValueCase> {
  const changes = [object];
  const digest = `sha256:${"23".repeat(32)}`;
  return {
    [`${workload}.image.repository`]: { value: "other", changes, line: "image: other:0.1.0" },
    [`${workload}.image.tag`]: { value: "9.9", changes, line: `image: flowspan-${workload}:9.9` },
    [`${workload}.image.digest`]: { value: digest, changes, line: `image: flowspan-${workload}@${digest}` },
    [`${workload}.image.pullPolicy`]: { value: "Always", changes, line: "imagePullPolicy: Always" },
  };
}

export const VALUE_CASES: Readonly<Record<string, ValueCase>> = {
  ...byItself,
  ...ofImage("agent", AGENT),
  ...ofImage("probe", PROBE),
  ...ofWorkload("agent", AGENT, ["ClusterRoleBinding/flowspan"]),
  ...ofWorkload("probe", PROBE, []),
  ...ofWorkload("directory", DIRECTORY, ["ClusterRoleBinding/flowspan-directory"]),
};
