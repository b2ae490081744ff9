/**
 * What a pod finds of its API server: a token and a CA in a directory, as the kubelet mounts them, and the server's own key.
 *
 * An agent outside of a cluster loads the Kubernetes client for its kubeconfig, which is a third of its memory;
 * what is budgeted is the agent in its DaemonSet.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface ServiceAccount {
  /** Holds `ca.crt` and `token`. */
  readonly directory: string;
  readonly token: string;
  /** The server's key is beside the directory, not in it. */
  readonly keyFile: string;
  readonly caFile: string;
}

/** Makes the directory; the certificate is for 127.0.0.1. */
export function makeServiceAccount(directory: string): ServiceAccount {
  mkdirSync(directory);
  const [keyFile, caFile, token] = [`${directory}.key`, join(directory, "ca.crt"), "token"];
  const certificate = [
    "-subj",
    "/CN=api",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
    "-keyout",
    keyFile,
    "-out",
    caFile,
  ];
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
  execFileSync("openssl", ["req", "-x509", ...fresh, ...certificate], { stdio: "pipe" });
  writeFileSync(join(directory, "token"), token);
  return { directory, token, keyFile, caFile };
}

/** Of a server that the account trusts. */
export function tlsOf({ keyFile, caFile }: ServiceAccount): { readonly key: Buffer; readonly cert: Buffer } {
  return { key: readFileSync(keyFile), cert: readFileSync(caFile) };
}
