import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { killed } from '../machine/processes.js';
import { CLI, REPOSITORY } from '../repository.js';
import { whyCannot } from './why-cannot.js';

/** A Docker of a test's own needs these programs, and root. */
const PROGRAMS = ['dockerd', 'docker', 'containerd', 'runc', 'unshare', 'setpriv'];

/** Why there can be no Docker of a test's own on this machine; undefined where there can. */
export const whyNoDocker: string | undefined = whyCannot('a real Docker', PROGRAMS, 'docker.io');

/** The folders with this machine's programs and this process's Node, which may be another than the machine's own. */
export const OWN_PROGRAMS: readonly string[] = [
  '/usr',
  ...(process.execPath.startsWith('/usr/') ? [] : [dirname(process.execPath)]),
];

/** Folders at the root of an image in which this machine's own programs run, by a mount of /usr. */
const LINKS = ['bin', 'lib', 'lib64'];
const FOLDERS = ['usr', 'etc', 'tmp', 'proc', 'sys', 'dev', 'run'];

/**
 * A real Docker daemon of a test's own, in namespaces of one process, whose containers share this machine's network. It
 * goes with this process.
 */
export class DockerSite {
  readonly #folder: string;
  #main: ChildProcess;
  #image = '';

  private constructor(folder: string) {
    this.#folder = folder;
    this.#main = daemon(folder);
  }

  /** Resolves when it takes jobs. */
  static async start(): Promise<DockerSite> {
    const site = new DockerSite(mkdtempSync(join(tmpdir(), 'docker-')));
    await site.#ready();
    site.#image = site.#import();
    return site;
  }

  get socket(): string {
    return join(this.#folder, 'socket');
  }

  /** The image for tests, by its digest. It is empty: mount `mounts`. */
  get image(): string {
    return this.#image;
  }

  /** The mounts by which a container of that image runs programs of this machine. */
  readonly mounts = OWN_PROGRAMS;

  /** The file of a pool whose hosts are containers with this machine's Node and this repository. GPU: the image. */
  pool(more: string): string {
    const command = JSON.stringify([process.execPath, CLI]);
    const mounts = JSON.stringify([...this.mounts, '/etc', REPOSITORY]);
    const gpu = `image: "${this.image}", mounts: ${mounts}, command: ${command}`;
    return `engine: docker\ndocker: { socket: ${this.socket}, network: host }\n${more}`.replace('GPU', gpu);
  }

  /** Stops the daemon and starts it again, as its machine's administrator does. */
  async restart(): Promise<void> {
    const closed = new Promise((resolve) => this.#main.once('close', resolve));
    this.docker('ps');
    process.kill(this.#daemon(), 'SIGTERM');
    await closed;
    this.#main = daemon(this.#folder);
    await this.#ready();
  }

  /** Runs `docker ARGS` against this daemon. */
  docker(...args: string[]): string {
    return execFileSync('docker', ['-H', `unix://${this.socket}`, ...args], { encoding: 'utf8' });
  }

  async close(): Promise<void> {
    await killed(this.#main);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /** The daemon's process: the child of the one that made its namespaces. */
  #daemon(): number {
    return Number(execFileSync('pgrep', ['-P', String(this.#main.pid)], { encoding: 'utf8' }));
  }

  async #ready(): Promise<void> {
    let isOver = false;
    this.#main.once('close', () => {
      isOver = true;
    });
    while (!(await answers(this.socket))) {
      if (isOver) throw new Error(`Docker did not start; its log is ${this.#folder}/log`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #import(): string {
    const root = join(this.#folder, 'root');
    emptyRoot(root);
    const tar = join(this.#folder, 'root.tar');
    execFileSync('tar', ['-cf', tar, '-C', root, '.']);
    return this.docker('import', tar).trim();
  }
}

/** Makes the root of such an image. */
export function emptyRoot(root: string): void {
  for (const name of FOLDERS)
    mkdirSync(join(root, name), { recursive: true, mode: name === 'tmp' ? 0o1777 : 0o755 });
  for (const name of LINKS) if (existsSync(`/usr/${name}`)) symlinkSync(`usr/${name}`, join(root, name));
}

function daemon(folder: string): ChildProcess {
  // Its sockets are in /run, which is a folder of its own here.
  const script = `mount -t tmpfs tmpfs /run && exec dockerd ${[
    `--host unix://${folder}/socket`,
    `--data-root ${folder}/data --exec-root ${folder}/exec --pidfile ${folder}/pid`,
    '--bridge none --iptables=false --ip6tables=false --ip-masq=false --storage-driver vfs',
    // Nothing that is killed may wait for it.
    '--shutdown-timeout 1',
  ].join(' ')}`;
  const inside = ['--mount', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', script];
  const log = openSync(join(folder, 'log'), 'a');
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...inside], { stdio: ['ignore', log, log] });
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path: '/_ping', agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    call.on('error', () => resolve(false));
    call.end();
  });
}
