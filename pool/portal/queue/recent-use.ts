/** After so many milliseconds, use counts half. */
const HALF_MS = 600_000;

/** How much each tenant has used lately, in GPU seconds that fade. Times are milliseconds of a steady clock. */
export class RecentUse {
  readonly #used = new Map<string, number>();
  #now: number;

  constructor(now: number, used: Readonly<Record<string, number>> = {}) {
    this.#now = now;
    for (const [tenant, seconds] of Object.entries(used)) this.#used.set(tenant, seconds);
  }

  of(tenant: string): number {
    return this.#used.get(tenant) ?? 0;
  }

  /** Time has passed, and tenants have used GPU seconds meanwhile. */
  advance(now: number, used: ReadonlyMap<string, number>): void {
    const fade = 0.5 ** ((now - this.#now) / HALF_MS);
    this.#now = now;
    for (const [tenant, seconds] of this.#used) {
      if (seconds * fade < 0.001) this.#used.delete(tenant);
      else this.#used.set(tenant, seconds * fade);
    }
    for (const [tenant, seconds] of used) this.#used.set(tenant, this.of(tenant) + seconds);
  }

  get all(): Record<string, number> {
    return Object.fromEntries(this.#used);
  }
}
