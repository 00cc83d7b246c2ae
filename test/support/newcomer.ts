import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { REPOSITORY, until } from './session-client.js';

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

/** What a person would fill in. */
const PLACEHOLDER = /\b(HOST|TOKEN|URL|NAME|FILE|FOLDER|ADDRESS|PATH|SIZE)\b(?!=)|\.\.\.(?!\/)|\b192\.0\.2\./;

/**
 * Somebody who has just cloned the repository and types what the documentation says, line by line, into one shell:
 * folders and variables last from line to line. A `farlight serve` goes on until the next one, on a free port of
 * loopback, and its address is pasted where the documentation has one.
 */
export class Newcomer {
  readonly #home: string;
  readonly clone: string;
  readonly #port: number;
  #server: ChildProcess | undefined;
  #address = '';

  private constructor(home: string, port: number) {
    this.#home = home;
    this.clone = join(home, 'farlight');
    this.#port = port;
  }

  static async arrive(): Promise<Newcomer> {
    const newcomer = new Newcomer(mkdtempSync(join(tmpdir(), 'farlight-newcomer-')), await freePort());
    newcomer.#clone();
    await newcomer.type('npm install --global .');
    return newcomer;
  }

  /** Stops what was started, and removes everything. */
  async leave(): Promise<void> {
    await this.#stop();
    rmSync(this.#home, { recursive: true, force: true });
  }

  /** Resolves to what the command printed. Throws where it fails. */
  async type(line: string): Promise<string> {
    const command = this.#filledIn(line);
    const [, left] = PLACEHOLDER.exec(command.replace(/\s#.*/g, '')) ?? [];
    if (left !== undefined) throw new Error(`'${command}' has a placeholder that is not filled in: ${left}`);
    return /^farlight serve\b/.test(command) ? this.#serve(command) : this.#run(command);
  }

  /** A text without what differs from host to host. */
  masked(text: string): string {
    return text
      .replace(/flt_[\w.-]+@/g, 'TOKEN@')
      .replace(/(\d+\.){3}\d+:\d+/g, 'HOST')
      .replace(/ca=[\w.-]+/g, 'ca=PIN');
  }

  /** The working tree as a clone would have it, installed and built. */
  #clone(): void {
    const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
    });
    for (const file of listed.trim().split('\n')) {
      if (!existsSync(join(REPOSITORY, file))) continue;
      mkdirSync(dirname(join(this.clone, file)), { recursive: true });
      copyFileSync(join(REPOSITORY, file), join(this.clone, file));
    }
    cpSync(join(REPOSITORY, 'dist'), join(this.clone, 'dist'), { recursive: true });
    symlinkSync(join(REPOSITORY, 'node_modules'), join(this.clone, 'node_modules'));
    // Older than what is installed, or npm start would install anew, into the folder that the link leads to.
    utimesSync(join(this.clone, 'package-lock.json'), 0, 0);
    for (const folder of ['run', 'app', '.config/farlight'])
      mkdirSync(join(this.#home, folder), { recursive: true });
    chmodSync(join(this.#home, 'run'), 0o700);
    writeFileSync(join(this.#home, 'app/package.json'), '{"private":true,"type":"module"}');
    for (const folder of [this.clone, join(this.#home, 'app')]) writeFileSync(join(folder, 'app.mjs'), APP);
    writeFileSync(join(this.#home, 'folder'), this.clone);
    writeFileSync(join(this.#home, 'variables'), '');
  }

  #filledIn(line: string): string {
    const here = `127.0.0.1:${this.#port}`;
    return (
      line
        .replace(/^farlight serve(?=\s*(#.*)?$)/, `farlight serve --listen ${here}`)
        // A host for other machines, which only this one reaches.
        .replace('0.0.0.0:7070', `grpcs://${here}`)
        .replace('127.0.0.1:7070', here)
        .replace(/grpcs:\/\/flt_\w+\.\.\.[^'\s]+|\bURL\b/, this.#address)
        // Five inferences more take a software GPU minutes.
        .replace(/^npm start(?=\s*(#.*)?$)/, 'npm start -- --runs 1')
    );
  }

  get #environment(): NodeJS.ProcessEnv {
    const { HOME = '', PATH = '' } = process.env;
    const environment: NodeJS.ProcessEnv = {
      ...process.env,
      HOME: this.#home,
      XDG_RUNTIME_DIR: join(this.#home, 'run'),
      PATH: `${join(this.#home, 'global/bin')}:${PATH}`,
      FARLIGHT_ADAPTER: 'software',
      npm_config_prefix: join(this.#home, 'global'),
      npm_config_userconfig: process.env.npm_config_userconfig ?? join(HOME, '.npmrc'),
      npm_config_cache: process.env.npm_config_cache ?? join(HOME, '.npm'),
      npm_config_prefer_offline: 'true',
      npm_config_ignore_scripts: 'true',
    };
    for (const name of ['FARLIGHT_HOST', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME', 'NODE_OPTIONS'])
      delete environment[name];
    return environment;
  }

  async #run(command: string): Promise<string> {
    // What security.md has somebody keep in a file.
    writeFileSync(join(this.#home, '.config/farlight/gpu-box'), this.#address);
    const script = `set -e; . "$HOME/variables"; cd "$(cat "$HOME/folder")"\n${command}\nexport -p > "$HOME/variables"; pwd > "$HOME/folder"`;
    const child = spawn('bash', ['-c', script], { env: this.#environment, cwd: this.#home });
    const printed = collect(child);
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code !== 0) throw new Error(`'${command}' ended with ${code}:\n${printed.stdout}${printed.stderr}`);
    return printed.stdout;
  }

  async #serve(command: string): Promise<string> {
    await this.#stop();
    const folder = readFileSync(join(this.#home, 'folder'), 'utf8').trim();
    // `exec`, so that a signal reaches the host and not a shell.
    const child = spawn('bash', ['-c', `exec ${command}`], { env: this.#environment, cwd: folder });
    const printed = collect(child);
    this.#server = child;
    await until(() => printed.stdout.includes('adapter:') || child.exitCode !== null);
    const [, address] = /ready: (\S+)/.exec(printed.stdout) ?? [];
    if (!address) throw new Error(`'${command}' did not become ready:\n${printed.stdout}${printed.stderr}`);
    this.#address = address;
    return printed.stdout;
  }

  async #stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server || server.exitCode !== null) return;
    const ended = new Promise<number | null>((resolve) => server.on('close', resolve));
    server.kill('SIGTERM');
    const code = await ended;
    if (code !== 0) throw new Error(`the host ended with ${code}`);
  }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (text) => {
      printed[name] += text;
    });
  }
  return printed;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}
