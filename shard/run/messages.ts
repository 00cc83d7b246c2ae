import type { ConvLayout } from '../../proto/conv-layout.js';
import type { Receive, Send } from '../program/program.js';
import type { Values } from './values.js';

/** The data that a host's worker is started with. */
export interface WorkerStart {
  readonly host: string;
  /** How long a host may take for one stage, in milliseconds. */
  readonly timeout: number;
}

/** A request of the client to a host's worker. The worker answers one after the other. */
export type Request =
  | {
      readonly ask: 'load';
      readonly segment: number;
      readonly model: Uint8Array<ArrayBuffer>;
      readonly layout: ConvLayout;
    }
  /** Waits until all is loaded. `weights`, the bytes of the host's weights, is for the error. */
  | { readonly ask: 'loaded'; readonly weights: number }
  /** Reserves so many bytes on the host for its part. `weights`, a part of them, is for the error. */
  | { readonly ask: 'reserve'; readonly bytes: number; readonly weights: number }
  /** Makes a line that the host with this number may join. The answer has a ticket. */
  | { readonly ask: 'accept'; readonly peer: number }
  /** Joins the line of the host with this number and address. */
  | { readonly ask: 'connect'; readonly peer: number; readonly host: string; readonly ticket: string }
  | {
      readonly ask: 'run';
      readonly segment: number;
      /** Values that are laid on the host first, by name. */
      readonly puts: readonly (readonly [value: string, values: Values])[];
      /** Values that other hosts send before it. */
      readonly receives: readonly Receive[];
      /** Inputs of the segment's model, each with the value that it takes. */
      readonly inputs: readonly (readonly [input: string, value: string])[];
      readonly keeps: readonly (readonly [output: string, value: string])[];
      /** Outputs that come back, in this order. One may come twice. */
      readonly fetches: readonly string[];
      /** Outputs that go to other hosts, in this order. */
      readonly sends: readonly Send[];
      /** Values that are dropped afterwards. */
      readonly drops: readonly string[];
    }
  /** Waits until the host has done all earlier requests. Values come back in this order, and are dropped. */
  | { readonly ask: 'read'; readonly values: readonly string[] }
  | { readonly ask: 'drop'; readonly values: readonly string[] }
  | { readonly ask: 'close' };

export interface Done {
  readonly fetched: readonly Values[];
  /** Bytes that went to other hosts, in the order of `sends`. */
  readonly sent?: readonly number[];
  readonly ticket?: string;
  /** The lengths of the values that stay on the host, in the order of `keeps`. */
  readonly kept: readonly { readonly type: string; readonly dims: readonly number[] }[];
}

/** A message of a worker: a request is done or has failed, or its GPU is gone. */
export type Reply =
  | { readonly id: number; readonly done: Done }
  | { readonly id: number; readonly failed: string }
  | { readonly lost: string };

/** A host as the client has it. It answers requests in their order. */
export interface Host {
  ask(request: Request): Promise<Done>;
  /** Ends the session on the host. It resolves after some seconds at the latest. */
  close(): Promise<void>;
  /** Resolves with an Error once the host is lost. It stays pending if the host is closed before. */
  readonly lost: Promise<Error>;
}
