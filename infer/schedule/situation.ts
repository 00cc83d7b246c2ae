import type { GpuRun } from './gpu-load.js';
import type { HostState } from './hosts.js';
import type { ModelState } from './models.js';
import type { Policy } from './policy.js';
import type { RequestCosts } from './requests/request-costs.js';

/** The circumstances of a choice, beside the model and the lane. */
export interface Situation {
  readonly now: number;
  readonly policy: Policy;
  readonly costs: RequestCosts;
  /** The weight of everything that waits for the lane's kind of resource. */
  readonly value: number;
  /** The least time of the resource that a tenant with waiting items has had, as its share counts it. */
  readonly least: number;
  /** How many requests a delay affects, for each that waits now. More requests arrive while there is work. */
  readonly growth: number;
  /** The hosts that have lanes of the resource. */
  readonly hosts: ReadonlySet<HostState>;
  /** A host on which only this model's runs start: its items need a host for themselves. */
  readonly cleared: { readonly model: ModelState; readonly host: HostState } | undefined;
  /** Runs of a host that start later. They are worth more than the run that is chosen now, so they get the GPU first. */
  planned(host: HostState): readonly GpuRun[];
  /** Bytes of a host that are kept for other models. */
  reserved(host: HostState, model: ModelState): number;
}
