import { native } from '../link/machine/globals.js';
import { FarlightError } from '../proto/errors.js';
import type { AdapterDescription } from '../proto/session/handshake.js';
import { noSuchAdapter } from '../proto/session/listed-adapters.js';
import { redact } from '../proto/token.js';
import { autoOnOrOff, onOrOff, type SessionSwitches } from './session-switches.js';
import type { Transport } from './transport/transport.js';

export interface CreateOptions extends SessionSwitches {
  /**
   * The host's address, as the host printed it: `grpcs://TOKEN@HOST:7070?ca=PIN`, `grpc://127.0.0.1:7070` or
   * `unix:/PATH`. Or a pool, whose host is started with the first request: `pool://NAME` or `pool:FILE`.
   */
  host?: string | undefined;
  /**
   * Which GPU of this machine: `auto`, `software`, `null`, or a part of a name. A host has one GPU: there
   * this says which one it must be, and without it no adapter is given.
   */
  adapter?: string | undefined;
  /**
   * 'auto' compresses frames between the program and a host across the network where the line is so slow that
   * they arrive sooner. 'on' compresses them wherever it makes them shorter. Nothing is compressed for a
   * private host or a unix socket.
   */
  compression?: 'auto' | 'on' | 'off' | undefined;
  /** Writes a trace of the session to this file, which Perfetto (https://ui.perfetto.dev) opens. */
  trace?: string | undefined;
  /** Records the session to this file, which `farlight replay` runs again. */
  record?: string | undefined;
  /** A transport instead of a host's address, for example from `farlight/testing`. */
  transport?: Transport | undefined;
}

export interface ParsedOptions {
  /** Given up where the session ends before. */
  transport: (signal: AbortSignal) => Promise<Transport>;
  grouping: 'on' | 'off';
  reuse: 'on' | 'off';
  ahead: 'auto' | 'on' | 'off';
  /** Which GPU the host must have, if the program chose one. Undefined: any will do. */
  wanted: string | undefined;
  trace: FileOption | undefined;
  record: FileOption | undefined;
  /** Whether to show progress on the user's terminal. */
  progress: boolean;
}

/** A file to write. `shared`: every program of a run was asked for the same file. */
export interface FileOption {
  path: string;
  shared: boolean;
}

const FLAGS = ['host', 'adapter', 'grouping', 'reuse', 'ahead', 'compression', 'trace', 'record'] as const;

/**
 * Flags of npm `webgpu` beside `adapter`. They tell how to run Dawn, which the host decides here. They change
 * nothing, so that a program for npm `webgpu` needs to change only its import.
 */
const DAWN_FLAGS = ['backend', 'enable-dawn-features', 'disable-dawn-features', 'dlldir', 'verbose'];

/** Completes the options of `create`, in either form, from the environment. Throws FarlightError. */
export function parseOptions(given: CreateOptions | readonly string[]): ParsedOptions {
  const options: CreateOptions = Array.isArray(given) ? fromFlags(given) : (given as CreateOptions);
  const { transport } = options;
  const host = options.host || process.env.FARLIGHT_HOST || undefined;
  const adapter = options.adapter || process.env.FARLIGHT_ADAPTER || undefined;
  const compression = autoOnOrOff('compression', options.compression ?? process.env.FARLIGHT_COMPRESSION);
  const trace = fileOf(options.trace, process.env.FARLIGHT_TRACE);
  const record = fileOf(options.record, process.env.FARLIGHT_RECORD);
  if (trace && record) {
    throw new FarlightError(
      'BAD_OPTION',
      'A session can be traced or recorded, not both: a trace adds commands of its own. Leave out trace or record.',
    );
  }
  return {
    // Loaded with the first request: a program that never asks for a GPU pays nothing.
    transport: transport
      ? () => native.Promise.resolve(transport)
      : async (signal) => {
          const { findTransport } = await import('./transport/open.js');
          return findTransport(host, { adapter, compression, signal });
        },
    grouping: onOrOff('grouping', options.grouping ?? process.env.FARLIGHT_GROUPING),
    reuse: onOrOff('reuse', options.reuse ?? process.env.FARLIGHT_REUSE),
    ahead: autoOnOrOff('ahead', options.ahead ?? process.env.FARLIGHT_AHEAD),
    // FARLIGHT_ADAPTER chooses for private hosts only.
    wanted: host || transport ? options.adapter || undefined : undefined,
    trace,
    record,
    progress: Boolean(process.env.FARLIGHT_PROGRESS) && process.stderr.isTTY === true,
  };
}

function fileOf(given: string | undefined, environment: string | undefined): FileOption | undefined {
  if (given) return { path: given, shared: false };
  return environment ? { path: environment, shared: true } : undefined;
}

function fromFlags(flags: readonly string[]): CreateOptions {
  const options: Record<string, string> = {};
  for (const flag of flags) {
    const [name = '', ...value] = String(flag).split('=');
    if (DAWN_FLAGS.includes(name)) continue;
    if (!FLAGS.includes(name as never)) {
      throw new FarlightError(
        'BAD_OPTION',
        `Farlight does not know the flag '${redact(String(flag))}'; it knows ${FLAGS.map((each) => `${each}=...`).join(', ')}.`,
      );
    }
    options[name] = value.join('=');
  }
  return options;
}

/**
 * Tells why the GPU of a host is not the one that a program asks for, or undefined if it is. A private host
 * opens the GPU that is asked for; any other host has one GPU, which its owner chose.
 */
export function refusalOf(wanted: string, { name, software }: AdapterDescription): FarlightError | undefined {
  // The null adapter, which executes nothing, says that it is software, too.
  if (wanted === 'auto' || (wanted === 'software' && software && name !== 'null')) return undefined;
  if (name.toLowerCase().includes(wanted.toLowerCase())) return undefined;
  return noSuchAdapter(
    `the host has no GPU called "${wanted}"; leave the adapter out, or name one that the host has`,
    [{ backend: 'farlight', name }],
  );
}
