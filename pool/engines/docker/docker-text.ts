/** Writes the containers of jobs as the Docker Engine's API takes them, and reads what it says of them. */
import type { JobDescription, JobStatus } from '../engine.js';

/** The labels of a container of ours: the job's name and term, and the user who submitted it. */
export const LABELS = { name: 'farlight.job', term: 'farlight.term', user: 'farlight.user' } as const;
/** The end of the name of a container that was cancelled: Docker has no such state. */
export const CANCELLED = '.cancelled';

/** A container, as far as it is read here (`GET /containers/ID/json`). */
export interface Container {
  readonly Id: string;
  /** With a slash before it. */
  readonly Name: string;
  readonly Config: { readonly Labels: Readonly<Record<string, string>> | null };
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly Error: string;
    readonly OOMKilled: boolean;
    readonly StartedAt: string;
  };
  readonly HostConfig: { readonly Memory: number };
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> | null;
  };
}

/** The body of `POST /containers/create`. */
export function containerOf(job: JobDescription, place: { user: string; network: string }): object {
  const { name, term, command, environment, limits, folder, image, mounts = [] } = job;
  const { cpus, memory, gpus } = limits;
  return {
    Image: image,
    // In place of what the image would run.
    Entrypoint: command,
    Cmd: [],
    Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
    ...(folder !== undefined && { WorkingDir: folder }),
    Labels: { [LABELS.name]: name, [LABELS.term]: String(term), [LABELS.user]: place.user },
    HostConfig: {
      NetworkMode: place.network,
      // Docker must not run a host again: its token and key are for one term.
      RestartPolicy: { Name: 'no' },
      // A first process that passes signals on.
      Init: true,
      Mounts: [...new Set(mounts)].map((path) => ({ Type: 'bind', Source: path, Target: path })),
      ...(cpus !== undefined && { NanoCpus: cpus * 1e9 }),
      ...(memory !== undefined && { Memory: memory * MIB, MemorySwap: memory * MIB }),
      ...(gpus !== undefined && { DeviceRequests: [deviceRequest(gpus)] }),
    },
  };
}

const MIB = 1 << 20;

/** `2`, or `DRIVER:2`. */
function deviceRequest(gpus: string): object {
  const [, driver = '', count] = /^(?:(.+):)?(\d+)$/.exec(gpus) ?? [];
  // Vulkan is of the capability `graphics`, and NVIDIA's driver leaves out what is not asked for.
  return { Driver: driver, Count: Number(count), Capabilities: [['gpu', 'compute', 'graphics', 'utility']] };
}

/** `node`: this machine's name. */
export function statusOf(container: Container, node: string): JobStatus {
  const { State, Name } = container;
  switch (State.Status) {
    case 'created':
      if (Name.endsWith(CANCELLED)) return { phase: 'ended', why: WAS_CANCELLED, isCertain: true };
      if (State.Error)
        return { phase: 'ended', why: `Docker cannot start it: ${State.Error}`, isCertain: true };
      return { phase: 'queued', why: 'the job of the same name before it still runs' };
    case 'running':
    case 'paused':
    case 'restarting':
    case 'removing':
      return { phase: 'running', node, address: addressOf(container), incarnation: State.StartedAt };
    default:
      return { phase: 'ended', ...endOf(container), isCertain: true };
  }
}

const WAS_CANCELLED = 'it was cancelled';
/** Shells and Docker add a signal's number to this. */
const SIGNALLED = 128;

const KILLED = SIGNALLED + 9;

function endOf({ Name, State, HostConfig }: Container): { why: string; code?: number } {
  const { ExitCode, OOMKilled } = State;
  if (Name.endsWith(CANCELLED)) return { why: WAS_CANCELLED };
  if (OOMKilled) return { why: 'it needed more memory than its limit' };
  // Docker learns of the end and of its cause in two messages, in any order.
  if (ExitCode === KILLED && HostConfig.Memory > 0)
    return { why: 'it was killed (signal 9), perhaps since it needed more memory than its limit' };
  if (ExitCode > SIGNALLED) return { why: `it was killed (signal ${ExitCode - SIGNALLED})` };
  return { why: ExitCode === 0 ? 'it ended' : `it ended with exit code ${ExitCode}`, code: ExitCode };
}

/** A container in the machine's own network has no address of its own. */
function addressOf({ NetworkSettings }: Container): string {
  const networks = Object.values(NetworkSettings.Networks ?? {});
  return networks.find(({ IPAddress }) => IPAddress)?.IPAddress ?? '127.0.0.1';
}

const HEADER_BYTES = 8;

/** The text of a log, which comes in frames: a byte that names the stream, three of zeros, and a length. */
export function textOfLog(log: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.length; ) {
    const end = at + HEADER_BYTES + log.readUInt32BE(at + 4);
    parts.push(log.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  return Buffer.concat(parts).toString('utf8');
}
