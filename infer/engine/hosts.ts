import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import { type KeptValue, type Lane, LaneLostError } from '../lanes/lane.js';
import type { Resource } from '../schedule/costs.js';
import type { EngineScheduler } from '../schedule/scheduler.js';
import type { HostMemory } from './host-memory.js';
import { LaneSlot, type OpenLane } from './lane-slot.js';

/** Where lanes are: a GPU host, or this machine for functions. */
export interface EngineHost {
  readonly name: string;
  readonly resource: Resource;
  /** How many lanes it has. */
  readonly lanes: number;
  /** Nothing counts the memory of functions. */
  readonly memory: HostMemory;
  openLane(name: string): Promise<Lane>;
}

export interface HostsOptions {
  readonly clock: Clock;
  /** How long one call of a lane may take, in milliseconds. */
  readonly callLimit: number;
  /** How long requests wait for a lane where none of their kind is open. */
  readonly laneLimit: number;
  log(message: string): void;
}

/** How long a refused reservation counts, in milliseconds, unless the host reports its memory earlier. */
const REFUSED_MS = 100;

export interface HostNow {
  readonly host: EngineHost;
  /** Lanes that are unloading something. */
  readonly unloads: Set<Promise<void>>;
  /** The most bytes that it has, after it refused a reservation. */
  refused: number | undefined;
}

/** Keeps the lanes of all hosts open, and tells the scheduler of them and of their memory. */
export class Hosts {
  readonly #options: HostsOptions;
  readonly #scheduler: EngineScheduler;
  /** The scheduler was told something that may change its decisions. */
  readonly #changed: () => void;
  /** No lane of a kind was open for too long. */
  readonly #gone: (resource: Resource, message: string) => void;
  /** The memory of the largest host has changed. */
  readonly #resized: () => void;
  readonly #hosts: HostNow[] = [];
  readonly #slots: { readonly slot: LaneSlot; readonly host: EngineHost }[] = [];
  readonly #stops = new Map<string, () => void>();
  readonly #lanes = new Map<string, { readonly lane: OpenLane; readonly host: HostNow }>();
  #largest = Number.POSITIVE_INFINITY;
  /** Since when no lane of a kind is open, and why. */
  readonly #laneless = new Map<Resource, { readonly since: number; reason: string }>();

  constructor(
    hosts: readonly EngineHost[],
    scheduler: EngineScheduler,
    {
      changed,
      gone,
      resized,
      ...options
    }: HostsOptions & {
      changed: () => void;
      gone: (resource: Resource, message: string) => void;
      resized: () => void;
    },
  ) {
    this.#options = options;
    this.#scheduler = scheduler;
    this.#changed = changed;
    this.#gone = gone;
    this.#resized = resized;
    for (const host of hosts) this.add(host);
  }

  /** Opens the lanes of another host. */
  add(host: EngineHost): void {
    const now: HostNow = { host, unloads: new Set(), refused: undefined };
    this.#hosts.push(now);
    this.#open(now);
  }

  /** Closes the lanes of a host. Its runs begin again elsewhere. */
  async remove(name: string): Promise<void> {
    const at = this.#hosts.findIndex(({ host }) => host.name === name);
    const [removed] = at < 0 ? [] : this.#hosts.splice(at, 1);
    if (!removed) return;
    this.#stops.get(name)?.();
    this.#stops.delete(name);
    removed.refused = undefined;
    const slots = this.#slots.filter(({ host }) => host === removed.host);
    for (const each of slots) {
      this.#slots.splice(this.#slots.indexOf(each), 1);
      this.#lanes.delete(each.slot.name);
    }
    this.#scheduler.loseHost(name, this.#options.clock.now());
    this.#checkLanes(removed.host.resource, `the host ${name} was given back.`);
    this.#resize();
    this.#changed();
    await Promise.all(slots.map(({ slot }) => slot.close()));
  }

