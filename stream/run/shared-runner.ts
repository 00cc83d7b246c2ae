import type { Definition } from '../definition/definition.js';
import { Serial } from './serial.js';
import type { StepRun, StepRunner } from './step-runner.js';

/** A runner for several users: a version is made ready once, and freed when the last of them frees it. */
export class SharedRunner implements StepRunner {
  readonly #runner: StepRunner;
  readonly #users = new Map<string, number>();
  /** Versions are made ready and freed one after the other. */
  readonly #changes = new Serial();

  constructor(runner: StepRunner) {
    this.#runner = runner;
  }

  prepare(definition: Definition): Promise<void> {
    return this.#changes.run(async () => {
      const users = this.#users.get(definition.id) ?? 0;
      if (users === 0) await this.#runner.prepare(definition);
      this.#users.set(definition.id, users + 1);
    });
  }

  release(definition: Definition): Promise<void> {
    return this.#changes.run(async () => {
      const users = this.#users.get(definition.id) ?? 0;
      if (users > 1) this.#users.set(definition.id, users - 1);
      else if (this.#users.delete(definition.id)) await this.#runner.release(definition);
    });
  }

  run(step: StepRun) {
    return this.#runner.run(step);
  }

  migrate(...migration: Parameters<StepRunner['migrate']>) {
    return this.#runner.migrate(...migration);
  }
}
