import { typeOf } from '../../infer/graph/graph-file.js';
import { tensorFromJson } from '../../infer/protocol/tensor-coding.js';
import { invalid } from '../../infer/service/service.js';
import { elementsOf, type Tensor } from '../../infer/service/tensor.js';
import { type Feed, roomIn } from './source.js';

/** A record as it is posted. */
interface PostedRecord {
  readonly key: string;
  /** By name, the elements: flat or nested, or one of them alone. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Its number among the records of its key. A sender that had no answer sends the record again with the same number. */
  readonly sequence?: number;
}

export interface CheckedRecord {
  readonly key: string;
  readonly values: Readonly<Record<string, Tensor>>;
  readonly sequence: number | undefined;
}

/** The answer to a sender, once its record is safe. */
export interface TakenRecord {
  readonly offset: number | undefined;
  /** It was taken before. */
  readonly isRepeated: boolean;
}

const LONGEST_KEY = 256;
const MOST_RECORDS = 1000;

/** Takes records that are posted. A record with a number that is not above the last one of its key was taken before. */
export class PostedRecords {
  readonly #name: string;
  #types: ReadonlyMap<string, string>;
  readonly #feed: Feed;
  /** By key, the number of the last record that is safe. */
  readonly #sequences: Map<string, number>;
  /** By key, the last record with a number that is not safe yet. */
  readonly #unsafe = new Map<string, { readonly sequence: number; readonly logged: Promise<number> }>();

  constructor(name: string, types: Readonly<Record<string, string>>, feed: Feed) {
    this.#name = name;
    this.#types = new Map(Object.entries(types));
    this.#feed = feed;
    this.#sequences = new Map([...feed.positions].map(([key, position]) => [key, Number(position)]));
  }

  /** From now on records have values of these types. Their numbers go on. */
  become(types: Readonly<Record<string, string>>): void {
    this.#types = new Map(Object.entries(types));
  }

  /** Resolves when few records wait to begin, or the signal aborts. */
  room(signal: AbortSignal): Promise<void> {
    return roomIn(this.#feed, signal);
  }

  /**
   * Takes one record, or `{ records: [...] }`, all or none of them. Records keep the order of the calls.
   *
   * @throws InferenceError invalid where the body is wrong, at once; Error where the log takes nothing (rejects)
   */
  take(body: unknown, traceparent?: string): Promise<readonly TakenRecord[]> {
    const { records } = (body ?? {}) as { records?: unknown };
    const list = records === undefined ? [body] : records;
    if (!Array.isArray(list)) throw invalid('"records" must be a list');
    if (list.length > MOST_RECORDS)
      throw invalid(`there are ${list.length} records; at most ${MOST_RECORDS} are taken at once`);
    const checked = list.map((each) => checkRecord(this.#name, this.#types, each));
    return Promise.all(checked.map((each) => this.#take(each, traceparent)));
  }

  async #take(
    { key, values, sequence }: CheckedRecord,
    traceparent: string | undefined,
  ): Promise<TakenRecord> {
    const unsafe = this.#unsafe.get(key);
    if (sequence !== undefined && sequence <= (unsafe?.sequence ?? this.#sequences.get(key) ?? -1)) {
      // The first one may still be on its way to the disk. Where it does not get there, this one does not.
      await unsafe?.logged;
      return { offset: undefined, isRepeated: true };
    }
    const logged = this.#feed.ingest({
      key,
      values,
      ...(sequence !== undefined && { position: sequence }),
      ...(traceparent !== undefined && { traceparent }),
    });
    if (sequence === undefined) return { offset: await logged, isRepeated: false };
    const mine = { sequence, logged };
    this.#unsafe.set(key, mine);
    try {
      const offset = await logged;
      this.#sequences.set(key, sequence);
      return { offset, isRepeated: false };
    } finally {
      if (this.#unsafe.get(key) === mine) this.#unsafe.delete(key);
    }
  }
}

/** A record of values with these types. @throws InferenceError invalid */
export function checkRecord(
  source: string,
  types: ReadonlyMap<string, string>,
  given: unknown,
): CheckedRecord {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw invalid('a record is an object with "key" and "values"');
  const { key, values, sequence } = given as Partial<PostedRecord>;
  if (typeof key !== 'string' || key === '' || key.length > LONGEST_KEY || /\p{Cc}/u.test(key))
    throw invalid(`"key" must be text of at most ${LONGEST_KEY} characters, without line breaks`);
  if (sequence !== undefined && !(Number.isSafeInteger(sequence) && sequence >= 0))
    throw invalid('"sequence" must be a whole number from 0');
  if (typeof values !== 'object' || values === null) throw invalid('a record has "values", by their names');
  const unknown = Object.keys(values).find((name) => !types.has(name));
  if (unknown !== undefined)
    throw invalid(
      `source ${source} has no value "${unknown.slice(0, 100)}"; it has ${[...types.keys()].join(', ')}`,
    );
  const tensors = [...types].map(([name, type]) => [name, tensorOf(name, type, values[name])] as const);
  return { key, values: Object.fromEntries(tensors), sequence };
}

/** A tensor of a type, one length of which may be free. @throws InferenceError invalid */
function tensorOf(name: string, type: string, given: unknown): Tensor {
  if (given === undefined) throw invalid(`value "${name}" is missing`);
  const { datatype, shape: declared } = typeOf(type);
  const data = Array.isArray(given) ? given : [given];
  const free = declared.filter((length) => length === -1).length;
  if (free > 1) throw invalid(`"${name}" is ${type}: a posted value can have one free length`);
  const rest = elementsOf(declared.filter((length) => length !== -1));
  const count = data.flat(Number.POSITIVE_INFINITY).length;
  if (free === 1 && (rest === 0 || count % rest !== 0))
    throw invalid(`"${name}" has ${count} elements, and ${type} needs a multiple of ${rest}`);
  const shape = declared.map((length) => (length === -1 ? count / rest : length));
  return tensorFromJson({ name, datatype, shape }, data);
}
