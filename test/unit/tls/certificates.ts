/** A CA with certificates for localhost, for elsewhere and for a client, in a directory of their own. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificates extends Disposable {
  readonly directory: string;
  /** Of `ca.pem`, `server.pem`, `server.key`, `elsewhere.pem`, `client.pem`, `client.key`, `expired.pem`, … */
  path(name: string): string;
  /** For ServerCredentials.createSsl. */
  pair(name: string): { private_key: Buffer; cert_chain: Buffer };
  /** Writes a file of this content and says where. */
  file(name: string, content: string | Uint8Array): string;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const HOSTS = { server: "localhost", elsewhere: "elsewhere.example", client: "client", expired: "localhost" };

export function makeCertificates(): Certificates {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-tls-"));
  const path = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  openssl("req", "-x509", ...KEY, "-days", "2", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.pem");
  for (const [name, host] of Object.entries(HOSTS)) {
    const request = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${host}`];
    openssl("req", ...KEY, ...request, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const days = name === "expired" ? "0" : "2";
    const sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days, "-copy_extensions", "copy"];
    openssl("x509", "-req", "-in", `${name}.csr`, ...sign, "-out", `${name}.pem`);
  }
  return {
    directory,
    path,
    pair: (name) => ({ private_key: readFileSync(path(`${name}.key`)), cert_chain: readFileSync(path(`${name}.pem`)) }),
    file(name, content) {
      writeFileSync(path(name), content);
      return path(name);
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}
