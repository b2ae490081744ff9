/**
 * A stand-in API server as a pod finds it: over TLS, by address and port, with a token and a CA in a directory.
 *
 * An agent outside of a cluster loads the Kubernetes client for its kubeconfig, which is a third of its memory;
 * what is budgeted is the agent in its DaemonSet.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface ServiceAccount {
  /** Holds what the kubelet mounts into a pod. */
  readonly directory: string;
  readonly port: number;
}

/** Passes requests with TLS on to the server at `url`, for as long as this process lives. */
export async function serveAsInCluster(url: string, directory: string): Promise<ServiceAccount> {
  mkdirSync(directory);
  const [key, ca] = [`${directory}.key`, join(directory, "ca.crt")];
  const certificate = ["-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", ca];
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  execFileSync("openssl", ["req", "-x509", ...fresh, ...certificate], { stdio: "pipe" });
  writeFileSync(join(directory, "token"), "token");
  const server = createServer({ key: readFileSync(key), cert: readFileSync(ca) }, (asked, answer) => {
    const passed = request(url + asked.url, { headers: asked.headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    passed.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { directory, port: (server.address() as AddressInfo).port };
}
