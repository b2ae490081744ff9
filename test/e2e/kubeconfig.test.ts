/**
 * The same kubeconfigs, asked by kubectl and by us: what works there works here and what fails there fails here, and
 * servers and proxies see the same of us. kubectl is the one of the API server's own version.
 */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kubeconfigConnection } from "../../agent/kubernetes/kubeconfig-connection.ts";
import { idToken } from "../unit/kubernetes/recording-proxies.ts";
import { kubeconfig } from "./kubeconfig-changes.ts";
import { ROWS } from "./kubeconfig-rows.ts";
import { askKubectl, askUs, makeWorld } from "./kubeconfig-world.ts";

test.each(ROWS)("$what: as kubectl takes it", async ({ make }) => {
  const world = await makeWorld();
  const kubeconfig = make(world);

  const theirs = await askKubectl(world, kubeconfig);
  const ours = await askUs(world, kubeconfig);

  expect({ ...ours.verdict, words: ours.words }, theirs.words).toEqual({ ...theirs.verdict, words: ours.words });
});

test("an OpenID token that has expired is renewed as kubectl does, once for all that ask", async () => {
  const given = async () => {
    const world = await makeWorld();
    const config = {
      ...{ "client-id": "flowspan", "client-secret": "s", "idp-issuer-url": world.issuer },
      ...{
        "id-token": idToken(-3600),
        "refresh-token": "refresh-1",
        "idp-certificate-authority": world.path("ca.pem"),
      },
    };
    return { world, files: [kubeconfig(world, {}, { token: undefined, "auth-provider": { name: "oidc", config } })] };
  };
  const [theirs, ours, many] = [await given(), await given(), await given()];

  const fromThem = await askKubectl(theirs.world, theirs);
  const fromUs = await askUs(ours.world, ours);
  writeFileSync(many.world.path("config"), JSON.stringify(many.files[0]));
  const connection = kubeconfigConnection(many.world.path("config"), { env: {} });
  const six = await Promise.all(Array.from({ length: 6 }, () => connection.credentials()));
  const spent = await kubeconfigConnection(many.world.path("config"), { env: {} })
    .credentials()
    .catch((error: unknown) => error);

  expect([fromThem.words, fromUs.words]).toEqual(["", ""]);
  for (const [{ verdict }, { world }] of [
    [fromThem, theirs],
    [fromUs, ours],
  ] as const) {
    const [, claims = ""] = (verdict.secure[0]?.headers.authorization ?? "").split(".");
    expect(JSON.parse(Buffer.from(claims, "base64url").toString())).toMatchObject({ iss: world.issuer, sub: "anna" });
  }
  expect(new Set(six.map(({ options }) => JSON.stringify(options.headers))).size).toBe(1);
  // A refresh token counts once at this provider.
  const message = expect.stringMatching(
    /^auth-provider oidc of user "u" in .* cannot be renewed: .* answers status 400$/,
  );
  expect(spent).toMatchObject({ reason: "credentials", message });
});
