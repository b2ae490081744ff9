/** The last stages of deploy/Dockerfile → how an image's containers start, in the fields of an OCI image configuration. */

export interface StartSettings {
  readonly User?: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
}

/** The instructions of one stage, as pairs of name and rest. */
export function stage(dockerfile: string, name: string): (readonly [string, string])[] {
  const stages = dockerfile.replaceAll("\\\n", " ").split(/^FROM /m);
  const found = stages.find((each) => new RegExp(`^.* AS ${name}$`, "m").test(each.split("\n")[0] ?? ""));
  if (found === undefined) throw new Error(`deploy/Dockerfile has no stage ${name}`);
  return [...found.matchAll(/^([A-Z]+) (.*)$/gm)].map(([, instruction, rest]) => [
    instruction as string,
    (rest as string).trim(),
  ]);
}

/** @throws Error where a needed instruction is missing */
export function startOf(dockerfile: string, name: string): StartSettings {
  const instructions = stage(dockerfile, name);
  const last = (wanted: string) => instructions.findLast(([instruction]) => instruction === wanted)?.[1];
  const list = (wanted: string) => {
    const value = last(wanted);
    if (value === undefined) throw new Error(`stage ${name} of deploy/Dockerfile has no ${wanted}`);
    return JSON.parse(value) as string[];
  };
  const user = last("USER");
  return {
    ...(user === undefined ? {} : { User: user }),
    Env: instructions.flatMap(([instruction, rest]) => (instruction === "ENV" ? rest.split(/\s+/) : [])),
    Entrypoint: list("ENTRYPOINT"),
    Cmd: list("CMD"),
    WorkingDir: last("WORKDIR") ?? "/",
  };
}
