/** A version of an application, as the flow runs it. References in it are `NAME.VALUE`, of a source or of a step. */
export interface Version {
  /** The hash of all that it does. */
  readonly id: string;
  readonly sources: readonly string[];
  /** Each comes after the steps whose outputs it takes. */
  readonly steps: readonly FlowStep[];
  readonly sinks: readonly FlowSink[];
}

export interface FlowStep {
  /** Its identity from one version to the next. */
  readonly uid: string;
  /** Its name in the file, by which others refer to its outputs. */
  readonly name: string;
  /** The source whose records pass through it. */
  readonly source: string;
  /** By input, the reference of the value that it gets. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly hasState: boolean;
  /** The hash of what it does: two steps with equal hashes are interchangeable. */
  readonly does: string;
  /** Whether the state of the version before is converted, or begins anew, or goes on as it is. */
  readonly carry: 'keep' | 'migrate' | 'reset';
}

export interface FlowSink {
  readonly name: string;
  readonly source: string;
  /** By name, the reference of the value that it writes. */
  readonly values: Readonly<Record<string, string>>;
}

/** A record, as the log has it: where it stands, its key, and its values by their names. */
export interface FlowRecord<Value> {
  readonly source: string;
  readonly offset: number;
  readonly key: string;
  readonly values: Readonly<Record<string, Value>>;
}

/** The state of a step for one key: values by their names. Nobody writes into it: a step makes another one. */
export type State<Value> = Readonly<Record<string, Value>>;

/** The states of all steps, by uid and key, at a cut. */
export type States<Value> = ReadonlyMap<string, ReadonlyMap<string, State<Value>>>;

/** By source, the offset of the first record that comes after a cut. */
export type Cut = ReadonlyMap<string, number>;
