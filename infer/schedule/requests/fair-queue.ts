import { at, type ModelCosts, type Resource, runTime } from '../costs.js';
import type { Portion, Progress, Task, TenantShare } from './progress.js';
import { TaskQueue } from './task-queue.js';

/** The shares of all tenants. The tenant that has had the least goes first. A tenant gains nothing by having been away. */
export class TenantShares {
  readonly #shares = new Map<string, TenantShare>();
  /** By resource, the least that a tenant with waiting items had when the scheduler looked last. */
  readonly #least: Record<Resource, number> = { gpu: 0, cpu: 0, network: 0, shards: 0 };

  of(tenant: string, weight: number): TenantShare {
    let share = this.#shares.get(tenant);
    if (!share) {
      share = { weight, had: { ...this.#least } };
      this.#shares.set(tenant, share);
    }
    share.weight = weight;
    return share;
  }

  /** Items of the tenant wait from now on. */
  joins({ had }: TenantShare, resource: Resource): void {
    had[resource] = Math.max(had[resource], this.#least[resource]);
  }

  /** So much is the least that a tenant with waiting items has had. */
  look(resource: Resource, least: number): void {
    this.#least[resource] = Math.max(least, this.#least[resource]);
  }

  /** A run begins: its time counts for the tenants of its items. */
  charge(portions: readonly Portion[], costs: ModelCosts, batch: number): void {
    const ms = Math.max(at(runTime(costs), batch), LEAST_MS) / batch;
    for (const { task, count } of portions) {
      const { had, weight } = task.request.tenant;
      had[costs.resource] += (ms * count) / weight;
    }
  }
}

/** A run of a model whose times are not known yet counts so much, in milliseconds. */
const LEAST_MS = 1;

/** The tasks that wait for one model, by tenant: the tenant that has had the least goes first. */
export class FairQueue {
  readonly #costs: () => ModelCosts;
  readonly #queues = new Map<TenantShare, TaskQueue>();

  /** @param costs of its model. */
  constructor(costs: () => ModelCosts) {
    this.#costs = costs;
  }

  get first(): Task | undefined {
    const { resource } = this.#costs();
    let next: Task | undefined;
    for (const { first } of this.#queues.values()) {
      if (first && (!next || goesFirst(first.request, next.request, resource))) next = first;
    }
    return next;
  }

  /** The first task of each tenant. */
  get firsts(): Task[] {
    return [...this.#queues.values()].map(({ first }) => first as Task);
  }

  /** How many items wait. */
  get items(): number {
    let items = 0;
    for (const queue of this.#queues.values()) items += queue.items;
    return items;
  }

  /** The weight of these items. */
  get value(): number {
    let value = 0;
    for (const queue of this.#queues.values()) value += queue.value;
    return value;
  }

  add(task: Task): void {
    const { tenant } = task.request;
    let queue = this.#queues.get(tenant);
    if (!queue) {
      queue = new TaskQueue();
      this.#queues.set(tenant, queue);
    }
    queue.add(task);
  }

  /** Removes a task, if it waits. */
  remove(task: Task): void {
    const { tenant } = task.request;
    const queue = this.#queues.get(tenant);
    queue?.remove(task);
    if (queue?.items === 0) this.#queues.delete(tenant);
  }

  *[Symbol.iterator](): Generator<Task> {
    for (const queue of this.#queues.values()) yield* queue;
  }

  /** The portions of a run with this batch. */
  *portions(batch: number): Generator<Portion> {
    for (const [queue, count] of this.#divide(batch)) yield* queue.portions(count);
  }

  /** Removes the items of a run with this batch. */
  take(batch: number): Portion[] {
    const portions = [...this.#divide(batch)].flatMap(([queue, count]) => queue.take(count));
    for (const [tenant, queue] of this.#queues) if (queue.items === 0) this.#queues.delete(tenant);
    return portions;
  }

  /** How many items of a batch each tenant gets. The tenant that has had the least gets the next item. */
  #divide(batch: number): Map<TaskQueue, number> {
    const counts = new Map<TaskQueue, number>();
    if (this.#queues.size === 1) {
      for (const queue of this.#queues.values()) counts.set(queue, batch);
      return counts;
    }
    const costs = this.#costs();
    const ms = Math.max(at(runTime(costs), batch), LEAST_MS) / batch;
    const seats = [...this.#queues].map(([{ had, weight }, queue]) => ({
      queue,
      had: had[costs.resource],
      order: queue.first?.request.order ?? 0,
      step: ms / weight,
      left: queue.items,
    }));
    for (let left = batch; left > 0; left -= 1) {
      let next: (typeof seats)[number] | undefined;
      for (const seat of seats) {
        if (seat.left === 0) continue;
        if (!next || seat.had < next.had || (seat.had === next.had && seat.order < next.order)) next = seat;
      }
      if (!next) break;
      counts.set(next.queue, (counts.get(next.queue) ?? 0) + 1);
      next.had += next.step;
      next.left -= 1;
    }
    return counts;
  }
}

/** Whether the request of the one tenant goes before that of the other. */
function goesFirst(a: Progress, b: Progress, resource: Resource): boolean {
  const [had, least] = [a.tenant.had[resource], b.tenant.had[resource]];
  return had < least || (had === least && a.order < b.order);
}
