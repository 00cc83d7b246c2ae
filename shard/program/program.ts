// A plan as work for its hosts: one ONNX model for each host and stage, with the values that the client sends before it
// and fetches after it.
import type { ConvLayout } from '../../proto/conv-layout.js';
import type { Region } from '../layout/region.js';
import type { Route } from '../plan/costs.js';

/** The work of one host in one stage. Values that lie on a host have names there. */
export interface Segment {
  readonly number: number;
  readonly host: number;
  readonly stage: number;
  /** The bytes of its ONNX model. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** The layout of tensors in which ONNX Runtime is to compute its convolutions. */
  readonly layout: ConvLayout;
  /** Values that the client sends before it. */
  readonly puts: readonly Put[];
  /** The inputs of the model: each takes the value of its name. */
  readonly inputs: readonly string[];
  /** Outputs of the model that stay on the host, each with the name of the value. */
  readonly keeps: readonly (readonly [output: string, value: string])[];
  readonly fetches: readonly { readonly output: string; readonly slot: number }[];
  /** It sends these to other hosts after its run, and receives these before it. */
  readonly sends: readonly Send[];
  readonly receives: readonly Receive[];
  /** Values that no later segment takes. */
  readonly drops: readonly string[];
}

/** An output of a segment's model that goes to the host with this number. */
export interface Send {
  readonly output: string;
  readonly to: number;
}

/** A value from the host with this number. If a length differs from run to run, the value `like` has it. */
export interface Receive {
  readonly value: string;
  readonly from: number;
  readonly type: string;
  readonly dims: readonly (number | undefined)[];
  readonly like: string;
}

/** A value that the client sends: a region of an input, or the sum of these slots, which it has fetched. */
export interface Put {
  readonly value: string;
  readonly source:
    | { readonly input: string; readonly region: Region }
    | { readonly slots: readonly number[] };
}

/** An output of the model: slots of the client, values that stay on the hosts, or an input as it came. */
export type Output =
  | { readonly boxes: readonly { readonly region: Region; readonly slots: readonly number[] }[] }
  | { readonly values: ReadonlyMap<number, string> }
  | { readonly input: string };

export interface Program {
  readonly segments: readonly Segment[];
  /** How many stages there are. In each, the segments of its hosts run at the same time. */
  readonly stages: number;
  readonly outputs: ReadonlyMap<string, Output>;
  /** The values whose inputs may be on the hosts already, each with its input. */
  readonly states: ReadonlyMap<string, string>;
  readonly route: Route;
  /** Values that the client reads at the end, where hosts talk to each other. */
  readonly reads: readonly { readonly host: number; readonly value: string; readonly slot: number }[];
  /** How many slots a run has for fetched values. */
  readonly slots: number;
}
