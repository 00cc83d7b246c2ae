import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RestVersion } from '#farlight/pool/engines/slurm/rest-text.js';
import { freePort } from '../machine/free-port.js';
import { killed, until } from '../machine/processes.js';
import { whyCannot } from './why-cannot.js';

/** A real Slurm needs these programs, and root, to give each node a name of its own. */
const PROGRAMS = ['slurmctld', 'slurmd', 'sbatch', 'munged', 'unshare', 'setpriv'];

/** Why there can be no Slurm on this machine; undefined where there can. */
export const whyNoSlurm: string | undefined = whyCannot(
  'a real Slurm',
  PROGRAMS,
  'slurmctld slurmd slurm-client munge',
);

/** slurmrestd, and the plugin by which it admits users by tokens. */
const RESTD = '/usr/sbin/slurmrestd';
const TOKENS = '/usr/lib/x86_64-linux-gnu/slurm-wlm/auth_jwt.so';

/** Why it cannot be asked by HTTP on this machine; undefined where it can. */
export const whyNoRest: string | undefined =
  whyNoSlurm ??
  (existsSync(RESTD) && existsSync(TOKENS)
    ? undefined
    : 'slurmrestd is not installed: apt install slurmrestd slurm-wlm-jwt-plugin');

/** The nodes with GPUs, which are powered down until a job needs them. */
const NODES = [1, 2] as const;
const CONTROLLER = '127.78.0.1';

interface SlurmSiteOptions {
  readonly mounts?: readonly [string, string] | undefined;
  readonly staysUp?: boolean;
}

/**
 * A site with a real Slurm: a controller, and nodes with GPUs that it powers up for jobs and down again. All of it is in
 * namespaces of one process, and goes with that. Until it is closed, this process has it as its Slurm (SLURM_CONF), and so
 * have the programs that this process starts.
 */
export class SlurmSite {
  readonly #folder: string;
  /** For Slurm's commands of the site itself, also where this process has another Slurm meanwhile, or none. */
  readonly #env: NodeJS.ProcessEnv;
  readonly #main: ChildProcess;
  readonly #rests: ChildProcess[] = [];

  private constructor(folder: string, main: ChildProcess) {
    this.#folder = folder;
    this.#env = { ...process.env, SLURM_CONF: join(folder, 'slurm.conf') };
    this.#main = main;
  }

