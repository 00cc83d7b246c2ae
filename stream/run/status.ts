/** The work of a step since the start. */
export interface StepCounts {
  records: number;
  failed: number;
  /** Milliseconds in all, with the waiting for a lane. */
  ms: number;
}

export interface ApplicationStatus {
  readonly name: string;
  readonly version: string;
  readonly epoch: number;
  /** Records on their way. */
  readonly passing: number;
  readonly isUpgrading: boolean;
  readonly sources: readonly {
    readonly name: string;
    readonly records: number;
    /** Logged, and not on their way yet. */
    readonly waiting: number;
    readonly bytes: number;
  }[];
  readonly steps: readonly (StepCounts & { readonly uid: string })[];
  readonly sinks: readonly { readonly name: string; readonly outputs: number }[];
}
