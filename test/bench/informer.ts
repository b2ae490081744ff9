/**
 * The stock client's informer of all pods, for comparison: says `synced` when it knows as many as it should.
 *
 *   node test/bench/informer.ts KUBECONFIG PODS
 */
import { CoreV1Api, KubeConfig, makeInformer } from "@kubernetes/client-node";

const [, , kubeconfig = "", pods = "0"] = process.argv;
const config = new KubeConfig();
config.loadFromFile(kubeconfig);
const api = config.makeApiClient(CoreV1Api);
const informer = makeInformer(config, "/api/v1/pods", () => api.listPodForAllNamespaces());
informer.on("error", (error) => {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
await informer.start();
const known = informer.list().length;
process.stdout.write(known >= Number(pods) ? "synced\n" : `Error: knows ${known} pods of ${pods}\n`);
setInterval(() => undefined, 60_000);
