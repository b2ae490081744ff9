/** What keeps a directory from starting: every wrong setting and file at once, each with its remedy. */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ConfigError } from "../../../agent/config/problem.ts";
import { settingsFrom } from "../../../agent/config/setting-rows.ts";
import type { Settings } from "../../../agent/config/settings.ts";
import { checkServing } from "../../../agent/runtime/directory-problems.ts";
import { certificates } from "../directory/serving.ts";

/** Place, what was found, and what to do, of every problem. */
function problems(directory: Partial<Settings["directory"]>): string[][] {
  const values = Object.entries(directory).map(([key, value]): [string, unknown] => [`directory.${key}`, value]);
  try {
    checkServing(settingsFrom(new Map(values)), "/etc/flowspan/flowspan.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ source, path, found, remedy }) => [source, path, found, remedy]);
  }
}

const FILE = "/etc/flowspan/flowspan.yaml";
const AT = "distribution.flowspan.directory";

test("with nothing set it lacks a certificate and a way to know agents", () => {
  expect(problems({})).toEqual([
    [
      ...[FILE, `${AT}.cert_file`, "nothing"],
      "set cert_file and key_file, or insecure: true inside of a mesh that brings its own TLS",
    ],
    [
      ...[FILE, `${AT}.token_file`, "neither token_file nor ca_file"],
      "set token_file, token_audience or ca_file: docs/directory.md says how to make them",
    ],
  ]);
});

test("without TLS it needs a token all the same, but for one that only its own host reaches", () => {
  const remedy = "set token_file or token_audience: docs/directory.md says how to make it";
  const refused = [[FILE, `${AT}.token_file`, "insecure: true without token_file", remedy]];

  for (const listen of [":9483", "10.0.0.1:9483", "[::]:9483"]) {
    expect(problems({ insecure: true, listen })).toEqual(refused);
  }
  for (const listen of ["127.0.0.1:9483", "[::1]:9483"]) expect(problems({ insecure: true, listen })).toEqual([]);
});

test("each file that is not there is named", () => {
  const mount = "put the file there; in a pod, mount the Secret: docs/directory.md says how to make it";

  expect(problems({ certFile: "/nowhere/a.crt", keyFile: "/nowhere/a.key", tokenFile: "/nowhere/tokens" })).toEqual([
    [FILE, `${AT}.cert_file`, "/nowhere/a.crt (ENOENT)", mount],
    [FILE, `${AT}.key_file`, "/nowhere/a.key (ENOENT)", mount],
    [FILE, `${AT}.token_file`, "/nowhere/tokens (ENOENT)", mount],
  ]);
});

test("files that are there and make no sense are refused, good ones are not", () => {
  const made = certificates();
  for (const name of ["a", "b"]) made.make(name);
  writeFileSync(made.path("none"), "\n");
  writeFileSync(made.path("tokens"), "one\n");
  const [certFile, keyFile, other, none] = ["a.pem", "a.key", "b.key", "none"].map(made.path) as [string, ...string[]];

  expect(problems({ certFile, keyFile, tokenFile: made.path("tokens") })).toEqual([]);
  expect(problems({ certFile, keyFile: other, caFile: keyFile, tokenFile: none })).toEqual([
    [
      ...[FILE, `${AT}.ca_file`],
      `directory.ca_file ${keyFile} holds a private key and no certificate`,
      "make both anew: docs/directory.md says how",
    ],
    [
      ...[FILE, `${AT}.cert_file`],
      expect.stringContaining(`${certFile} and directory.key_file ${other} cannot be used: `),
      "make both anew: docs/directory.md says how",
    ],
    [FILE, `${AT}.token_file`, `${none} holds no token`, `openssl rand -hex 32 >${none}`],
  ]);
});
