import { FarlightError } from '../proto/errors.js';
import { redact } from '../proto/token.js';
import type { Transport } from './transport/transport.js';

export interface CreateOptions {
  /** The host's address as it printed it: `grpcs://TOKEN@HOST:7070?ca=PIN`, `grpc://127.0.0.1:7070` or `unix:/PATH`. */
  host?: string | undefined;
  /** The adapter of a private host: `auto`, `software`, `null`, or a name. */
  adapter?: string | undefined;
  /** 'off' sends each command as a message of its own: for debugging and for comparison. */
  batch?: 'on' | 'off' | undefined;
  /** 'off' sends everything in full, and nothing further before the host has executed what was sent. */
  reuse?: 'on' | 'off' | undefined;
  /**
   * 'auto' compresses what goes to and comes from a host across the network where the line is so slow that it
   * arrives sooner; 'on' wherever it makes it shorter. A private host and a unix socket are never compressed for.
   */
  compression?: 'auto' | 'on' | 'off' | undefined;
  /** A transport instead of a host's address, such as the testing harness gives. */
  transport?: Transport | undefined;
}

export interface ParsedOptions {
  transport: () => Promise<Transport>;
  batch: 'on' | 'off';
  reuse: 'on' | 'off';
}

const FLAGS = ['host', 'adapter', 'batch', 'reuse', 'compression'] as const;

/**
 * What npm `webgpu` takes beside `adapter`: how Dawn is to run, which is the host's matter. They change nothing here,
 * so that a program for npm `webgpu` runs with another import alone.
 */
const DAWN_FLAGS = ['backend', 'enable-dawn-features', 'disable-dawn-features', 'dlldir', 'verbose'];

/** Options of `create`, from either of their forms, completed from the environment. Throws FarlightError. */
export function parseOptions(given: CreateOptions | readonly string[]): ParsedOptions {
  const options: CreateOptions = Array.isArray(given) ? fromFlags(given) : (given as CreateOptions);
  const { transport } = options;
  const host = options.host || process.env.FARLIGHT_HOST || undefined;
  const adapter = options.adapter || process.env.FARLIGHT_ADAPTER || undefined;
  const compression = modeOf(options.compression ?? process.env.FARLIGHT_COMPRESSION);
  return {
    // Loaded when the first request needs it: a program that never asks for a GPU pays nothing.
    transport: transport
      ? () => Promise.resolve(transport)
      : async () => (await import('./transport/open.js')).openTransport(host, { adapter, compression }),
    batch: onOrOff('batch', options.batch ?? process.env.FARLIGHT_BATCH),
    reuse: onOrOff('reuse', options.reuse ?? process.env.FARLIGHT_REUSE),
  };
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

function onOrOff(name: string, value: string | undefined): 'on' | 'off' {
  if (value === undefined || value === '') return 'on';
  if (value === 'on' || value === 'off') return value;
  throw new FarlightError('BAD_OPTION', `The option ${name} is 'on' or 'off', not '${value}'.`);
}

function modeOf(value: string | undefined): 'auto' | 'on' | 'off' {
  if (value === undefined || value === '') return 'auto';
  if (value === 'auto' || value === 'on' || value === 'off') return value;
  throw new FarlightError('BAD_OPTION', `The option compression is 'auto', 'on' or 'off', not '${value}'.`);
}
