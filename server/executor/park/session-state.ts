import type { WorkCounts } from '../../../proto/session/session-counts.js';
import type { FlushAssembler } from '../../../proto/wire/flush.js';
import type { CommandRunner, RunnerCounts } from '../command-runner.js';
import type { Context } from '../handlers/context.js';
import type { Kept } from '../live/live-objects.js';
import type { MappedRange, Parkable } from '../live/parkable.js';
import type { ScopeState } from '../objects/error-scopes.js';
import type { SessionTracer, TracerCounts } from '../trace/session-tracer.js';
import type { CommandDecoder, DecoderState } from '../wire/command-decoder.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { HeldCommands } from '../wire/held-commands.js';
import type { Described } from './same-gpu.js';

/** The parts of a session that have a state. */
export interface SessionParts {
  readonly context: Context & { readonly parkable: Parkable };
  readonly runner: CommandRunner;
  readonly decoder: CommandDecoder<DecodedCommand>;
  readonly held: HeldCommands<DecodedCommand>;
  readonly assembler: FlushAssembler;
  readonly tracer: SessionTracer;
}

/** A device that the client has a handle of. */
export interface DeviceState {
  readonly id: number;
  readonly isLost: boolean;
  readonly scopes: readonly ScopeState[];
  /** Whether the latest read ahead has brought bytes. */
  readonly hasBrought: boolean;
}

/** An object that records commands and is used up. */
export interface SpentState {
  readonly id: number;
  readonly kind: string;
  readonly device: number;
}

/**
 * A session at rest, as plain values, without the contents of its resources. Commands are positions in the list of
 * `commands`. Only the same version of Farlight reads it.
 */
export interface SessionState {
  readonly version: string;
  readonly commands: readonly { shape: Uint8Array; mayShare: boolean }[];
  readonly decoder: DecoderState<number>;
  readonly objects: readonly Kept<number>[];
  readonly spent: readonly SpentState[];
  readonly devices: readonly DeviceState[];
  /** The features, limits and subgroup sizes of the client's adapters and devices, by number. */
  readonly described: ReadonlyMap<number, Described>;
  /** Buffers that are mapped for reading, and their ranges. */
  readonly mapped: readonly ({ readonly id: number } & MappedRange)[];
  readonly runner: RunnerCounts;
  readonly tracer: TracerCounts;
  readonly work: WorkCounts;
  readonly memory: { readonly used: number; readonly peak: number; readonly isWatched: boolean };
  /** The spans that the client wants to hear of. */
  readonly watched: number;
}
