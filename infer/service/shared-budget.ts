/** One tenant alone has at most so many times as much as is left: nine tenths. */
const TIMES_THE_REST = 9;

/** A number of requests, or of bytes, that tenants share. However much one of them takes, some is left for the next. */
export class SharedBudget {
  readonly most: number;
  taken = 0;
  readonly #byTenant = new Map<string, number>();

  constructor(most: number) {
    this.most = most;
  }

  /** Takes an amount, if there is room for it. @returns whether there was. */
  take(tenant: string, amount: number): boolean {
    const own = this.#byTenant.get(tenant) ?? 0;
    const left = this.most - this.taken;
    if (amount > left || own + amount > TIMES_THE_REST * left) return false;
    this.add(tenant, amount);
    return true;
  }

  /** Counts an amount that is taken already; a negative one is given back. */
  add(tenant: string, amount: number): void {
    this.taken += amount;
    const own = (this.#byTenant.get(tenant) ?? 0) + amount;
    if (own === 0) this.#byTenant.delete(tenant);
    else this.#byTenant.set(tenant, own);
  }
}
