import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Lease, V1Pod } from '@kubernetes/client-node';
import { monotonicNow } from '../../../link/machine/clock.js';
import { stateFolder } from '../../../link/machine/folders.js';
import { messageOf } from '../../../proto/errors.js';
import { writeFirst } from '../../../server/trust/private-folder.js';
import {
  checkImage,
  checkLimits,
  type Engine,
  type JobDescription,
  type JobStatus,
  type ListedJob,
} from '../engine.js';
import { cancelInProcess } from '../run-command.js';
import { asked, askedFor, type Cluster, connect } from './kubernetes-api.js';
import {
  atStage,
  CONTAINER,
  type KubernetesSettings,
  lawful,
  OWNER,
  podOf,
  type Stage,
  statusOf,
  type Ticket,
  ticketIn,
  ticketOf,
} from './kubernetes-text.js';

/** The parts of names that keep users and jobs apart. Tests give fixed ones. */
export interface Identity {
  /** Whose jobs these are: letters and digits. */
  readonly owner: string;
  /** An ending for the name of a new job. */
  readonly fresh: () => string;
}

const MOST_LOG_BYTES = 8 << 20;
/** A Pod that takes longer to be created, or to be deleted, counts as lost, in milliseconds. */
const LOST_MS = 60_000;
/** How many ended Pods of a name are left for a person who looks for a mistake. */
const KEPT = 3;
const TRIES = 5;

const WAS_CANCELLED = 'it was cancelled';
const WAITS = 'the job of the same name before it still runs';

/**
 * Runs jobs as bare Pods. Kubernetes has no queue for a name, so each job has a ticket, a Lease of its own, and each name
 * has a Lease whose holder may have a Pod. A job that waits is begun by the program that looks after its turn has come.
 */
export class KubernetesEngine implements Engine {
  readonly name = 'kubernetes';
  readonly limits = ['minutes', 'cpus', 'memory', 'gpus'] as const;
  readonly images = 'registry';
  readonly isHere = false;
  readonly #settings: KubernetesSettings;
  readonly #identity: Identity;
  #connected: Promise<Cluster> | undefined;
  /** The state of each Pod that this program waits for, and since when it has seen that. */
  readonly #seen = new Map<string, { readonly state: string; readonly since: number }>();

  constructor(settings: KubernetesSettings = {}, identity: Identity = ownIdentity) {
    this.#settings = settings;
    this.#identity = identity;
  }

