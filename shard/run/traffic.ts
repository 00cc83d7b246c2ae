import type { LineReport } from '../plan/report.js';

type Place = number | 'client';

/** Counts the bytes of tensors that go over each line. */
export class Traffic {
  readonly #bytes = new Map<string, { from: Place; to: Place; bytes: number }>();

  /** Every line between the client and a host is there, and with `direct` every line between two hosts. */
  constructor(hosts: number, direct: boolean) {
    const ids = [...Array(hosts).keys()];
    for (const host of ids)
      for (const [from, to] of [['client', host] as const, [host, 'client'] as const]) this.#line(from, to);
    if (direct) for (const from of ids) for (const to of ids) if (from !== to) this.#line(from, to);
  }

  get lines(): readonly LineReport[] {
    return [...this.#bytes.values()].map((line) => ({ ...line }));
  }

  add(from: Place, to: Place, bytes: number): void {
    this.#line(from, to).bytes += bytes;
  }

  #line(from: Place, to: Place) {
    const key = `${from}>${to}`;
    const line = this.#bytes.get(key) ?? { from, to, bytes: 0 };
    this.#bytes.set(key, line);
    return line;
  }
}
