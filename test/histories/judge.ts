/**
 * Every byte's name against the truth: it is the right one, or `unknown` where a rule of ARCHITECTURE.md ("Names")
 * says so. Works from who had an address and from what watches told, and from nothing that the agent made of it.
 */
import { BOOT_UNIX_MS } from "../unit/naming/cluster-builders.ts";
import type { Chunk, Grown, Machine, Name } from "./machine.ts";
import { ANSWER_MS } from "./replica.ts";
import { FRONT_ADDRESS, HAND_ADDRESS, type Tenant, type World } from "./world.ts";

/** Bounds of ARCHITECTURE.md. */
const PENDING_MS = 30_000;
const HANDOVER_MS = 10_000;
const GONE_MS = 300_000;
/** Times come from a directory as ages: they are as far off as the answer was on its way. */
const AGE_ERROR_MS = 50;
const OWNERS_REMEMBERED = 7;

/** Of a tenant, what was told to the machine's agent or to its directory, and when. */
interface Fact {
  readonly tenant: Tenant;
  readonly placedMs: number;
  readonly addressMs: number;
  /** When the agent has it in its tables at the latest. */
  readonly heardMs: number;
  readonly endMs: number;
}

export interface Outage {
  readonly fromMs: number;
  toMs: number;
}

export interface Verdict {
  readonly grown: Grown;
  readonly chunk: Chunk;
  readonly why: string;
}

