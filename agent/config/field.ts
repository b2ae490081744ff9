/**
 * What a field of the configuration is: the words that every setting states, what it allows, and how it reads
 * a value or refuses it.
 */

/** Why a value was not taken. Words that are missing are filled in by the field. */
export interface Refusal {
  readonly refused: true;
  /** Path below the field: `[2].value`. */
  readonly below?: string;
  readonly found?: unknown;
  /** Words instead of what was found, where that must not be shown. */
  readonly foundWords?: string;
  readonly allowed?: string;
  readonly remedy?: string;
}

/** `note`: taken, but something of it is left out or guessed; worth a warning. It holds no part of a secret. */
export type Read<T> = { readonly value: T; readonly note?: string } | Refusal;

/**
 * How a scalar stands in the file, where YAML makes something else of it: `0x1f` is 31, `${NODE_NAME}` a number.
 *
 * Remedies quote this and never what became of it.
 */
export interface Written {
  /** `0x1f`, `${NODE_NAME}` */
  readonly source: string;
  /** With its variables filled in; undefined where it names none. */
  readonly filled: string | undefined;
  /** OTel's schema goes by what YAML makes of it, as number or boolean. */
  readonly isTyped: boolean;
}

/** @param below as in `Refusal`: "" for the value itself, `[2]` for an item of it */
export type WrittenAt = (below: string) => Written | undefined;

/** What every setting states, besides its kind. */
export interface Words<T> {
  readonly summary: string;
  readonly default: T;
  /** The default in words, where the value itself says too little. */
  readonly defaultText?: string;
  /** True: a changed file takes effect at once. False: the agent has to be started again. */
  readonly live: boolean;
  /** The command line flag, without dashes. */
  readonly flag?: string;
  /** Variables that set it, the first one set wins. */
  readonly env?: readonly string[];
  /** Where the OTel schema puts it in the file; else it is ours, named after its key. */
  readonly standard?: string;
  /** Its former name: a file's field of that name is read, with a warning. */
  readonly formerly?: string;
  /** True: its value is never printed. */
  readonly secret?: boolean;
}

export interface Field<T> extends Words<T> {
  readonly kind: "field";
  readonly allowed: string;
  /** The placeholder in `--help`; undefined for a flag that takes no value. */
  readonly placeholder: string | undefined;
  /** A text whose filled-in variables are text, whatever YAML would make of them. */
  readonly textual?: boolean;
  /** Without `written` the value is taken as it is. */
  fromYaml(value: unknown, written?: WrittenAt): Read<T>;
  fromText(text: string): Read<T>;
  /** Where several variables are set, what comes of all of them: the first one's value first. */
  combine?(values: readonly T[]): T;
}

export const refuse = (refusal: Omit<Refusal, "refused"> = {}): Refusal => ({ refused: true, ...refusal });

type Kind<T> = Omit<Field<T>, keyof Words<T> | "kind">;

export function field<T>(words: Words<T>, kind: Kind<T>): Field<T> {
  return { kind: "field", ...words, ...kind };
}
