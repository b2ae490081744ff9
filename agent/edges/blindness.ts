/**
 * Is the agent blind: does the kernel count on while flows account for nothing of it?
 *
 * One exchange proves nothing, since both sides are not read at one instant. So it takes three exchanges in which
 * something moved, and in no net namespace flows had any of it. One in which they had some of it ends that. What one tenant
 * can bring about alone is no sign: segments without a connection (a SYN flood), connects that nobody answers.
 */

/** What one net namespace moved since the last exchange: by the kernel's own counters, and by flows. */
export interface Moved {
  readonly netns: number;
  readonly segments: { readonly kernel: number; readonly flows: number };
  /** Connections that were accepted. */
  readonly accepted: { readonly kernel: number; readonly flows: number };
}

const EXCHANGES = 3;
/** Less may lie between the moments at which the two sides are read. */
const SEGMENTS_MIN = 100;
const ACCEPTED_MIN = 20;

export class Blindness {
  /** Exchanges in a row that had nothing of what moved. */
  #blindFor = 0;
  #last = { segments: 0, accepted: 0 };

  judge(moved: readonly Moved[]): void {
    const blind = moved.filter(seesNothing);
    if (moved.some(seesSomething)) this.#blindFor = 0;
    else if (blind.length > 0) this.#blindFor++;
    if (blind.length === 0) return;
    this.#last = {
      segments: blind.reduce((sum, { segments }) => sum + segments.kernel, 0),
      accepted: blind.reduce((sum, { accepted }) => sum + accepted.kernel, 0),
    };
  }

  /** Why the agent is blind; undefined: it is not. */
  get trouble(): string | undefined {
    if (this.#blindFor < EXCHANGES) return undefined;
    const { segments, accepted } = this.#last;
    const what = `${segments} segments and ${accepted} accepted connections`;
    return `blind: in ${this.#blindFor} exchanges flows had nothing of what the kernel counted (${what} in the last)`;
  }
}

function seesNothing({ segments, accepted }: Moved): boolean {
  return (
    (segments.kernel >= SEGMENTS_MIN && segments.flows === 0) ||
    (accepted.kernel >= ACCEPTED_MIN && accepted.flows === 0)
  );
}

function seesSomething(moved: Moved): boolean {
  return !seesNothing(moved) && (moved.segments.flows > 0 || moved.accepted.flows > 0);
}
