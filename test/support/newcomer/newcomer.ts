import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { miniatureSuite } from '../conformance-suite/miniature-suite.js';
import { outputOf } from '../hosts/farlight-command.js';
import { addressIn } from '../hosts/serve-process.js';
import { freePort } from '../machine/free-port.js';
import { until } from '../machine/processes.js';
import { REPOSITORY } from '../repository.js';
import { loseAnExecutor, MachineElsewhere, placeTools, stopped } from './newcomer-tools.js';

/** The program that the documentation calls app.mjs: it fails where the GPU does not compute. */
const APP = `
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const result = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, new Uint32Array([42]));
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, result, 0, 4);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  if (new Uint32Array(result.getMappedRange())[0] !== 42) throw new Error('the GPU does not compute');
  device.destroy();
`;

/** The variables that shorten commands of minutes: one short file of tests, and few random programs. */
const SHORTENED: readonly [RegExp, NodeJS.ProcessEnv][] = [
  [/^npm test\b/, { FARLIGHT_TESTS: 'test/wire/packet.test.ts' }],
  [/^npm run properties\b/, { FARLIGHT_PROPERTY_MOST: '4' }],
];

/** Commands that go on until the next one of them. */
const SERVES = /^(farlight (serve|infer(?! check)|pool serve)|podman run)\b/;

/** The places that a person fills in. */
const PLACEHOLDER = /\b(HOST|TOKEN|URL|NAME|FILE|FOLDER|ADDRESS|PATH|SIZE)\b(?!=)|\.\.\.(?!\/)|\b192\.0\.2\./;

/**
 * Somebody who has just cloned the repository and types what the documentation says, line by line, into one shell:
 * folders and variables last from line to line. A `farlight serve` goes on until the next one, on a free port of
 * loopback, and its address is pasted where the documentation has one; likewise `farlight infer`, a container, and a
 * tunnel of ssh's. Tools that this machine lacks, or that would need another machine, have stand-ins (stand-ins/).
 */
export class Newcomer {
  readonly #home: string;
  readonly clone: string;
  readonly #port: number;
  readonly #suite: NodeJS.ProcessEnv;
  /** The paths in the clone when it was installed. */
  #made: ReadonlySet<string> = new Set();
  #server: ChildProcess | undefined;
  #tunnel: { readonly ssh: ChildProcess; readonly machine: MachineElsewhere } | undefined;
  #address = '';
  #token = '';

  private constructor(home: string, port: number) {
    this.#home = home;
    this.clone = join(home, 'farlight');
    this.#port = port;
    this.#suite = miniatureSuite(join(home, 'suite'));
  }

