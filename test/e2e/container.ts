/**
 * A container of deploy/manifests on this machine, by runc and without an engine: the pod's spec becomes an OCI
 * configuration as containerd makes it: users, groups, capabilities, no_new_privs, namespaces, mounts.
 *
 * Its root is this machine's /usr, read only, or an image's; volumes lie where the test says. What a kubelet or a network plugin would do
 * is left out: no network but loopback or the host's, no seccomp and AppArmor profile of the runtime.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PodContainer, PodSpec } from "./manifests.ts";

const RUNC = "/usr/sbin/runc";

interface Mount {
  readonly destination: string;
  readonly type?: string;
  readonly source: string;
  readonly options?: readonly string[];
}

export interface ContainerSetup {
  readonly spec: PodSpec;
  readonly container: PodContainer;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where each volume of the manifest lies here: a directory, or `bpf` for a bpffs of the container's own. */
  readonly volumes: Readonly<Record<string, string>>;
  /** What the image would hold, read only: by place in the container, its place here. */
  readonly files: Readonly<Record<string, string>>;
  /** The files of an image, in place of this machine's: mount points are made in it. */
  readonly root?: string;
  /** System calls that fail with EPERM, as in a runtime's seccomp profile. */
  readonly refused?: readonly string[];
  /** A whole seccomp profile, as `localhostProfile` names one. */
  readonly seccomp?: object;
  /** Uses this machine's network. */
  readonly hostNetwork?: boolean;
}

export class RunningContainer {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #id: string;
  readonly #words: string[] = [];
  readonly ended: Promise<number | null>;

  constructor(setup: ContainerSetup) {
    this.#directory = mkdtempSync(join(tmpdir(), "flowspan-container-"));
    this.#id = `flowspan-${setup.container.name}-${process.pid}-${this.#directory.slice(-6)}`;
    const root = setup.root ?? makeRoot(join(this.#directory, "root"));
    writeFileSync(join(this.#directory, "config.json"), JSON.stringify(ociConfig(setup, root, `/${this.#id}`)));
    const args = ["--root", this.#state, "run", "--bundle", this.#directory, "--pid-file", this.#pidFile, this.#id];
    this.#child = spawn(RUNC, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (chunk: Buffer) => this.#words.push(chunk.toString()));
    this.ended = once(this.#child, "close").then(([code]) => code as number | null);
  }

  get #state(): string {
    return join(this.#directory, "state");
  }

  get #pidFile(): string {
    return join(this.#directory, "pid");
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null;
  }

  /** Of its first process, in the pid namespace of this machine. */
  get pid(): number {
    return Number(readFileSync(this.#pidFile, "utf8"));
  }

  /** All that it has written. */
  words(): string {
    return this.#words.join("");
  }

  /** As `kubectl exec`: with the rights of the container. @returns its output and exit code */
  async exec(script: string): Promise<{ readonly output: string; readonly code: number }> {
    return this.execProgram(["sh", "-c", `{ ${script}; } 2>&1`]);
  }

  /** The same without a shell, which makes calls of its own. @returns what it wrote on stdout, and its exit code */
  async execProgram(argv: readonly string[]): Promise<{ readonly output: string; readonly code: number }> {
    return promisify(execFile)(RUNC, ["--root", this.#state, "exec", this.#id, ...argv]).then(
      ({ stdout }) => ({ output: stdout, code: 0 }),
      ({ stdout, code }: { stdout: string; code: number }) => ({ output: stdout, code }),
    );
  }

  async remove(): Promise<void> {
    if (!this.hasEnded) await promisify(execFile)(RUNC, ["--root", this.#state, "kill", this.#id, "KILL"]);
    await this.ended;
    rmSync(this.#directory, { recursive: true });
  }
}

/** Where /bin and the like lead: to /usr, which is mounted. */
function makeRoot(root: string): string {
  mkdirSync(root);
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    if (lstatSync(`/${name}`, { throwIfNoEntry: false })?.isSymbolicLink())
      symlinkSync(readlinkSync(`/${name}`), join(root, name));
  }
  return root;
}

function ociConfig(setup: ContainerSetup, root: string, cgroup: string): object {
  const { spec, container, argv, env = {} } = setup;
  const { runAsUser, runAsGroup = 0, allowPrivilegeEscalation, capabilities } = container.securityContext;
  const { fsGroup, supplementalGroups = [] } = spec.securityContext;
  const added = (capabilities.add ?? []).map((name) => `CAP_${name}`);
  // Only root has what was added; the bounding set holds it for everybody.
  const held = runAsUser === 0 ? added : [];
  return {
    ociVersion: "1.0.2",
    process: {
      user: {
        uid: runAsUser,
        gid: runAsGroup,
        additionalGids: [...supplementalGroups, ...(fsGroup === undefined ? [] : [fsGroup])],
      },
      args: argv,
      cwd: "/",
      env: [...Object.entries({ PATH: "/usr/bin:/usr/sbin:/bin", ...env }).map(([name, value]) => `${name}=${value}`)],
      capabilities: { bounding: added, effective: held, permitted: held },
      noNewPrivileges: !allowPrivilegeEscalation,
    },
    root: { path: root, readonly: container.securityContext.readOnlyRootFilesystem },
    mounts: [...systemMounts(setup), ...fileMounts(setup), ...volumeMounts(setup)],
    linux: {
      cgroupsPath: cgroup,
      ...(setup.seccomp === undefined ? {} : { seccomp: setup.seccomp }),
      ...(setup.refused === undefined ? {} : { seccomp: refusing(setup.refused) }),
      namespaces: [
        ...["mount", "ipc", "uts"],
        ...(spec.hostPID ? [] : ["pid"]),
        ...(setup.hostNetwork ? [] : ["network"]),
      ].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

function refusing(names: readonly string[]): object {
  const EPERM = 1;
  return { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names, action: "SCMP_ACT_ERRNO", errnoRet: EPERM }] };
}

function systemMounts({ root }: ContainerSetup): Mount[] {
  return [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
    { destination: "/sys", type: "none", source: "/sys", options: ["rbind", "ro"] },
    ...(root === undefined ? [readOnly("/usr", "/usr")] : []),
  ];
}

function fileMounts({ files }: ContainerSetup): Mount[] {
  return Object.entries(files).map(([destination, source]) => readOnly(destination, source));
}

function volumeMounts({ container, volumes }: ContainerSetup): Mount[] {
  return container.volumeMounts.flatMap(({ name, mountPath, readOnly: isReadOnly }) => {
    const source = volumes[name];
    if (source === undefined) return [];
    if (source === "bpf") return [{ destination: mountPath, type: "bpf", source: "bpf" }];
    return [isReadOnly ? readOnly(mountPath, source) : { destination: mountPath, source, options: ["rbind"] }];
  });
}

function readOnly(destination: string, source: string): Mount {
  return { destination, source, options: ["rbind", "ro"] };
}
