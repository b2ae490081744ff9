/**
 * Which certificates are an agent's, among all that the authority has signed.
 */
import { X509Certificate } from "node:crypto";

/** @param names DNS names, or URIs as `spiffe://cluster/ns/flowspan`; none: every certificate is let in */
export function isNamed(der: Buffer | undefined, names: readonly string[]): boolean {
  if (names.length === 0) return true;
  if (der === undefined) return false;
  const certificate = new X509Certificate(der);
  // Node quotes a value with a comma, so that it is no list of several.
  const alternatives = (certificate.subjectAltName ?? "").split(", ");
  return names.some((name) =>
    name.includes("://") ? alternatives.includes(`URI:${name}`) : certificate.checkHost(name, STRICT) !== undefined,
  );
}

/** A wildcard would be more names than were set. */
const STRICT = { subject: "default", wildcards: false } as const;