  /** With the clone installed, built, and the command `farlight` there; or, where it is `bare`, with the clone alone. */
  static async arrive({ bare = false } = {}): Promise<Newcomer> {
    const newcomer = new Newcomer(mkdtempSync(join(tmpdir(), 'farlight-newcomer-')), await freePort());
    placeTools(join(newcomer.#home, 'tools'), { npm: bare });
    newcomer.#clone(bare);
    newcomer.#makeHome();
    if (!bare) await newcomer.type('npm install --global .');
    newcomer.#made = new Set(pathsIn(newcomer.clone));
    return newcomer;
  }

  /** Stops what was started, and removes everything. */
  async leave(): Promise<void> {
    try {
      await this.#stopAll();
    } finally {
      rmSync(this.#home, { recursive: true, force: true });
    }
  }

  /** Becomes another newcomer with the same installed clone, which takes seconds to make: removes all other files. */
  async startOver(): Promise<void> {
    await this.#stopAll();
    const remove = (path: string) => rmSync(path, { recursive: true, force: true });
    for (const path of pathsIn(this.clone)) if (!this.#made.has(path)) remove(path);
    for (const name of readdirSync(this.#home))
      if (!['farlight', 'global', 'tools', 'suite'].includes(name)) remove(join(this.#home, name));
    this.#address = '';
    this.#token = '';
    this.#makeHome();
  }

  /** Resolves to what the command printed. Throws where it fails. */
  async type(line: string): Promise<string> {
    const command = this.#filledIn(line);
    const [, left] = PLACEHOLDER.exec(command.replace(/\s#.*/g, '')) ?? [];
    if (left !== undefined) throw new Error(`'${command}' has a placeholder that is not filled in: ${left}`);
    if (SERVES.test(command)) return this.#serve(command);
    if (/^ssh\b/.test(command)) return this.#connect(command);
    if (/^journalctl\b/.test(command)) await this.#loseAnExecutor();
    return this.#run(command);
  }

  /** A text without what differs from host to host. */
  masked(text: string): string {
    return text
      .replace(/flt_[\w.-]+@/g, 'TOKEN@')
      .replace(/(\d+\.){3}\d+:\d+/g, 'HOST')
      .replace(/ca=[\w.-]+/g, 'ca=PIN');
  }

  /** The working tree as a clone would have it. */
  #clone(bare: boolean): void {
    const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
    });
    for (const file of listed.trim().split('\n')) {
      if (!existsSync(join(REPOSITORY, file))) continue;
      mkdirSync(dirname(join(this.clone, file)), { recursive: true });
      copyFileSync(join(REPOSITORY, file), join(this.clone, file));
    }
    if (!bare) {
      cpSync(join(REPOSITORY, 'dist'), join(this.clone, 'dist'), { recursive: true });
      symlinkSync(join(REPOSITORY, 'node_modules'), join(this.clone, 'node_modules'));
    }
    // Older than what is installed, or npm start would install anew, into the folder that the link leads to.
    utimesSync(join(this.clone, 'package-lock.json'), 0, 0);
    writeFileSync(join(this.clone, 'app.mjs'), APP);
  }

  #makeHome(): void {
    for (const folder of ['run', 'app', '.config/farlight'])
      mkdirSync(join(this.#home, folder), { recursive: true });
    chmodSync(join(this.#home, 'run'), 0o700);
    writeFileSync(join(this.#home, 'app/package.json'), '{"private":true,"type":"module"}');
    writeFileSync(join(this.#home, 'app/app.mjs'), APP);
    writeFileSync(join(this.#home, 'folder'), this.clone);
    for (const file of ['variables', 'journal']) writeFileSync(join(this.#home, file), '');
  }

  #filledIn(line: string): string {
    const here = `127.0.0.1:${this.#port}`;
    return (
      line
        .replace(/^podman run (.*)-p 7070:7070/, `podman run $1-p ${here}:7070`)
        .replace(/^(ssh .*)\bHOST\b/, `$1${MachineElsewhere.NAME}`)
        .replace(/^farlight serve(?!.*--listen)/, `farlight serve --listen ${here}`)
        // A host for other machines, which only this one reaches.
        .replace('0.0.0.0:7070', `grpcs://${here}`)
        .replace(/127\.0\.0\.1:(7070|7075|8000)/, here)
        .replace(/^farlight pool serve(?!.*--listen)/, `farlight pool serve --listen ${here}`)
        // On a software GPU each lane would compile the models for itself, for half a minute.
        .replace(
          /^farlight infer --models/,
          `farlight infer --listen ${here} --grpc off --lanes 1 --dashboard 127.0.0.1:0 --models`,
        )
        .replace(/grpcs:\/\/flt_\w+\.\.\.[^'\s]+|\bURL\b/, this.#address)
        .replace(/flt_\w+\.\.\.\w+/, this.#token)
        // Five inferences more take a software GPU minutes. The first finds the person.
        .replace(/^npm start(?=\s*(#.*)?$)/, 'npm start -- --runs 0')
    );
  }

  get #environment(): NodeJS.ProcessEnv {
    const { HOME = '', PATH = '' } = process.env;
    const environment: NodeJS.ProcessEnv = {
      ...process.env,
      ...this.#suite,
      HOME: this.#home,
      XDG_RUNTIME_DIR: join(this.#home, 'run'),
      PATH: [join(this.#home, 'global/bin'), join(this.#home, 'tools'), PATH].join(delimiter),
      FARLIGHT_STAND_IN_JOURNAL: join(this.#home, 'journal'),
      FARLIGHT_STAND_IN_ENGINE: join(this.#home, 'engine'),
      FARLIGHT_ADAPTER: 'software',
      NO_COLOR: '1',
      npm_config_prefix: join(this.#home, 'global'),
      npm_config_userconfig: process.env.npm_config_userconfig ?? join(HOME, '.npmrc'),
      npm_config_cache: process.env.npm_config_cache ?? join(HOME, '.npm'),
      npm_config_prefer_offline: 'true',
      npm_config_ignore_scripts: 'true',
    };
    for (const name of ['FARLIGHT_HOST', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'NODE_OPTIONS'])
      delete environment[name];
    // A newcomer's tests are not a part of these.
    for (const name of Object.keys(environment))
      if (/^VITEST|^(TEST|NODE_ENV|FORCE_COLOR)$/.test(name)) delete environment[name];
    return environment;
  }

  async #run(command: string): Promise<string> {
    // security.md has a person keep the address in this file.
    writeFileSync(join(this.#home, '.config/farlight/gpu-box'), this.#address);
    const script = `set -e; . "$HOME/variables"; cd "$(cat "$HOME/folder")"\n${command}\nexport -p > "$HOME/variables"; pwd > "$HOME/folder"`;
    const shortened = SHORTENED.filter(([which]) => which.test(command)).map(([, variables]) => variables);
    const env = Object.assign(this.#environment, ...shortened);
    const child = spawn('bash', ['-c', script], { env, cwd: this.#home });
    const { code, stdout, stderr } = await outputOf(child).done;
    if (code !== 0) throw new Error(`'${command}' ended with ${code}:\n${stdout}${stderr}`);
    this.#heard(stdout);
    return stdout;
  }

  /** Keeps the token, which is shown once. */
  #heard(text: string): void {
    this.#token = /flt_[\w-]{20,}/.exec(text)?.[0] ?? this.#token;
  }

  async #serve(command: string): Promise<string> {
    await this.#stop();
    const folder = readFileSync(join(this.#home, 'folder'), 'utf8').trim();
    // `exec`, so that a signal reaches the host and not a shell.
    const child = spawn('bash', ['-c', `exec ${command}`], { env: this.#environment, cwd: folder });
    const { printed } = outputOf(child);
    this.#server = child;
    // As systemd keeps it.
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => appendFileSync(join(this.#home, 'journal'), text));
    await until(() => /adapter:|infer ready|programs:/.test(printed.stdout) || child.exitCode !== null);
    const address = addressIn(printed.stdout);
    if (!address) throw new Error(`'${command}' did not become ready:\n${printed.stdout}${printed.stderr}`);
    this.#address = address;
    this.#heard(address);
    // A person types into a terminal, which shows the whole address. A container's engine has none.
    const terminal = command.startsWith('farlight serve');
    return terminal ? printed.stdout.replace(/(ready: )\S+/, `$1${address}`) : printed.stdout;
  }

  /** Opens a tunnel to a host elsewhere, and resolves to what `farlight top` shows of that host, here. */
  async #connect(command: string): Promise<string> {
    const machine = await MachineElsewhere.start({
      ...this.#environment,
      HOME: join(this.#home, 'elsewhere'),
    });
    const local = await freePort();
    const line = command.replace(/-L \d+:/, `-L ${local}:`);
    const ssh = spawn('bash', ['-c', `exec ${line}`], {
      env: { ...this.#environment, ...machine.variables },
    });
    this.#tunnel = { ssh, machine };
    const { printed } = outputOf(ssh);
    const answers = async () =>
      fetch(`http://127.0.0.1:${local}/`).then(
        ({ ok }) => ok,
        () => false,
      );
    while (!(await answers())) {
      if (ssh.exitCode !== null) throw new Error(`'${line}' ended with ${ssh.exitCode}:\n${printed.stderr}`);
    }
    const shown = await this.#run(`farlight top --json --dashboard 127.0.0.1:${local}`);
    if (JSON.parse(shown).url !== machine.url) throw new Error(`it is another host that is shown:\n${shown}`);
    return shown;
  }

  async #loseAnExecutor(): Promise<void> {
    if (!this.#server) throw new Error('no host runs whose journal could be read');
    const address = this.#address.replace(/^grpcs:\/\/(?!flt_)/, `grpcs://${this.#token}@`);
    await loseAnExecutor(this.#server, address, this.#environment);
  }

  async #stopAll(): Promise<void> {
    const tunnel = this.#tunnel;
    this.#tunnel = undefined;
    tunnel?.ssh.kill();
    await Promise.all([tunnel?.machine.stop(), this.#stop()]);
  }

  async #stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await stopped(server);
  }
}

/** The paths of all files and folders in a folder. Links are not followed. */
function pathsIn(folder: string): string[] {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true });
  return found.map(({ parentPath, name }) => join(parentPath, name));
}
