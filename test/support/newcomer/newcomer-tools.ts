import { type ChildProcess, type SpawnOptionsWithoutStdio, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Finished, outputOf, type Printed } from '../hosts/farlight-command.js';
import { executorsOf, until } from '../machine/processes.js';
import { CLI, REPOSITORY } from '../repository.js';

/** Tools that the documentation uses, and that this project's machines need not have. */
const STAND_INS = {
  ssh: 'ssh.mjs',
  grpcurl: 'grpcurl.mjs',
  journalctl: 'journalctl.mjs',
  jq: 'jq.mjs',
  podman: 'podman.mjs',
};
/** Those of which a real one does as well. The others would need another machine, systemd, or a registry of images. */
const REAL_DO_TOO = ['grpcurl', 'jq'];

/** Makes a folder for PATH, of which each name is a tool's. With `npm`, packages come from this repository's. */
export function placeTools(folder: string, { npm }: { npm: boolean }): void {
  mkdirSync(folder);
  const place = (name: string, file: string) =>
    symlinkSync(join(REPOSITORY, 'test/support/newcomer/stand-ins', file), join(folder, name));
  for (const [name, file] of Object.entries(STAND_INS)) {
    const found = REAL_DO_TOO.includes(name) && spawnSync(name, ['--version']).error === undefined;
    if (!found) place(name, file);
  }
  if (npm) place('npm', 'image-tools/npm');
}

/** A machine elsewhere, `gpu-box` to ssh, with a host on it that has its dashboard on port 7071 of its loopback. */
export class MachineElsewhere {
  static readonly NAME = 'gpu-box';
  readonly #host: ChildProcess;
  readonly #printed: Readonly<Printed>;

  private constructor(env: NodeJS.ProcessEnv) {
    const args = ['serve', '--listen', '127.0.0.1:0', '--dashboard', '127.0.0.1:0', '--adapter', 'null'];
    const { child, printed } = outputOf(spawn(process.execPath, [CLI, ...args], { env }));
    this.#host = child;
    this.#printed = printed;
  }

  static async start(env: NodeJS.ProcessEnv): Promise<MachineElsewhere> {
    const machine = new MachineElsewhere(env);
    await until(() => /dashboard: .*\n/.test(machine.#printed.stdout) || machine.#host.exitCode !== null);
    return machine;
  }

  /** The address of its host, as its dashboard tells it. */
  get url(): string {
    return /ready: (\S+)/.exec(this.#printed.stdout)?.[1] ?? '';
  }

  /** The variables by which the stand-in for ssh finds this machine's ports. */
  get variables(): NodeJS.ProcessEnv {
    const [, port] = /dashboard: http:\/\/127\.0\.0\.1:(\d+)/.exec(this.#printed.stdout) ?? [];
    const machine = { name: MachineElsewhere.NAME, ports: { 7071: Number(port) } };
    return { FARLIGHT_STAND_IN_MACHINE: JSON.stringify(machine) };
  }

  stop(): Promise<void> {
    return stopped(this.#host);
  }
}

/** Kills the executors of a host while a program uses one, so that a session ends with an error. */
export async function loseAnExecutor(host: ChildProcess, url: string, env: NodeJS.ProcessEnv): Promise<void> {
  // The timer keeps the program there: a promise that is awaited does not.
  const program = `
    const device = await (await navigator.gpu.requestAdapter()).requestDevice();
    const timer = setInterval(() => {}, 1000);
    console.log('ready');
    await device.lost;
    clearInterval(timer);
  `;
  const node = ['node', '--input-type=module', '-e', program];
  const running = spawn(process.execPath, [CLI, 'run', '--host', url, '--', ...node], { env });
  const { printed, done } = outputOf(running);
  await until(() => printed.stdout.includes('ready') || running.exitCode !== null);
  if (running.exitCode !== null) throw new Error(`the program did not come to the host:\n${printed.stderr}`);
  for (const pid of await executorsOf(host.pid ?? 0)) process.kill(pid, 'SIGKILL');
  await done;
}

/** Runs a program to its end, or until `signal` ends it, with these variables beside the environment's. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { env = {}, input = '', ...options }: SpawnOptionsWithoutStdio & { input?: string },
): Promise<Finished> {
  const child = spawn(command, args, { ...options, env: { ...process.env, ...env } });
  child.on('error', () => {});
  child.stdin.on('error', () => {}).end(input);
  return outputOf(child).done;
}

/** Ends a process with SIGTERM. Throws where it has not ended as if it had nothing to complain of. */
export async function stopped(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null) return;
  const ended = new Promise<[number | null, string | null]>((resolve) =>
    child.on('close', (code, signal) => resolve([code, signal])),
  );
  child.kill('SIGTERM');
  const [code] = await ended;
  if (code !== 0) throw new Error(`${child.spawnargs.join(' ')} ended with ${code}`);
}
