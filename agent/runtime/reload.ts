/**
 * The configuration of a running agent: reads the file again and says what came of it.
 *
 * A file that is wrong changes nothing. What needs a restart is logged once for each change and kept in the
 * status until the restart.
 */

import { applyLive, compareSettings } from "../config/change.ts";
import { type Config, type ConfigSources, loadConfig } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import type { ErrorLogger } from "../shared/logger.ts";

export class LiveConfig {
  /** In effect now. */
  settings: Settings;
  /** Loads that changed nothing because the file was wrong. */
  failedReloads = 0;
  reloads = 0;
  /** Paths whose new value waits for a restart. */
  awaitingRestart: readonly string[] = [];
  readonly file: string | undefined;
  /** Of what was set at the start: what exporters go by needs a restart. */
  readonly originOf: Config["originOf"];
  readonly #sources: ConfigSources;
  readonly #log: ErrorLogger;
  /** Those of the last load have been reported. */
  #warnings: readonly string[];
  readonly #appliers: ((settings: Settings) => void)[] = [];

  constructor(config: Config, sources: ConfigSources, log: ErrorLogger) {
    this.settings = config.settings;
    this.file = config.file;
    this.originOf = config.originOf;
    this.#warnings = config.warnings;
    this.#sources = sources;
    this.#log = log;
  }

  /** @param apply puts the live settings of one part into effect; called when one has changed */
  onChange(apply: (settings: Settings) => void): void {
    this.#appliers.push(apply);
  }

  /** For the status. */
  report(): object {
    const { file, reloads, failedReloads, awaitingRestart } = this;
    return { file: file ?? null, reloads, failedReloads, awaitingRestart };
  }

  reload(): void {
    let config: Config;
    try {
      config = loadConfig(this.#sources);
    } catch (error) {
      this.failedReloads++;
      this.#log.error(
        { file: this.file, problems: (error as Error).message.split("\n") },
        "the new configuration is wrong: the old one stays",
      );
      return;
    }
    this.reloads++;
    const wanted = config.settings;
    for (const warning of config.warnings.filter((line) => !this.#warnings.includes(line)))
      this.#log.warn({ warning: warning.split("\n") }, "about the configuration");
    this.#warnings = config.warnings;
    const { live, restart } = compareSettings(this.settings, wanted);
    this.settings = applyLive(this.settings, wanted);
    if (live.length > 0) for (const apply of this.#appliers) apply(this.settings);
    if (live.length > 0) this.#log.info({ file: this.file, fields: live }, "the new configuration is in effect");
    const fresh = restart.filter((path) => !this.awaitingRestart.includes(path));
    this.awaitingRestart = restart;
    if (fresh.length > 0)
      this.#log.warn({ file: this.file, fields: fresh }, "these fields take effect after a restart");
  }
}