  /** The memory of the largest host. */
  get largest(): number {
    return Math.max(0, ...this.#hosts.map(({ host }) => host.memory.capacity.limit));
  }

  /** Whether a lane of a kind is open. */
  has(resource: Resource): boolean {
    return !this.#laneless.has(resource) && this.#hosts.some(({ host }) => host.resource === resource);
  }

  /** Why no request can run that needs a kind of lane; undefined where one is open, or may be soon. */
  missing(resource: Resource): string | undefined {
    if (!this.#hosts.some(({ host }) => host.resource === resource))
      return `There are no lanes for ${resource}.`;
    const laneless = this.#laneless.get(resource);
    const { clock, laneLimit } = this.#options;
    if (!laneless || clock.now() - laneless.since < laneLimit) return undefined;
    return `No lane for ${resource} is open: ${laneless.reason}`;
  }

  lane(name: string): { readonly lane: OpenLane; readonly host: HostNow } | undefined {
    return this.#lanes.get(name);
  }

  /** Bytes of a host that are free, beside the memory that the scheduler has planned. */
  free({ host }: HostNow): number {
    const planned = this.#planned(host);
    return planned === undefined ? 0 : host.memory.capacity.bytes - planned;
  }

  get all(): readonly EngineHost[] {
    return this.#hosts.map(({ host }) => host);
  }

  /** The places of all lanes; `reason` says why one has none. */
  places(): { name: string; host: EngineHost; isOpen: boolean; reason: string | undefined }[] {
    return this.#slots.map(({ slot, host }) => ({
      name: slot.name,
      host,
      isOpen: this.#lanes.has(slot.name),
      reason: slot.problem,
    }));
  }

  unload(name: string, file: string): void {
    const place = this.#lanes.get(name);
    if (!place) return;
    const { lane, host } = place;
    const unloading = lane
      .call((each) => each.unload(file))
      .catch((error) => {
        if (!(error instanceof LaneLostError)) {
          this.#options.log(`${file} could not be unloaded from lane ${name}: ${messageOf(error)}`);
        }
      })
      .finally(() => host.unloads.delete(unloading));
    host.unloads.add(unloading);
  }

  /** Drops kept values, after the runs that may use them. */
  drop(values: readonly KeptValue[]): void {
    const byLane = new Map<string, KeptValue[]>();
    for (const value of values) {
      const list = byLane.get(value.lane);
      if (list) list.push(value);
      else byLane.set(value.lane, [value]);
    }
    for (const [name, list] of byLane) {
      // This fails only on a lost lane, and the values are gone with the lane.
      this.#lanes
        .get(name)
        ?.lane.call((lane) => lane.drop(list))
        .catch(() => {});
    }
  }

  /**
   * A host refused so many bytes for a run that is counted there: others have them. For a while, or until its next report,
   * it counts as having half of them: then a smaller run is tried.
   */
  refused(host: HostNow, bytes: number): void {
    const planned = this.#planned(host.host);
    if (planned === undefined) return;
    const refused = planned - Math.ceil(bytes / 2);
    host.refused = refused;
    this.#tellCapacity(host);
    this.#options.clock.after(REFUSED_MS, () => {
      if (host.refused !== refused) return;
      host.refused = undefined;
      this.#tellCapacity(host);
      this.#changed();
    });
  }

  async close(): Promise<void> {
    for (const stop of this.#stops.values()) stop();
    await Promise.all(this.#slots.map(({ slot }) => slot.close()));
  }

  #open(host: HostNow): void {
    const { memory, name, lanes, resource } = host.host;
    this.#tellCapacity(host);
    this.#stops.set(
      name,
      memory.onChange(() => {
        host.refused = undefined;
        this.#tellCapacity(host);
        this.#changed();
      }),
    );
    this.#checkLanes(resource, 'it is being opened.');
    for (let index = 0; index < lanes; index += 1) {
      const slot = new LaneSlot(`${name}#${index}`, {
        clock: this.#options.clock,
        limit: this.#options.callLimit,
        open: (lane) => host.host.openLane(lane),
        opened: (lane) => this.#opened(lane, host),
        lost: (lane, reason) => this.#lost(lane, host, reason),
        failed: (reason) => this.#failed(host, reason),
      });
      this.#slots.push({ slot, host: host.host });
    }
  }

  #opened(lane: OpenLane, host: HostNow): void {
    if (!this.#hosts.includes(host)) return;
    const { name, resource } = host.host;
    this.#lanes.set(lane.name, { lane, host });
    this.#laneless.delete(resource);
    this.#scheduler.addLane(lane.name, { host: name, resource });
    this.#changed();
  }

  #lost(lane: OpenLane, { host }: HostNow, reason: string): void {
    // Its host was given back.
    if (this.#lanes.get(lane.name)?.lane !== lane) return;
    this.#options.log(`Lane ${lane.name} was lost: ${reason}`);
    this.#lanes.delete(lane.name);
    this.#scheduler.loseLane(lane.name, this.#options.clock.now(), reason);
    this.#checkLanes(host.resource, reason);
    this.#changed();
  }

  #failed({ host: { name, resource } }: HostNow, reason: string): void {
    this.#options.log(`A lane on ${name} could not be opened: ${reason}`);
    const laneless = this.#laneless.get(resource);
    if (laneless) laneless.reason = reason;
  }

  #checkLanes(resource: Resource, reason: string): void {
    if (this.#laneless.has(resource)) return;
    if ([...this.#lanes.values()].some(({ host }) => host.host.resource === resource)) return;
    const { clock, laneLimit } = this.#options;
    const laneless = { since: clock.now(), reason };
    this.#laneless.set(resource, laneless);
    clock.after(laneLimit, () => {
      if (this.#laneless.get(resource) !== laneless) return;
      this.#gone(resource, `No lane for ${resource} is open: ${laneless.reason}`);
    });
  }

  /** Bytes of a host that the scheduler's plan takes; undefined where it does not know the host. */
  #planned({ name }: EngineHost): number | undefined {
    const plan = this.#scheduler.memoryOf(name);
    return plan && plan.weights + plan.held + plan.running;
  }

  #tellCapacity(host: HostNow): void {
    const { name, memory } = host.host;
    const { bytes, limit } = memory.capacity;
    this.#scheduler.setHost(name, { bytes: Math.min(bytes, host.refused ?? bytes), limit });
    this.#resize();
  }

  #resize(): void {
    const { largest } = this;
    if (largest === this.#largest) return;
    this.#largest = largest;
    this.#resized();
  }
}