export class Judge {
  readonly outages: Outage[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** @returns what is wrong; undefined where nothing is */
  judge(grown: Grown, chunk: Chunk): string | undefined {
    const { told } = chunk;
    if (isRight(grown, told)) return undefined;
    const chunks = chunk.machine.namings(grown, chunk);
    if (told.kind !== "unknown") {
      return chunks.some((each) => this.#mayBeMistaken(grown, each)) ? undefined : "a wrong name";
    }
    return chunks.some((each) => this.#mayBeUnknown(grown, each)) ? undefined : "unknown without a rule";
  }

  #mayBeUnknown(grown: Grown, chunk: Chunk): boolean {
    const { machine, sinceMs, untilMs, namedMs } = chunk;
    const isService = grown.address === FRONT_ADDRESS || grown.address === HAND_ADDRESS;
    // Nothing is told at all, or this key is not answered.
    if (machine.listedMs > namedMs || this.#isAway(machine, namedMs - 1_000, namedMs)) return true;
    if (isService) return false;
    const facts = this.#factsOf(grown.address, machine);
    const own = facts.find(({ tenant }) => tenant === grown.tenant);
    const others = facts.filter(({ tenant }) => tenant.workload !== grown.tenant.workload);
    // Growth in two owners' time.
    const isShared = others.some(
      ({ placedMs, addressMs, endMs }) =>
        addressMs <= namedMs &&
        this.#heardMs(machine, endMs) > sinceMs &&
        (placedMs < untilMs || (own?.placedMs ?? 0) > placedMs - HANDOVER_MS),
    );
    // From before the agent: who had the address then may never be told.
    const isYoung = ({ tenant, placedMs }: Fact) => sinceMs < madeMs(tenant) || sinceMs < placedMs + AGE_ERROR_MS;
    const isBefore = sinceMs < machine.lastListMs + slack(machine) && facts.some(isYoung);
    // Owners of that time are forgotten.
    const isForgotten = this.#isForgotten(facts, chunk);
    // Growth after its end was told: it had the address for some moments still, or its object was made again.
    const isOver = own !== undefined && own.endMs <= sinceMs;
    // Told to end before another that shares the address had it: nobody has it after that one's end.
    const isSuperseded = facts.some(
      ({ tenant }) =>
        tenant !== grown.tenant &&
        (tenant.shares || grown.tenant.shares) &&
        this.#supersedes(tenant, grown.tenant, machine),
    );
    return isShared || isBefore || this.#isUntold(grown, chunk) || isForgotten || isOver || isSuperseded;
  }

  /** Nobody is told for 30 s: the right one only afterwards. */
  #isUntold(grown: Grown, { machine, namedMs }: Chunk): boolean {
    const facts = this.#factsOf(grown.address, machine);
    const ends = facts
      .filter(({ tenant, heardMs }) => tenant !== grown.tenant && heardMs <= namedMs)
      .map(({ endMs }) => this.#heardMs(machine, endMs) - slack(machine));
    const lastEndMs = Math.max(machine.startedMs, ...ends.filter((endMs) => endMs <= namedMs));
    const own = facts.find(({ tenant }) => tenant === grown.tenant);
    return (own?.heardMs ?? Infinity) > namedMs && namedMs - lastEndMs >= PENDING_MS;
  }

  #isForgotten(facts: readonly Fact[], { machine, sinceMs, namedMs }: Chunk): boolean {
    const all = this.#world.tenants.map((tenant) => this.#factOf(tenant, machine));
    const isGone = ({ endMs }: Fact) => endMs > sinceMs && endMs + GONE_MS <= namedMs;
    const ended = facts.filter(({ endMs }) => endMs > sinceMs && endMs <= namedMs);
    return all.some(isGone) || ended.length > OWNERS_REMEMBERED;
  }

  /** The limits that ARCHITECTURE.md states: growth that went by another name although it was not that one's. */
  #mayBeMistaken(grown: Grown, chunk: Chunk): boolean {
    const { told, untilMs, sinceMs, namedMs, machine } = chunk;
    if (grown.address === FRONT_ADDRESS || grown.address === HAND_ADDRESS) {
      return told.kind === "service" && this.#isOldName(grown, told, sinceMs, namedMs, machine);
    }
    // Where no pod is told in time, an endpoint written by hand is.
    if (told.name === "hand") return this.#isUntold(grown, chunk);
    const facts = this.#factsOf(grown.address, machine);
    const named = facts.filter(({ tenant }) => isOf(tenant, told) && tenant.fromMs <= grown.atMs);
    const own = facts.find(({ tenant }) => tenant === grown.tenant);
    // Which of two that share an address it is cannot be told before both were.
    const both = [grown.tenant, ...facts.filter(({ tenant }) => isOf(tenant, told)).map(({ tenant }) => tenant)];
    const isShared = both.some(({ shares }) => shares) && (own?.heardMs ?? Infinity) > namedMs;
    const isSuperseded =
      both.some(({ shares }) => shares) && named.some(({ tenant }) => this.#supersedes(tenant, grown.tenant, machine));
    // It ended by itself, its address was given out again, and the agent was told of its end after that exchange.
    const isUnseen = named.some(
      ({ tenant, endMs }) =>
        tenant.endedBySelf && tenant.untilMs <= grown.atMs && this.#heardMs(machine, endMs) > untilMs,
    );
    // While nothing is told, the last names count.
    const wasAway = this.#isAway(machine, grown.atMs - HANDOVER_MS, namedMs);
    const isLast = wasAway && named.some(({ endMs }) => this.#heardMs(machine, endMs) > sinceMs);
    // A pod whose address is told only after its successor was, and was named.
    const isUntold = (own?.heardMs ?? Infinity) > namedMs;
    const successors = facts.filter(({ tenant }) => isOf(tenant, told) && tenant.fromMs > grown.atMs);
    const isLate = isUntold && sinceMs >= machine.lastListMs && successors.length > 0;
    // One that ended unseen, before the last list, and whose successor was there already, without the address.
    const wasMade = ({ tenant, placedMs }: Fact) => madeMs(tenant) <= sinceMs && placedMs <= sinceMs;
    const isUnlisted = isUntold && sinceMs < machine.lastListMs && successors.some(wasMade);
    const isOutside = wasAway && told.kind === "external" && (own?.heardMs ?? Infinity) > namedMs;
    return isShared || isSuperseded || isUnseen || isLast || isLate || isUnlisted || isOutside;
  }

  /**
   * One that was told to end before the other claimed its address is taken to have had it before, also by a replica
   * whose first list had both.
   */
  #supersedes(tenant: Tenant, ending: Tenant, machine: Machine): boolean {
    return machine.watchingsOf(tenant.address).some(({ told }) => {
      const { terminatingMs = Infinity } = told.get(ending.uid) ?? {};
      return terminatingMs < Infinity && terminatingMs <= (told.get(tenant.uid)?.addressMs ?? -Infinity);
    });
  }

  /** What was behind the Service as far as it was told, all the time from before the growth until it was named. */
  #isOldName(grown: Grown, told: Name, sinceMs: number, namedMs: number, machine: Machine): boolean {
    // What was behind it before the last list is taken to be what that tells.
    if (this.#isAway(machine, sinceMs, namedMs) || sinceMs < machine.lastListMs + slack(machine)) return true;
    if (grown.address === HAND_ADDRESS) {
      // It goes by the pod that has the endpoint's address, as that is told.
      const facts = this.#factsOf(this.#world.handAddress, machine);
      return facts.some(({ tenant, endMs }) => tenant.workload === told.name && endMs + slack(machine) > sinceMs);
    }
    const slices = machine.watchings.flatMap((watching) => watching.slices).filter(({ uid }) => uid === "uid-front-1");
    const isOther = (uid: string) => this.#world.tenants.find((tenant) => tenant.uid === uid)?.workload !== told.name;
    const last = slices.findLastIndex(({ toldMs, podUids }) => toldMs <= sinceMs && podUids.length > 0);
    const at = slices.filter(({ toldMs }, i) => i === last || (toldMs > sinceMs && toldMs <= sinceMs + slack(machine)));
    const until = slices.filter(({ toldMs }) => toldMs > sinceMs && toldMs + slack(machine) <= namedMs);
    const wasBehind = at.some(({ podUids }) => podUids.some((uid) => !isOther(uid)));
    return wasBehind && !until.some(({ podUids }) => podUids.some(isOther));
  }

  #isAway(machine: Machine, fromMs: number, toMs: number): boolean {
    const outages = [...this.outages, ...machine.linkOutages];
    return outages.some((outage) => outage.fromMs <= toMs && outage.toMs + slack(machine) >= fromMs);
  }

  /** When what a directory was told reaches the agent, at the latest. */
  #heardMs(machine: Machine, toldMs: number): number {
    const cut = machine.linkOutages.find(({ fromMs, toMs }) => fromMs <= toldMs + slack(machine) && toldMs <= toMs);
    return (cut?.toMs ?? toldMs) + slack(machine);
  }

