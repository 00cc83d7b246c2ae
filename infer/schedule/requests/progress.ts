import type { Resource } from '../costs.js';
import type { ScheduledGraph, ScheduledRequest, ScheduledStep } from '../types.js';

/** The work of a request at one step. A request that begins again gets new tasks. */
export interface Task {
  readonly request: Progress;
  readonly step: number;
  /** The graph's model for the step, until the request says which model it is. */
  model: string;
  /** The number of items; undefined until the predecessors are done. */
  items: number | undefined;
  /** The first item that is in no run yet. */
  next: number;
  /** Its place in the queue of its model: when its request came, plus the time that the steps after it take. */
  place: number;
  /** How many items are done. */
  done: number;
  /** The number of elements in the step's output. Steps that run once for each element need it. */
  elements: number;
  /** Bytes of its output that stay on lanes, by the lane's name. */
  readonly outputs: Map<string, number>;
  /** The name of the lane that holds its inputs, or some of them. */
  home: string | undefined;
}

/** Some consecutive items of a task. */
export interface Portion {
  readonly task: Task;
  readonly from: number;
  readonly count: number;
}

/** How much of the lanes' time a tenant has had. */
export interface TenantShare {
  /** Its weight among tenants, a number above 0. */
  weight: number;
  /** By resource, in milliseconds divided by its weight. */
  readonly had: Record<Resource, number>;
}

/** Where a request stands. */
export interface Progress {
  readonly request: ScheduledRequest;
  readonly graph: ScheduledGraph;
  readonly tenant: TenantShare;
  /** The number of its arrival. Of requests with equal weight and place, the lower number goes first. */
  readonly order: number;
  readonly weight: number;
  readonly arrivedAt: number;
  readonly deadline: number;
  tasks: Task[];
  ended: boolean;
}

export function begin(request: ScheduledRequest, tenant: TenantShare, order: number, now: number): Progress {
  const { graph, weight = 1, deadline = Number.POSITIVE_INFINITY } = request;
  const progress: Progress = {
    request,
    graph,
    tenant,
    order,
    weight,
    arrivedAt: now,
    deadline,
    tasks: [],
    ended: false,
  };
  beginAgain(progress);
  return progress;
}

export function beginAgain(progress: Progress): void {
  progress.tasks = progress.graph.steps.map(({ model }, step) => ({
    request: progress,
    step,
    model,
    items: undefined,
    next: 0,
    place: 0,
    done: 0,
    elements: 0,
    outputs: new Map(),
    home: undefined,
  }));
}

/** Gives items to the tasks whose predecessors are done. Returns the tasks that have items now, or why one cannot run. */
export function becomeReady({ graph, tasks, request }: Progress): Task[] | { reason: string } {
  const ready: Task[] = [];
  for (const task of tasks) {
    if (task.items !== undefined) continue;
    const { after, each } = graph.steps[task.step] as ScheduledStep;
    if (!after.every((step) => isDone(tasks[step] as Task))) continue;
    const found = request.taskOf?.(task.step);
    if (found && 'reason' in found) return found;
    if (found) task.model = found.model;
    task.items = found?.items ?? (each === undefined ? request.items : (tasks[each] as Task).elements);
    for (const step of after) task.home ??= (tasks[step] as Task).outputs.keys().next().value;
    if (task.items > 0) ready.push(task);
  }
  return ready;
}

export function isDone({ items, done }: Task): boolean {
  return items !== undefined && done === items;
}

/** Whether the request still needs a run that was begun for the task. */
export function isCurrent(task: Task): boolean {
  return !task.request.ended && task.request.tasks[task.step] === task;
}

/** How many of a task's items wait for a run. */
export function waiting({ items = 0, next }: Task): number {
  return items - next;
}

/** Whether `a` goes before `b` in the queue of a model, where both are of one tenant. */
export function goesBefore(a: Task, b: Task): boolean {
  if (a.request.weight !== b.request.weight) return a.request.weight > b.request.weight;
  if (a.place !== b.place) return a.place < b.place;
  if (a.request.order !== b.request.order) return a.request.order < b.request.order;
  return a.step < b.step;
}

export function itemsOf(portions: readonly Portion[]): number {
  return portions.reduce((sum, { count }) => sum + count, 0);
}

/** Cuts a list of portions after a number of items. */
export function cut(portions: readonly Portion[], items: number): [Portion[], Portion[]] {
  const first: Portion[] = [];
  const second: Portion[] = [];
  let left = items;
  for (const { task, from, count } of portions) {
    const taken = Math.min(left, count);
    left -= taken;
    if (taken > 0) first.push({ task, from, count: taken });
    if (taken < count) second.push({ task, from: from + taken, count: count - taken });
  }
  return [first, second];
}
