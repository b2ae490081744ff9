/** What a running agent says of itself and of its probe, as doctor asks it. */

/** The last HELLO, as `/status` shows it. */
export interface ConnectedProbe {
  readonly protocol: number;
  readonly kernel: string;
  /** A bit each of `enum feature`, in decimal digits. */
  readonly features: string;
}

export interface AgentFacts {
  readonly socket: string;
  /** The answer of /readyz, or why there was none. */
  readonly ready:
    | { readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[] }
    | { readonly error: string };
  /** Of /status: the probe that it is or was connected to. */
  readonly probe?: ConnectedProbe | undefined;
}
