import { rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { monotonicNow, setInterval } from '../../link/machine/clock.js';
import { HostLease } from '../../pool/allocation/host-lease.js';
import { type Report, reportLine } from '../../pool/host/report.js';
import type { Daemon } from '../../server/daemon.js';
import { DEFAULT_TENANT, TokenStore } from '../../server/trust/token-store.js';
import { parseTime } from '../options/units.js';

interface HostOptions {
  term: string;
  listen: string;
  adapter: string;
  lease: number;
  idle: number;
  first: number;
  tokenSha256?: string;
  park?: number;
}

/** The first letters of its folder. */
const FOLDER = 'farlight-term-';
/** How often the host looks whether it has to end, in milliseconds. */
const LOOK_MS = 200;

/** The job of a pool that is a host. People do not type it: it stands in what engines are told to run. */
export function hostCommand(): Command {
  return new Command('host')
    .description('Be the host of one term: what a pool has its engine run.')
    .requiredOption('--term <number>', 'which term of its allocation')
    .requiredOption('--listen <address>', 'grpcs://HOST:PORT, or unix:/PATH')
    .requiredOption('--lease <seconds>', 'end when no program has renewed it for so long', parseTime)
    .requiredOption('--idle <seconds>', 'end when nobody has used it for so long', parseTime)
    .requiredOption('--first <seconds>', 'end when no program comes for so long', parseTime)
    .option('--adapter <name>', 'the GPU to open', 'auto')
    .option('--token-sha256 <digits>', 'the hash of the only token that it admits')
    .option('--park <seconds>', 'let programs keep their sessions that do nothing', parseTime)
    .allowExcessArguments(false)
    .action(beHost);
}

async function beHost(options: HostOptions): Promise<void> {
  const { listen, adapter, tokenSha256 } = options;
  const term = Number(options.term);
  const say = (report: Omit<Report, 'term'>) => void writeSync(1, reportLine({ term, ...report }));
  quietGrpc();
  const { Daemon } = await import('../../server/daemon.js');
  const { makeOwnFolder, removeLeftFolders } = await import('../../server/daemon/door/left-folders.js');
  const { jsonLog } = await import('../../server/observatory/json-log.js');
  let daemon: Daemon | undefined;
  let isEnding = false;
  const end = async (why: string) => {
    if (isEnding) return;
    isEnding = true;
    await daemon?.close();
    // Last: programs take it as proof that this host serves nobody any more.
    say({ ended: why });
    process.exit();
  };
  // From the start: a host that is cancelled while it starts deletes its folder too.
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => void end('it was told to end'));
  // A key of its own for each term, which goes with the host.
  const trustFolder = await makeOwnFolder(tmpdir(), FOLDER);
  process.on('exit', () => rmSync(trustFolder, { recursive: true, force: true }));
  if (tokenSha256) new TokenStore(join(trustFolder, 'tokens')).addHash(tokenSha256);
  const ms = { lease: options.lease * 1000, idle: options.idle * 1000, first: options.first * 1000 };
  /** Begins when the host takes sessions. */
  let lease: HostLease | undefined;
  const started = await Daemon.start({
    listen,
    adapter,
    // The first executor is started at once. Most hosts of a pool have one program, which needs no other.
    spares: 0,
    trustFolder,
    // Its programs are one user's, and bring their sessions from the host before.
    ...(options.park !== undefined && {
      parking: { root: join(trustFolder, 'parked'), idleMs: 0 },
      moveFrom: DEFAULT_TENANT,
    }),
    log: jsonLog('warn'),
    lease: {
      isValid: () => !isEnding && lease?.isValid(monotonicNow()) === true,
      renew: ({ challenge, holder, release }) => {
        const now = monotonicNow();
        if (isEnding || !lease) return { challenge: 0, leaseMs: ms.lease, valid: false, sessions: 0 };
        if (challenge > 0) lease.renew(challenge, holder, now);
        if (release) lease.release(holder, now);
        const sessions = lease.holders(now);
        return { challenge: lease.challenge(now), leaseMs: ms.lease, valid: lease.isValid(now), sessions };
      },
    },
  });
  daemon = started;
  const begun = new HostLease(ms, monotonicNow());
  lease = begun;
  setInterval(() => {
    const why = begun.reasonToEnd(started.describe().sessions, monotonicNow());
    if (why !== undefined) void end(why);
  }, LOOK_MS);
  say({ ready: readyOf(started) });
  // After the start, which a program waits for. A folder that cannot be removed stays.
  await removeLeftFolders(tmpdir(), FOLDER).catch(() => {});
}

function readyOf({ url }: Daemon): NonNullable<Report['ready']> {
  if (url.startsWith('unix:')) return { socket: url.replace(/^unix:/, '').replace(/\?.*$/, '') };
  const { port, searchParams } = new URL(url.replace(/^grpcs/, 'https'));
  return { port: Number(port), pin: searchParams.get('ca') ?? '' };
}
