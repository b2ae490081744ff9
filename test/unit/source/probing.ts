/** A client of a fake probe, and what it has logged; both end with the test. */
import { onTestFinished } from "vitest";
import { ProbeClient } from "../../../agent/source/probe-client.ts";
import type { ProbeOptions } from "../../../agent/source/probe-options.ts";
import { FakeProbe } from "./fake-probe.ts";

/** Long enough for a busy machine; only the tests of silence wait for a time of their own. */
const PATIENT_MS = 10_000;
export const SHORT_MS = 700;

export interface Probing {
  readonly probe: FakeProbe;
  readonly client: ProbeClient;
  /** `LEVEL: MESSAGE` */
  readonly logged: string[];
}

export interface ProbingOptions extends Partial<ProbeOptions> {
  /** False: nobody listens yet. */
  readonly isThere?: boolean;
}

export async function startProbing({ isThere = true, ...options }: ProbingOptions = {}): Promise<Probing> {
  const probe = new FakeProbe();
  if (isThere) await probe.listen();
  const logged: string[] = [];
  const client = new ProbeClient({
    path: probe.path,
    log: {
      info: (_, message) => logged.push(`info: ${message}`),
      warn: (_, message) => logged.push(`warn: ${message}`),
    },
    answerTimeoutMs: PATIENT_MS,
    backoffMs: 1,
    backoffMaxMs: 20,
    ...options,
  });
  onTestFinished(async () => {
    await client.close();
    await probe.close();
  });
  return { probe, client, logged };
}

/** Ports tell edges apart; bytes say which exchange a row is from. */
export function edge(serverPort: number, bytesSent: number) {
  return { key: { serverPort }, counters: { bytesSent } };
}
