/** What parts need of the agent's log (log.ts): the facts first, then a sentence that says no more than them. */
export interface Logger {
  info(fields: object, message: string): void;
  /** Something is wrong that a person should know of. */
  warn(fields: object, message: string): void;
}

/** For parts that may fail for good. */
export interface ErrorLogger extends Logger {
  /** It will not mend by itself. */
  error(fields: object, message: string): void;
}