  #factsOf(address: string, machine: Machine): Fact[] {
    return this.#world.tenants
      .filter((tenant) => tenant.address === address)
      .map((tenant) => this.#factOf(tenant, machine));
  }

  #factOf(tenant: Tenant, machine: Machine): Fact {
    const told = machine.watchingsOf(tenant.address).map((watching) => {
      const each = watching.told.get(tenant.uid);
      // What a replica was told just before its end it told nobody.
      const isHeard = each !== undefined && this.#heardMs(machine, each.addressMs) <= watching.stoppedMs;
      return { watching, told: each && (isHeard ? each : { ...each, addressMs: Infinity }) };
    });
    const known = told.flatMap((each) => (each.told ? [each.told] : []));
    const last = told.findLast((each) => each.told !== undefined);
    const next = last && told[told.indexOf(last) + 1];
    // A replica that has read the cluster anew does not tell of those that have gone: they went when it answered.
    const endMs = Math.min(last?.told?.endMs ?? Infinity, next ? next.watching.listedMs + ANSWER_MS : Infinity);
    const times = (of: "placedMs" | "addressMs") => Math.min(Infinity, ...known.map((each) => each[of]));
    const addressMs = times("addressMs");
    const heardMs = this.#heardMs(machine, addressMs);
    // The last that told of it: the first list of a replica says that it was there before.
    const placedMs = Math.max(...known.map((each) => each.placedMs), known.length === 0 ? Infinity : 0);
    return { tenant, placedMs, addressMs, heardMs, endMs };
  }
}

function madeMs({ createdMs }: Tenant): number {
  return createdMs - BOOT_UNIX_MS;
}

/** How much later than its directory an agent knows. */
function slack({ way }: Machine): number {
  return way === "directory" ? ANSWER_MS : 0;
}

function isRight({ tenant, address }: Grown, told: Name): boolean {
  if (address === FRONT_ADDRESS || address === HAND_ADDRESS) {
    const own = address === FRONT_ADDRESS ? "front" : "hand";
    return told.kind === "service" && (told.name === own || told.name === tenant.workload);
  }
  return told.kind === tenant.kind && isOf(tenant, told);
}

function isOf(tenant: Tenant, { name, podName }: Name): boolean {
  return podName === undefined ? name === tenant.workload : podName === tenant.name;
}
