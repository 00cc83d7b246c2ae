import { goesBefore, type Portion, type Task, waiting } from './progress.js';

/** After so many tasks have left the front, the other tasks move up. */
const MOST_LEFT = 64;

/** The tasks of one tenant that wait for one model: the heaviest requests first, equal weights by their places. */
export class TaskQueue {
  readonly #tasks: Task[] = [];
  /** The index of the first task that is still there. */
  #head = 0;
  /** How many items wait. */
  items = 0;
  /** The weight of these items. The items of a request at one step share the request's weight equally. */
  value = 0;

  get first(): Task | undefined {
    return this.#tasks[this.#head];
  }

  add(task: Task): void {
    this.#tasks.splice(this.#place(task), 0, task);
    this.#count(task, waiting(task));
  }

  /** Removes a task, if it waits. */
  remove(task: Task): void {
    const at = this.#place(task);
    if (this.#tasks[at] !== task) return;
    this.#tasks.splice(at, 1);
    this.#count(task, -waiting(task));
  }

  *[Symbol.iterator](): Generator<Task> {
    for (let at = this.#head; at < this.#tasks.length; at += 1) yield this.#tasks[at] as Task;
  }

  /** The portions of a run with this batch. */
  *portions(batch: number): Generator<Portion> {
    let left = batch;
    for (let at = this.#head; left > 0 && at < this.#tasks.length; at += 1) {
      const task = this.#tasks[at] as Task;
      const count = Math.min(left, waiting(task));
      left -= count;
      yield { task, from: task.next, count };
    }
  }

  /** Removes a number of items from the front. */
  take(batch: number): Portion[] {
    const portions = [...this.portions(batch)];
    for (const { task, count } of portions) {
      task.next += count;
      this.#count(task, -count);
      if (waiting(task) === 0) this.#head += 1;
    }
    if (this.#head > MOST_LEFT && this.#head * 2 > this.#tasks.length) {
      this.#tasks.splice(0, this.#head);
      this.#head = 0;
    }
    return portions;
  }

  #count(task: Task, items: number): void {
    this.items += items;
    // The sum of fractions may differ a little from zero.
    this.value = this.items === 0 ? 0 : this.value + (task.request.weight * items) / (task.items as number);
  }

  /** The index of the task, or the index where it belongs. */
  #place(task: Task): number {
    let low = this.#head;
    let high = this.#tasks.length;
    // Most tasks belong at the end.
    if (high > low && goesBefore(this.#tasks[high - 1] as Task, task)) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (goesBefore(this.#tasks[middle] as Task, task)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
