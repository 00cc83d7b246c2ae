import type { Tensor } from '../../infer/service/tensor.js';

/**
 * A version of an application with all that it needs to run: its functions are copies, its models have a version. It is
 * stored in checkpoints, so a restart runs what was committed, whatever became of the files.
 */
export interface Definition {
  readonly name: string;
  /** The hash of the rest. */
  readonly id: string;
  readonly sources: Readonly<Record<string, SourceDefinition>>;
  /** Each comes after the steps whose outputs it takes. */
  readonly steps: readonly StepDefinition[];
  readonly sinks: Readonly<Record<string, SinkDefinition>>;
}

/** One of the kinds of sources, with its settings. Files are absolute. */
export type SourceDefinition =
  | {
      readonly kind: 'wav';
      readonly folder: string;
      readonly samples: number;
      /** How many times as fast as they were recorded, or as fast as they are taken. */
      readonly pace: number | 'fast';
    }
  | { readonly kind: 'folder'; readonly folder: string }
  /** The types of its values, by their names. */
  | { readonly kind: 'http'; readonly types: Readonly<Record<string, string>> }
  /** Messages of a subject of NATS, with values of these types. */
  | { readonly kind: 'nats'; readonly subject: string; readonly types: Readonly<Record<string, string>> }
  | GeneratorDefinition;

export interface GeneratorDefinition {
  readonly kind: 'generator';
  readonly function: FunctionDefinition;
  /** The names of the values that it returns. */
  readonly values: readonly string[];
  /** How many keys its records have, in turn. */
  readonly keys: number;
  /** Milliseconds from one record to the next. */
  readonly every?: number;
}

export type SinkDefinition = (
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'nats'; readonly subject: string }
  /** The dashboard shows so many of its last outputs. */
  | { readonly kind: 'page'; readonly last: number }
) & {
  readonly values: Readonly<Record<string, string>>;
  /** A line for each row of this value, which all others have too; one line if left out. */
  readonly each?: string;
  /** The value that is the key of an output; that of its record if left out. */
  readonly key?: string;
  readonly source: string;
};

/** A copy of a module, and its export. */
export interface FunctionDefinition {
  readonly file: string;
  /** The hash of the module and of the files that it imports by their paths. */
  readonly hash: string;
  readonly name: string;
  /** As the person wrote it: `decide.mjs#decide`. */
  readonly title: string;
}

export interface StepDefinition {
  readonly name: string;
  readonly uid: string;
  readonly source: string;
  readonly runs: ModelRun | FunctionRun;
  readonly inputs: Readonly<Record<string, string>>;
  readonly constants: Readonly<Record<string, Tensor>>;
  readonly state: Readonly<Record<string, StateDefinition>>;
  /** Converts a state of the version before this one. */
  readonly migrate?: FunctionDefinition;
  /** The hash of what it runs, with its constants and its state, and without where its inputs come from. */
  readonly does: string;
}

export interface ModelRun {
  readonly kind: 'model';
  readonly model: string;
  readonly version: number;
  /** Its file, and the hash of it. */
  readonly file: string;
  readonly hash: string;
  readonly maxBatch?: number;
}

export interface FunctionRun {
  readonly kind: 'function';
  readonly function: FunctionDefinition;
  readonly resource: 'cpu' | 'network';
}

/** A value that a step keeps for each key: the step gets it as an input, and the output `next` is its new value. */
export interface StateDefinition {
  readonly next: string;
  /** The value of a new key. */
  readonly initial: Omit<Tensor, 'name'>;
}
