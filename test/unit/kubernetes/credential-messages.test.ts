/** Whatever is wrong with a kubeconfig and its credentials: the message says what, the remedy names the field, and neither holds a secret. */
import { chmodSync, writeFileSync } from "node:fs";
import { test } from "vitest";
import { expectSaid, type Given, type Row, SECRET, type World } from "./failing-kubeconfigs.ts";

function plugin(script: string, exec: object = {}) {
  return ({ tls }: World): Given => {
    writeFileSync(tls.path("plugin"), `#!/bin/sh\n${script}\n`);
    chmodSync(tls.path("plugin"), 0o755);
    const apiVersion = "client.authentication.k8s.io/v1";
    return { user: { exec: { apiVersion, interactiveMode: "Never", command: "./plugin", ...exec } } };
  };
}

const ROWS: readonly Row[] = [
  {
    what: "a kubeconfig that is not there",
    given: ({ tls }) => ({ path: tls.path("nowhere") }),
    reason: "credentials",
    says: ["/nowhere: there is none", "kubernetes.kubeconfig (--kubeconfig)"],
  },
  {
    what: "a kubeconfig that is a directory",
    given: ({ tls }) => ({ path: tls.path("directory") }),
    reason: "credentials",
    says: ["/directory: it is a directory", "kubernetes.kubeconfig"],
  },
  {
    what: "a kubeconfig that is no YAML, with a secret in the bad line",
    given: () => ({ text: `apiVersion: v1\nusers:\n- name: u\n  user: { token: ${SECRET}\n` }),
    reason: "credentials",
    says: ["config is no YAML", "at line 5, column 1"],
  },
  {
    what: "a token that is a number",
    given: () => ({ user: { token: 1234567890123 } }),
    reason: "credentials",
    says: ["config: users[0].user.token is a number, and must be text", "put it in quotes"],
  },
  {
    what: "a token with a line break",
    given: () => ({ user: { token: `${SECRET}\n` } }),
    reason: "credentials",
    says: ['the token of user "u" in ', "no header", "one line"],
  },
  {
    what: "a tokenFile that is a directory",
    given: () => ({ user: { tokenFile: "directory" } }),
    reason: "credentials",
    says: ["/directory: it is a directory", 'tokenFile of user "u" in '],
  },
  {
    what: "a current-context that is not there",
    given: () => ({ text: '{"current-context": "y", "contexts": [{"name": "x"}]}' }),
    reason: "credentials",
    says: ['current-context "y" is not among', 'kubectl config use-context NAME, one of: "x"'],
  },
  {
    what: "a CA without a certificate",
    given: () => ({ cluster: { "certificate-authority": "no-certificate" } }),
    reason: "credentials",
    says: ['certificate-authority of cluster "c" in ', "holds no PEM certificate", "as PEM"],
  },
  {
    what: "a certificate with another's key",
    given: () => ({ user: { "client-certificate": "client.pem", "client-key": "server.key" } }),
    reason: "credentials",
    says: ['client-certificate and client-key of user "u" in ', "do not belong together"],
  },
  {
    what: "an auth-provider of the past",
    given: () => ({ user: { "auth-provider": { name: "gcp", config: { "access-token": SECRET } } } }),
    reason: "credentials",
    says: ['auth-provider gcp of user "u" in ', "gke-gcloud-auth-plugin"],
  },
  {
    what: "oidc that cannot be renewed",
    given: () => ({
      user: {
        "auth-provider": {
          name: "oidc",
          config: {
            "id-token": `e30.${Buffer.from('{"exp":1}').toString("base64url")}.${SECRET}`,
            "refresh-token": SECRET,
          },
        },
      },
    }),
    reason: "credentials",
    says: ['auth-provider oidc of user "u" in ', "log in again"],
  },
  {
    what: "an exec plugin that is missing",
    given: plugin("", { command: "flowspan-no-such-plugin", installHint: "apt install acme-login" }),
    reason: "credentials",
    says: ['exec plugin flowspan-no-such-plugin of user "u" in ', "is not in PATH", "apt install acme-login"],
  },
  {
    what: "an exec plugin that may not be run",
    given: ({ tls }) => {
      const given = plugin("exit 0")({ tls } as World);
      chmodSync(tls.path("plugin"), 0o644);
      return given;
    },
    reason: "credentials",
    says: ["may not be run", "executable for the agent's user"],
  },
  {
    what: "an exec plugin that fails, with a secret in its last words",
    given: plugin(`echo first >&2; echo 'session of https://anna:pass@idp.test is over: ${SECRET}' >&2; exit 3`),
    reason: "credentials",
    says: [
      "failed with exit code 3: session of https://[redacted]@idp.test is over: [redacted]",
      "as the agent's user",
    ],
  },
  {
    what: "an exec plugin that prints what is no JSON",
    given: plugin(`echo 'token: [${SECRET}'`),
    reason: "credentials",
    says: ["printed no JSON", "run it by hand"],
  },
  {
    what: "an exec plugin that waits",
    given: plugin("exec sleep 30"),
    reason: "credentials",
    says: ["has not ended within 300 ms", "does it wait for input? It has none here"],
  },
  {
    what: "an exec plugin that always wants to ask a person",
    given: plugin("exit 0", { interactiveMode: "Always" }),
    reason: "credentials",
    says: ["always wants to ask a person", "set exec.interactiveMode"],
  },
];

test.each(ROWS)("$what: the message names the setting and what to do, and no secret", expectSaid);
