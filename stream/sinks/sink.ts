import type { Tensor } from '../../infer/service/tensor.js';

/** Something for a sink to write. The four fields before the values are its identity: the same output has them again. */
export interface Output {
  readonly sink: string;
  readonly source: string;
  readonly offset: number;
  /** Its number among the outputs that a sink gets of one record. */
  readonly index: number;
  readonly key: string;
  readonly values: Readonly<Record<string, Tensor>>;
  /** Of a record at which a step failed. */
  readonly error?: { readonly step: string; readonly message: string };
}

/** Where outputs go. After a restart it may get outputs again that it had before. */
export interface Sink {
  /**
   * Resolves when all of them are safe there. The next call comes after that. A sink that cannot be reached tries until it
   * can, or is closed.
   *
   * @throws Error where it can never take them (rejects)
   */
  write(outputs: readonly Output[]): Promise<void>;
  /** Where it stands: a later `open` is told this, to find outputs that it had since. */
  mark(): unknown;
  /**
   * By source, the offset behind the last record of which it had outputs when it was opened. Left out where it cannot know: then
   * it may have had outputs of any record of the log.
   */
  readonly hadUntil?: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** By source, the offset behind the last record of these outputs. @param identities as `identityOf` makes them */
export function endsOf(identities: Iterable<string>): Map<string, number> {
  const ends = new Map<string, number>();
  for (const identity of identities) {
    const [source = '', offset = ''] = identity.split('/');
    ends.set(source, Math.max(ends.get(source) ?? 0, Number(offset) + 1));
  }
  return ends;
}

/** Tells an output from all others that its sink gets. */
export function identityOf({ source, offset, index, error }: Output): string {
  return `${source}/${offset}/${error?.step ?? index}`;
}
