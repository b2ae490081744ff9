/** Forms of OTEL_EXPORTER_OTLP_* that flowspan and the stock exporter for gRPC read alike. */
export const FORMS = {
  ENDPOINT: [
    ...["http://collector:4317", "https://collector:4317", "collector:4317", "collector", "https://collector"],
    ...["http://10.0.0.5:4317", "http://[fd00::5]:4317", "[fd00::5]:4317", " http://collector:4317 ", ""],
    ...["http://collector:4317/", "http://collector:4317/v1/metrics", "http://collector:4317?x=1"],
    ...["http://user:password@collector:4317", "otel_collector:4317", "collector.observability.svc:4317"],
  ],
  INSECURE: ["true", "false", "TRUE", " true ", "1", "yes", ""],
  HEADERS: [
    ...["a=1", "a=1,b=2", "A=1", "a= 1 , b = 2", "authorization=Bearer%20x", "a=%2C%3D", "a=b=c", "a=", "a=,b=2", ""],
    ...["x-api.key_1=v"],
  ],
  COMPRESSION: ["gzip", "none", " gzip ", "zstd", ""],
  TIMEOUT: ["2500", "1", " 700 ", "0", "-1", "soon", ""],
} as const;

/** Read alike alone; beside another variable they are among the differences below. */
export const TOGETHER_OTHERWISE: ReadonlySet<string> = new Set(["1", "yes", "zstd", "0", "-1", "soon", "collector"]);
