/** How often each protocol has answered with each status. */
export class AnswerCounts {
  readonly #counts = new Map<string, { protocol: string; code: string; count: number }>();

  /** @param code a status of HTTP, or the name of a code of gRPC: there are few. */
  add(protocol: 'http' | 'grpc', code: string): void {
    const key = `${protocol} ${code}`;
    const known = this.#counts.get(key) ?? { protocol, code, count: 0 };
    known.count += 1;
    this.#counts.set(key, known);
  }

  values(): Iterable<{ protocol: string; code: string; count: number }> {
    return this.#counts.values();
  }
}
