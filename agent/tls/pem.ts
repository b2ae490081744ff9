/**
 * What is wrong with a certificate or a key before anybody connects with it. OpenSSL takes a CA file without a
 * certificate as readily as one with, and then trusts nobody. Pure: bytes in, words out, nothing of a key in them.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The PEM certificates in a file, each by itself; whatever else stands between them is left out. */
export function certificatesIn(bytes: Uint8Array): string[] {
  return Buffer.from(bytes).toString("latin1").match(CERTIFICATE) ?? [];
}

/** Whether Node can read it. */
export function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false; // the question that was asked
  }
}

/** What stands there instead of certificates that can be trusted; undefined where all of them can be read. */
export function certificateProblem(bytes: Uint8Array): string | undefined {
  const certificates = certificatesIn(bytes);
  const unreadable = certificates.findIndex((pem) => !isCertificate(pem));
  if (unreadable >= 0) return `a certificate that cannot be read, number ${unreadable + 1} of ${certificates.length}`;
  if (certificates.length > 0) return undefined;
  if (bytes.length === 0) return "nothing: it is empty";
  if (isPrivateKey(bytes)) return "a private key and no certificate";
  return bytes[0] === 0x30 ? "no PEM; it may be DER (openssl x509 -inform der -outform pem)" : "no PEM certificate";
}

/** The same of a private key. */
export function keyProblem(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes).toString("latin1");
  if (bytes.length === 0) return "nothing: it is empty";
  if (!isPrivateKey(bytes)) return text.includes("-----BEGIN CERT") ? "a certificate and no private key" : "no PEM key";
  if (/-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text)) return "a key that a passphrase protects";
  return readKey(bytes) === undefined ? "a key that cannot be read" : undefined;
}

/** Whether the first certificate is the one that belongs to the key. Both are readable. */
export function isPair(certificate: Uint8Array, key: Uint8Array): boolean {
  const privateKey = readKey(key);
  return (
    privateKey !== undefined && new X509Certificate(certificatesIn(certificate)[0] ?? "").checkPrivateKey(privateKey)
  );
}

function isPrivateKey(bytes: Uint8Array): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(Buffer.from(bytes).toString("latin1"));
}

function readKey(bytes: Uint8Array): KeyObject | undefined {
  try {
    return createPrivateKey(Buffer.from(bytes));
  } catch {
    return undefined; // OpenSSL's words for it name no file; the caller has better ones
  }
}
