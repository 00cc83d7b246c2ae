import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killed } from '../machine/processes.js';
import { whyCannot } from './why-cannot.js';

/** A real MooseFS needs these programs, FUSE, and root, to mount it. */
const PROGRAMS = ['mfsmaster', 'mfschunkserver', 'mfsmount', 'mfssetgoal', 'nsenter', 'setpriv', 'ip'];

/** Why there can be no MooseFS on this machine; undefined where there can. */
export const whyNoMooseFs: string | undefined = !existsSync('/dev/fuse')
  ? 'this machine has no /dev/fuse'
  : whyCannot('a real MooseFS', PROGRAMS, 'moosefs-master moosefs-chunkserver moosefs-client iproute2');

/** The only address of the file system's network. It refuses loopback's. */
const ADDRESS = '10.97.0.1';
const SERVERS = [1, 2] as const;

/**
 * A real MooseFS: a master, two servers that each keep a copy of every file, and two clients, each with a mount of its own.
 * The daemons are in namespaces of one process, and go with that.
 */
export class MooseFsSite {
  /** The mounts of the two clients. */
  readonly mounts: readonly [string, string];
  readonly #folder: string;
  readonly #network: ChildProcess;
  readonly #clients: ChildProcess[];

  private constructor(folder: string, network: ChildProcess, clients: ChildProcess[]) {
    this.#folder = folder;
    this.#network = network;
    this.#clients = clients;
    this.mounts = [join(folder, 'mount1'), join(folder, 'mount2')];
  }

  /** Resolves when a file that one client writes is there for the other. */
  static async start(): Promise<MooseFsSite> {
    const folder = mkdtempSync(join(tmpdir(), 'moosefs-'));
    for (const name of ['master', 'server1', 'server2', 'disk1', 'disk2', 'mount1', 'mount2'])
      mkdirSync(join(folder, name));
    for (const [name, text] of Object.entries(configurations(folder)))
      writeFileSync(join(folder, name), text, { mode: 0o755 });
    const log = openSync(join(folder, 'log'), 'a');
    const inside = ['--net', '--pid', '--fork', '--mount-proc', '--kill-child', join(folder, 'network.sh')];
    const network = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...inside], {
      stdio: ['pipe', 'pipe', log],
    });
    const pid = await new Promise<number>((resolve, reject) => {
      network.stdout?.setEncoding('utf8').once('data', () => resolve(childOf(network.pid ?? 0)));
      network.once('close', () => reject(new Error(`MooseFS did not start; its log is ${folder}/log`)));
    });
    const there = ['--pdeathsig', 'KILL', 'nsenter', `--net=/proc/${pid}/ns/net`];
    const clients = SERVERS.map((n) => {
      const mount = ['mfsmount', '-f', join(folder, `mount${n}`), '-H', ADDRESS];
      return spawn('setpriv', [...there, ...mount], { stdio: ['ignore', log, log] });
    });
    const site = new MooseFsSite(folder, network, clients);
    await site.#until(() =>
      site.mounts.every((mount) => readFileSync('/proc/mounts', 'utf8').includes(mount)),
    );
    execFileSync('setpriv', [...there, 'mfssetgoal', '-r', '2', site.mounts[0]], { stdio: 'ignore' });
    await site.#until(() => {
      writeFileSync(join(site.mounts[0], 'first'), 'there');
      return readFileSync(join(site.mounts[1], 'first'), 'utf8') === 'there';
    });
    return site;
  }

  /** Kills one of the two servers, with its copy of each file. */
  loseServer(): void {
    this.#network.stdin?.write('lose one\n');
  }

  async #until(isSo: () => boolean): Promise<void> {
    for (let tries = 0; tries < 200; tries += 1) {
      try {
        if (isSo()) return;
      } catch {
        // Not yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`MooseFS takes no files; its log is ${this.#folder}/log`);
  }

  async close(): Promise<void> {
    for (const mount of this.mounts) execFileSync('umount', ['--lazy', mount]);
    for (const child of [...this.#clients, this.#network]) await killed(child);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The first process in the namespaces of `unshare --fork`. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

function configurations(folder: string): Record<string, string> {
  const server = (n: number) => `
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = ${folder}/server${n}
HDD_CONF_FILENAME = ${folder}/server${n}.disks
MASTER_HOST = ${ADDRESS}
MASTER_RECONNECTION_DELAY = 1
CSSERV_LISTEN_PORT = ${9500 + n}
HDD_LEAVE_SPACE_DEFAULT = 64MiB
`;
  return {
    'master.conf': `
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = ${folder}/master
EXPORTS_FILENAME = ${folder}/exports
TOPOLOGY_FILENAME = ${folder}/topology
REPLICATIONS_DELAY_INIT = 5
`,
    exports: '* / rw,alldirs,admin,maproot=0:0\n',
    topology: '',
    'master/metadata.mfs': 'MFSM NEW',
    ...Object.fromEntries(SERVERS.map((n) => [`server${n}.conf`, server(n)])),
    ...Object.fromEntries(SERVERS.map((n) => [`server${n}.disks`, `${folder}/disk${n}\n`])),
    'network.sh': `#!/bin/bash
ip link set lo up
ip address add ${ADDRESS}/32 dev lo
mfsmaster -c ${folder}/master.conf -f start >&2 &
for n in ${SERVERS.join(' ')}; do
  mfschunkserver -c ${folder}/server$n.conf -f start >&2 &
done
until (exec 3<>/dev/tcp/${ADDRESS}/9421) 2>/dev/null; do sleep 0.05; done
echo ready
# A line on stdin: the server that was started last is lost.
read && kill -KILL $!
wait
`,
  };
}