  render(job: JobDescription): string {
    const { owner } = this.#identity;
    const pod = podOf(job, { id: nameLease(job.name), owner, settings: this.#settings });
    return `${JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod }, undefined, 2)}\n`;
  }

  async submit(job: JobDescription): Promise<string> {
    checkLimits(this, job.limits);
    checkImage(this, job.image);
    const { owner, fresh } = this.#identity;
    const id = `${nameLease(job.name)}-${fresh()}`;
    const pod = podOf(job, { id, owner, settings: this.#settings });
    await this.#clear((name) => name === job.name, KEPT);
    const { leases, namespace } = await this.#cluster();
    const lease = await asked(() =>
      leases.createNamespacedLease({ namespace, body: ticketOf(job, pod, owner) }),
    );
    const ticket = ticketIn(lease);
    if (ticket) await this.#beginInTurn(ticket);
    return id;
  }

  async status(id: string): Promise<JobStatus> {
    const pod = await this.#pod(id);
    if (pod) return this.#statusOf(pod);
    const ticket = await this.#ticket(id);
    if (!ticket) return { phase: 'ended', why: 'Kubernetes knows no such job', isCertain: false };
    const status = this.#statusWithoutPod(ticket);
    if (status.phase !== 'queued') return status;
    const why = await this.#beginInTurn(ticket);
    const begun = await this.#pod(id);
    return begun ? this.#statusOf(begun) : { phase: 'queued', why: why ?? status.why };
  }

  async list(prefix: string): Promise<ListedJob[]> {
    const pods = new Map((await this.#pods()).map((pod) => [pod.metadata?.name, pod]));
    const tickets = (await this.#tickets()).filter(({ job }) => job.startsWith(prefix));
    return tickets.flatMap((ticket) => {
      const { id, job: name, term } = ticket;
      const pod = pods.get(id);
      const status = pod ? statusOf(pod) : this.#statusWithoutPod(ticket);
      return status.phase === 'ended' ? [] : [{ id, name, term, status }];
    });
  }

  async logs(id: string): Promise<string> {
    const { core, namespace } = await this.#cluster();
    const log = { name: id, namespace, container: CONTAINER, limitBytes: MOST_LOG_BYTES };
    // 400: its container has not begun.
    return (await askedFor(() => core.readNamespacedPodLog(log), [400, 404])) ?? '';
  }

  async cancel(id: string): Promise<void> {
    const pod = await this.#pod(id);
    if (pod && statusOf(pod).phase === 'ended') return;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const ticket = await this.#ticket(id);
      if (!ticket || ticket.stage === 'cancelled' || (await this.#move(ticket, 'cancelled'))) break;
    }
    await this.#delete(id);
  }

  cancelNow(id: string): void {
    cancelInProcess({ engine: this.name, settings: this.#settings, id });
  }

  async clear(prefix: string): Promise<void> {
    await this.#clear((name) => name.startsWith(prefix), 0);
    // The Leases of names that have no job any more.
    const { leases, namespace } = await this.#cluster();
    const known = new Set((await this.#tickets()).map(({ id }) => id));
    for (const lease of await this.#leases()) {
      const { holderIdentity } = lease.spec ?? {};
      const name = lease.metadata?.name ?? '';
      if (!ticketIn(lease) && holderIdentity && !known.has(holderIdentity))
        await askedFor(() => leases.deleteNamespacedLease({ name, namespace }), [404]);
    }
  }

  /** Deletes jobs that are over, but for the latest of them. */
  async #clear(isWanted: (name: string) => boolean, kept: number): Promise<void> {
    const { leases, namespace } = await this.#cluster();
    const wanted = (await this.#tickets()).filter(({ job }) => isWanted(job));
    const over: Ticket[] = [];
    for (const ticket of wanted) {
      const pod = await this.#pod(ticket.id);
      const status = pod ? statusOf(pod) : this.#statusWithoutPod(ticket);
      if (status.phase === 'ended') over.push(ticket);
    }
    over.sort((one, other) => other.term - one.term);
    for (const { id: name } of over.slice(kept)) {
      await this.#delete(name);
      await askedFor(() => leases.deleteNamespacedLease({ name, namespace }), [404]);
    }
  }

  /**
   * Has a job begin, if no other one of its name can run.
   *
   * @returns why it waits, if it does.
   */
  async #beginInTurn(ticket: Ticket): Promise<string | undefined> {
    const { leases, namespace } = await this.#cluster();
    const name = nameLease(ticket.job);
    const lease = await askedFor(() => leases.readNamespacedLease({ name, namespace }), [404]);
    if (!lease) {
      const labels = { [OWNER]: this.#identity.owner };
      const body = { metadata: { name, labels }, spec: { holderIdentity: ticket.id } };
      const made = await askedFor(() => leases.createNamespacedLease({ namespace, body }), [409]);
      return made ? this.#begin(ticket) : WAITS;
    }
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== ticket.id) {
      if (await this.#mayRun(holder)) return WAITS;
      const body = { ...lease, spec: { ...lease.spec, holderIdentity: ticket.id } };
      const taken = await askedFor(
        () => leases.replaceNamespacedLease({ name, namespace, body }),
        [404, 409],
      );
      if (!taken) return WAITS;
    }
    return this.#begin(ticket);
  }

  /** Whether a job that holds its name has a Pod that may run, or may still get one. */
  async #mayRun(id: string): Promise<boolean> {
    const pod = await this.#pod(id);
    if (pod) return (await this.#statusOf(pod)).phase !== 'ended';
    const ticket = await this.#ticket(id);
    if (!ticket) return false;
    // The program that took the name for it has ended since.
    if (ticket.stage === 'waits') await this.#begin(ticket);
    return this.#statusWithoutPod(ticket).phase !== 'ended';
  }

  /** Makes the Pod of a job that holds its name. @returns why it cannot yet, if so. */
  async #begin(ticket: Ticket): Promise<string | undefined> {
    const { core, namespace } = await this.#cluster();
    const begun = await this.#move(ticket, 'begun');
    if (!begun) return WAITS;
    try {
      await askedFor(() => core.createNamespacedPod({ namespace, body: ticket.pod }), [409]);
    } catch (error) {
      // With a full quota it waits, as it does for a node.
      const isFull = /exceeded quota/.test(messageOf(error));
      await this.#move(begun, isFull ? 'waits' : 'cancelled');
      if (isFull) return `the quota of the namespace is full (${messageOf(error)})`;
      throw error;
    }
    // It was cancelled in the meantime.
    if (!(await this.#move(begun, 'created'))) await this.#delete(ticket.id);
    return undefined;
  }

  /** @returns the ticket as it is then; undefined where another program has changed it. */
  async #move(ticket: Ticket, stage: Stage): Promise<Ticket | undefined> {
    const { leases, namespace } = await this.#cluster();
    const body = atStage(ticket, stage);
    const lease = await askedFor(
      () => leases.replaceNamespacedLease({ name: ticket.id, namespace, body }),
      [404, 409],
    );
    return lease && ticketIn(lease);
  }

  async #statusOf(pod: V1Pod): Promise<JobStatus> {
    const name = pod.metadata?.name ?? '';
    // Its node confirms the end of a Pod that is deleted within seconds, if it can.
    const deleted = pod.metadata?.deletionTimestamp;
    if (deleted !== undefined && this.#isLong(name, 'deleted'))
      return {
        phase: 'ended',
        why: 'its node does not say that it has ended',
        isCertain: false,
        bySite: true,
      };
    const status = statusOf(pod);
    // While it is deleted it has ended already, in one way or the other.
    if (
      status.phase === 'ended' &&
      deleted !== undefined &&
      (await this.#ticket(name))?.stage === 'cancelled'
    )
      return { phase: 'ended', why: WAS_CANCELLED, isCertain: status.isCertain };
    if (pod.status?.phase !== 'Pending') return status;
    const { core, namespace } = await this.#cluster();
    const fieldSelector = `involvedObject.name=${name},type=Warning`;
    const events = await asked(() => core.listNamespacedEvent({ namespace, fieldSelector }));
    return statusOf(pod, events.items);
  }

  #statusWithoutPod({ id, stage }: Ticket): JobStatus {
    switch (stage) {
      case 'waits':
        return { phase: 'queued', why: WAITS };
      case 'cancelled':
        // A Pod that was told to end is gone when its node has confirmed that.
        return { phase: 'ended', why: WAS_CANCELLED, isCertain: true };
      case 'begun':
        if (!this.#isLong(id, 'begun')) return { phase: 'starting', why: 'its Pod is being created' };
        return { phase: 'ended', why: 'its Pod was never created', isCertain: false };
      case 'created':
        return { phase: 'ended', why: 'its Pod was deleted', isCertain: false, bySite: true };
    }
  }

  /** Whether this program has seen something in this state for so long that it stays so. */
  #isLong(what: string, state: string): boolean {
    const seen = this.#seen.get(what);
    if (seen?.state === state) return monotonicNow() - seen.since > LOST_MS;
    this.#seen.set(what, { state, since: monotonicNow() });
    return false;
  }

  async #pod(name: string): Promise<V1Pod | undefined> {
    const { core, namespace } = await this.#cluster();
    return askedFor(() => core.readNamespacedPod({ name, namespace }), [404]);
  }

  async #delete(name: string): Promise<void> {
    const { core, namespace } = await this.#cluster();
    await askedFor(() => core.deleteNamespacedPod({ name, namespace }), [404]);
  }

  async #ticket(name: string): Promise<Ticket | undefined> {
    const { leases, namespace } = await this.#cluster();
    const lease = await askedFor(() => leases.readNamespacedLease({ name, namespace }), [404]);
    return lease && ticketIn(lease);
  }

  async #pods(): Promise<V1Pod[]> {
    const { core, namespace } = await this.#cluster();
    return (await asked(() => core.listNamespacedPod({ namespace, labelSelector: this.#own }))).items;
  }

  async #leases(): Promise<V1Lease[]> {
    const { leases, namespace } = await this.#cluster();
    return (await asked(() => leases.listNamespacedLease({ namespace, labelSelector: this.#own }))).items;
  }

  async #tickets(): Promise<Ticket[]> {
    return (await this.#leases()).flatMap((lease) => ticketIn(lease) ?? []);
  }

  get #own(): string {
    return `${OWNER}=${this.#identity.owner}`;
  }

  #cluster(): Promise<Cluster> {
    this.#connected ??= connect(this.#settings).catch((error) => {
      this.#connected = undefined;
      throw error;
    });
    return this.#connected;
  }
}

/** The Lease of a job's name. */
function nameLease(job: string): string {
  return lawful(job, createHash('sha256').update(job).digest('hex').slice(0, 8));
}

/** By a number in this user's state folder: other users of the cluster may have the same name elsewhere. */
const ownIdentity: Identity = {
  get owner(): string {
    writeFirst(stateFolder(), 'owner', randomBytes(8).toString('hex'));
    return readFileSync(join(stateFolder(), 'owner'), 'utf8');
  },
  fresh: () => randomBytes(4).toString('hex'),
};