  /**
   * Resolves when it takes jobs.
   *
   * @param mounts of two clients of a file system. The second node sees the second one where all others see the first.
   * @param staysUp whether nodes are powered down only after the test: to power one up again takes seconds.
   */
  static async start({ mounts, staysUp = false }: SlurmSiteOptions = {}): Promise<SlurmSite> {
    const folder = mkdtempSync(join(tmpdir(), 'site-'));
    for (const name of ['log', 'state', 'spool', 'gpu']) mkdirSync(join(folder, name), { mode: 0o755 });
    const conf = join(folder, 'slurm.conf');
    // Slurm's daemons choose a port each: the controller's, and the nodes' beside it.
    writeFileSync(
      conf,
      configuration(folder, staysUp, await freePort(), await Promise.all(NODES.map(() => freePort()))),
    );
    writeFileSync(
      join(folder, 'gres.conf'),
      `AutoDetect=off\nNodeName=gpu[1-2] Name=gpu File=${folder}/gpu/card\n`,
    );
    writeFileSync(join(folder, 'oci.conf'), containers(folder));
    // Newer ones want control groups otherwise, which a container may not have.
    if (release() >= 23) writeFileSync(join(folder, 'cgroup.conf'), 'CgroupPlugin=disabled\n');
    execFileSync('mknod', [`${folder}/gpu/card`, 'c', '1', '3']);
    for (const name of ['munge.key', 'jwt.key'])
      writeFileSync(join(folder, name), randomBytes(128), { mode: 0o400 });
    for (const [name, text] of Object.entries(scripts(folder, conf, mounts)))
      writeFileSync(join(folder, name), `#!/bin/bash\nexport SLURM_CONF=${conf}\n${text}`, { mode: 0o755 });
    const inside = ['--pid', '--fork', '--mount-proc', '--uts', '--kill-child', join(folder, 'site.sh')];
    const main = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...inside], {
      stdio: ['ignore', 'pipe', openSync(join(folder, 'log', 'all'), 'a')],
    });
    await new Promise<void>((resolve, reject) => {
      main.stdout?.setEncoding('utf8').once('data', () => resolve());
      main.once('close', () => reject(new Error(`Slurm did not start; its logs are in ${folder}/log`)));
    });
    process.env.SLURM_CONF = conf;
    return new SlurmSite(folder, main);
  }

  /**
   * Starts slurmrestd: on a socket, where it knows the user, and on a port, where it asks for a token. Resolves to their
   * addresses when it answers.
   */
  async rest(): Promise<{ socket: string; port: string; version: RestVersion }> {
    const path = join(this.#folder, 'rest.sock');
    const port = await freePort();
    this.#startRest('rest_auth/local', `unix:${path}`, {});
    // The daemon's own word for itself: the token of each request is the user's.
    this.#startRest('rest_auth/jwt', `127.0.0.1:${port}`, { SLURM_JWT: 'daemon' });
    await until(() => existsSync(path));
    while (!(await isOpen(port))) await new Promise((resolve) => setTimeout(resolve, 20));
    return { socket: `unix:${path}`, port: `http://127.0.0.1:${port}`, version: restVersion().version };
  }

  #startRest(auth: string, listen: string, more: NodeJS.ProcessEnv): void {
    const log = openSync(join(this.#folder, 'log', 'rest'), 'a');
    const program = ['--pdeathsig', 'KILL', RESTD, ...restVersion().options, '-a', auth, listen];
    // It would not run as root, as which all runs here.
    const env = { ...this.#env, SLURMRESTD_SECURITY: 'disable_user_check', ...more };
    this.#rests.push(spawn('setpriv', program, { env, stdio: ['ignore', log, log] }));
  }

  /** A token for this user, as `scontrol token` prints it. */
  token(): string {
    return this.#ask('scontrol', 'token').trim();
  }

  /** Stops the controller, and starts it again with what it had written down. */
  async restart(): Promise<void> {
    this.#ask('scontrol', 'shutdown', 'slurmctld');
    const ping = () => spawnSync('scontrol', ['ping'], { encoding: 'utf8', env: this.#env });
    do await new Promise((resolve) => setTimeout(resolve, 100));
    while (!ping().stdout.includes('UP'));
  }

  /** The states of the nodes, a line each, such as `idle~`: Slurm marks the ones that are powered down. */
  nodes(): string {
    return this.#ask('sinfo', '--noheader', '--Node', '--format', '%t');
  }

  /** All that Slurm says of its jobs. */
  describe(): string {
    return this.#ask('scontrol', '--details', 'show', 'job');
  }

  /** The script of a job, as Slurm keeps it. */
  script(id: string): string {
    return this.#ask('scontrol', 'write', 'batch_script', id, '-');
  }

  /** Makes an OCI bundle at a path, in whose containers this machine's own programs run. */
  bundle(path: string): void {
    const root = join(path, 'rootfs');
    for (const name of [...FOLDERS, 'proc', 'dev', 'tmp']) mkdirSync(join(root, name), { recursive: true });
    for (const name of LINKS) if (existsSync(`/usr/${name}`)) symlinkSync(`usr/${name}`, join(root, name));
    execFileSync('runc', ['spec'], { cwd: path });
    const file = join(path, 'config.json');
    const spec = JSON.parse(readFileSync(file, 'utf8'));
    const bind = (source: string) => ({ destination: source, type: 'none', source, options: ['rbind'] });
    const kept = spec.mounts.filter(({ type }: { type: string }) =>
      ['proc', 'tmpfs', 'devpts'].includes(type),
    );
    spec.mounts = [...kept, ...FOLDERS.map((name) => bind(`/${name}`)), bind(tmpdir())];
    spec.root.readonly = false;
    spec.linux.namespaces = [{ type: 'pid' }, { type: 'mount' }];
    delete spec.hostname;
    writeFileSync(file, JSON.stringify(spec));
  }

  /** Signals the processes of a job, as this machine's kernel does, and not Slurm. */
  signal(id: string, name: NodeJS.Signals): void {
    for (const pid of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
      try {
        const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        if (
          !variables.includes(`SLURM_JOB_ID=${id}`) ||
          !variables.includes(`SLURM_CONF=${this.#env.SLURM_CONF}`)
        )
          continue;
        process.kill(Number(pid), name);
      } catch {
        // It has ended.
      }
    }
  }

  /** Has Slurm take a node for broken: it ends what runs there. */
  fail(node: string): void {
    this.#ask('scontrol', 'update', `NodeName=${node}`, 'State=DOWN', 'Reason=broken');
  }

  #ask(command: string, ...args: string[]): string {
    return execFileSync(command, args, { encoding: 'utf8', env: this.#env });
  }

  async close(): Promise<void> {
    delete process.env.SLURM_CONF;
    for (const rest of this.#rests) await killed(rest);
    await killed(this.#main);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The first number of Slurm's version. */
function release(): number {
  const [, number] = /(\d+)\.\d+\.\d+/.exec(execFileSync('slurmd', ['-V'], { encoding: 'utf8' })) ?? [];
  return Number(number);
}

/** The version of slurmrestd's interface to ask for, and the options by which that is loaded: Debian's two Slurms share none. */
function restVersion(): { version: RestVersion; options: string[] } {
  return release() < 23
    ? { version: 'v0.0.38', options: ['-s', 'openapi/v0.0.38'] }
    : { version: 'v0.0.41', options: ['-s', 'slurmctld', '-d', 'v0.0.41'] };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
}

/** Folders of this machine that a container sees, and links into them. */
const FOLDERS = ['usr', 'etc'];
const LINKS = ['bin', 'lib', 'lib64'];

/** How Slurm has containers run. */
function containers(folder: string): string {
  const runc = `runc --root=${folder}/runc`;
  return `
RunTimeQuery="${runc} state %n.%u.%j.%s.%t"
RunTimeKill="${runc} kill -a %n.%u.%j.%s.%t"
RunTimeDelete="${runc} delete --force %n.%u.%j.%s.%t"
RunTimeRun="${runc} run %n.%u.%j.%s.%t -b %b"
`;
}

function configuration(folder: string, staysUp: boolean, port: number, ports: readonly number[]): string {
  return `
ClusterName=site
SlurmctldHost=control(${CONTROLLER})
SlurmctldPort=${port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.sock
${existsSync(TOKENS) ? `AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key=${folder}/jwt.key` : ''}
MpiDefault=none
MailProg=/bin/true
PrivateData=cloud
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=120
MessageTimeout=20
TCPTimeout=5
KillWait=5
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.%n.pid
SlurmdSpoolDir=${folder}/spool/%n
StateSaveLocation=${folder}/state
SlurmctldLogFile=${folder}/log/slurmctld
SlurmdLogFile=${folder}/log/%n
SlurmdParameters=config_overrides
TreeWidth=65533
# Powers nodes up and down, and looks every second.
SlurmctldParameters=cloud_dns,idle_on_node_suspend,power_save_interval=1,power_save_min_interval=0
ResumeProgram=${folder}/power-up.sh
SuspendProgram=${folder}/power-down.sh
PrologSlurmctld=${folder}/before-job.sh
SuspendTime=${staysUp ? 3600 : 1}
SuspendTimeout=1
ResumeTimeout=60
ResumeRate=0
SuspendRate=0
BatchStartTimeout=60
${NODES.map((n, at) => `NodeName=gpu${n} NodeAddr=127.78.0.1${n} Port=${ports[at]} CPUs=8 RealMemory=8000 Gres=gpu:1 State=CLOUD`).join('\n')}
PartitionName=gpu Nodes=gpu[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=first Nodes=gpu1 MaxTime=INFINITE State=UP
PartitionName=second Nodes=gpu2 MaxTime=INFINITE State=UP
`;
}

function scripts(folder: string, conf: string, mounts: readonly string[] = []): Record<string, string> {
  const mount = mounts.length > 0 ? `[ $node = gpu1 ] || mount --bind ${mounts[1]} ${mounts[0]}; ` : '';
  return {
    'site.sh': `
hostname control
munged --foreground --force --key-file=${folder}/munge.key --socket=${folder}/munge.sock \\
  --pid-file=${folder}/munge.pid --log-file=${folder}/log/munge --seed-file=${folder}/munge.seed &
until [ -S ${folder}/munge.sock ]; do sleep 0.02; done
(slurmctld -D -c -f ${conf}; while :; do slurmctld -D -f ${conf}; done) &
until scontrol ping 2>/dev/null | grep -q UP; do sleep 0.05; done
echo ready
wait
`,
    // -b: the node has just booted. Slurm waits for a boot of each node that it has powered up. It may want a node again
    // before that is powered down: two daemons of one node would have the same port. It ends with the daemon's start: newer
    // ones kill what this has started, unless that has a session of its own by then.
    'power-up.sh': `
runs() { kill -0 "$(cat ${folder}/slurmd.$1.pid 2>/dev/null)" 2>/dev/null; }
for node in $(scontrol show hostnames "$1"); do
  for try in $(seq 200); do runs $node || break; sleep 0.05; done
  setsid unshare --uts --mount sh -c "hostname $node; ${mount}exec slurmd -b -D -f ${conf}" </dev/null >/dev/null 2>&1 &
  for try in $(seq 200); do runs $node && break; sleep 0.05; done
done
`,
    'power-down.sh': `
for node in $(scontrol show hostnames "$1"); do
  kill "$(cat ${folder}/slurmd.$node.pid)"
done
`,
    // Slurm looks at jobs whose nodes are booting every 30 s, or when this ends.
    'before-job.sh': `
for try in $(seq 1000); do
  scontrol --oneliner show node "$SLURM_JOB_NODELIST" | grep -q ' State=' &&
    ! scontrol --oneliner show node "$SLURM_JOB_NODELIST" | grep -qE 'POWER|DOWN|NOT_RESP|UNKNOWN' && exit 0
  sleep 0.1
done
`,
  };
}
