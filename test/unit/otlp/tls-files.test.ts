/** Certificates and keys that cannot be used are told with the setting that names them, and without what they hold. */
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError } from "../../../agent/config/problem.ts";
import { readTlsFiles, type TlsFiles } from "../../../agent/otlp/tls-files.ts";
import { certificatesIn } from "../../../agent/tls/pem.ts";
import { makeCertificates } from "../tls/certificates.ts";

const made = makeCertificates();
afterAll(() => made[Symbol.dispose]());
const { path, file } = made;

const NAMES = {
  caFile: { source: "environment", path: "OTEL_EXPORTER_OTLP_CERTIFICATE" },
  certFile: { source: "environment", path: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" },
  keyFile: { source: "environment", path: "OTEL_EXPORTER_OTLP_CLIENT_KEY" },
};

function problemsOf(files: TlsFiles): string[] {
  try {
    readTlsFiles(files, NAMES);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, found }) => `${path}: ${found}`.replaceAll(made.directory, "DIR"));
  }
}

test("good files are taken as they are", () => {
  const contents = readTlsFiles(
    { caFile: path("ca.pem"), certFile: path("client.pem"), keyFile: path("client.key") },
    NAMES,
  );

  expect(contents).toEqual({
    ca: readFileSync(path("ca.pem")),
    cert: readFileSync(path("client.pem")),
    key: readFileSync(path("client.key")),
  });
});

describe("a file that cannot be used is told with its setting", () => {
  const CA = "OTEL_EXPORTER_OTLP_CERTIFICATE";
  const CERT = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
  const KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
  const half = certificatesIn(readFileSync(path("ca.pem")))[0]?.replace(/[a-z]/g, "A") ?? "";
  const der = execFileSync("openssl", ["x509", "-in", path("ca.pem"), "-outform", "der"]);
  const locked = execFileSync("openssl", ["pkey", "-in", path("client.key"), "-aes128", "-passout", "pass:xyz"]);

  const cases: [name: string, files: TlsFiles, problems: string[]][] = [
    ["no file", { caFile: "/nowhere/ca.pem" }, [`${CA}: /nowhere/ca.pem: ENOENT`]],
    ["a directory", { caFile: made.directory }, [`${CA}: DIR: EISDIR`]],
    ["an empty file", { caFile: file("empty", "") }, [`${CA}: DIR/empty: nothing: it is empty`]],
    ["text", { caFile: file("text", "SECRETtext") }, [`${CA}: DIR/text: no PEM certificate`]],
    [
      "DER",
      { caFile: file("der", der) },
      [`${CA}: DIR/der: no PEM; it may be DER (openssl x509 -inform der -outform pem)`],
    ],
    ["a key", { caFile: path("ca.key") }, [`${CA}: DIR/ca.key: a private key and no certificate`]],
    [
      "one broken certificate among good ones",
      { caFile: file("two", readFileSync(path("ca.pem"), "utf8") + half) },
      [`${CA}: DIR/two: a certificate that cannot be read, number 2 of 2`],
    ],
    [
      "certificate and key the wrong way round",
      { certFile: path("client.key"), keyFile: path("client.pem") },
      [
        `${CERT}: DIR/client.key: a private key and no certificate`,
        `${KEY}: DIR/client.pem: a certificate and no private key`,
      ],
    ],
    [
      "a key with a passphrase",
      { certFile: path("client.pem"), keyFile: file("locked", locked) },
      [`${KEY}: DIR/locked: a key that a passphrase protects`],
    ],
    [
      "the key of another certificate",
      { certFile: path("client.pem"), keyFile: path("server.key") },
      [`${KEY}: DIR/server.key: the key of another certificate than DIR/client.pem`],
    ],
  ];

  test.each(cases)("%s", (_, files, problems) => {
    expect(problemsOf(files)).toEqual(problems);
  });

  test.skipIf(process.getuid?.() === 0)("one that this user may not read", () => {
    chmodSync(file("closed", "x"), 0);

    expect(problemsOf({ caFile: path("closed") })).toEqual([`${CA}: DIR/closed: EACCES`]);
  });
});
