/** Text for the terminal: as wide as it may be, and without what would write to the terminal itself. */

export interface TableSize {
  readonly columns: number;
  /** Lines in all; undefined: every edge. */
  readonly rows: number | undefined;
  readonly colour: boolean;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must go
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

export const printable = (text: string): string => text.replace(CONTROL, "?");
export const clip = (text: string, width: number): string => (text.length > width ? text.slice(0, width) : text);
