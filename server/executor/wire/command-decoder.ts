import { CONTENT_NAME_BYTES, type ContentName, toContentName } from '../../../proto/content/content.js';
import { ProtocolError } from '../../../proto/errors.js';
import { FIRST_ID, FOREIGN_ID } from '../../../proto/wire/handle.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import { Reader } from '../../../proto/wire/reader.js';
import {
  Expectations,
  type ExpectationsState,
  ITEM,
  ITEM_KINDS,
  type Linked,
  PAYLOAD,
  PAYLOAD_MODES,
  SUCCESSOR,
  successorOf,
} from '../../../proto/wire/template.js';

/** A payload that did not come: only its content's name did. */
export class NamedContent {
  readonly name: ContentName;
  readonly length: number;

  constructor(name: ContentName, length: number) {
    this.name = name;
    this.length = length;
  }
}

export type Payload = Uint8Array | NamedContent;

/** Takes the decoded commands. `C` is what it makes of a command's shape, once for all uses of the command. */
export interface CommandSink<C> {
  /**
   * Decodes a shape, which now belongs to the sink. `once` says that the command is used only once, so that nothing of it
   * should be kept. Throws ProtocolError where `shape` is no command.
   */
  decode(shape: Uint8Array, once: boolean): C;
  /** Whether the command creates an object, which then gets the next id. */
  creates(command: C): boolean;
  /** `made` is the id of the object that the command creates. The decoder uses both lists again. */
  execute(command: C, operands: readonly number[], payloads: readonly Payload[], made: number): void;
  /** The client will not name these objects again. */
  release(first: number, count: number): void;
  /** A payload came with its name, under which the host keeps it. The bytes are a view of the flush. */
  store(name: ContentName, bytes: Uint8Array): void;
  /** A content came by itself. The bytes are a view of the flush. */
  supply(name: ContentName, bytes: Uint8Array): void;
}

/** A command that may be repeated. */
interface Template<C> extends Linked<Template<C>> {
  command: C;
  expectations: Expectations;
  /** The operands of its latest use. Each use writes to the same array. */
  operands: number[];
  /** The payloads that are kept. Undefined for a payload that comes each time. */
  kept: (Uint8Array | undefined)[];
  takesPayloads: boolean;
}

/** A template as plain values. `next` is the position of the template after it, or -1. */
export interface TemplateState<C> {
  readonly command: C;
  readonly expectations: ExpectationsState;
  readonly kept: readonly (Uint8Array | undefined)[];
  readonly next: number;
}

/** Everything that a decoder knows of its client, to continue from in another process. Positions are -1 for none. */
export interface DecoderState<C> {
  readonly templates: readonly TemplateState<C>[];
  readonly templateBytes: number;
  readonly renames: ReadonlyMap<number, number>;
  readonly place: number;
  /** The template that is expected where no template came last. */
  readonly first: number;
  readonly nextId: number;
  readonly repeated: number;
}

/** A command that comes in full. */
interface InFull {
  shape: Uint8Array;
  operands: number[];
  payloads: Payload[];
  /** For each payload, whether it is kept. */
  keeps: boolean[];
}

/**
 * Reads flushes of commands (see proto/wire/template.ts), keeps the templates that the client defines, and gives each
 * command to the sink in its turn. Throws ProtocolError for anything that the client must not send.
 */
export class CommandDecoder<C> {
  readonly #sink: CommandSink<C>;
  /** How many commands came as repetitions of a template. */
  repeated = 0;
  #templates: Template<C>[] = [];
  #templateBytes = 0;
  readonly #renames = new Map<number, number>();
  /** The template that came last. The next one is expected to follow it. */
  #place: Linked<Template<C>> = { next: undefined };
  #nextId = FIRST_ID;

  constructor(sink: CommandSink<C>) {
    this.#sink = sink;
  }

  /** The state between two flushes. */
  get state(): DecoderState<C> {
    const positions = new Map(this.#templates.map((template, at) => [template as Linked<Template<C>>, at]));
    const position = (template: Linked<Template<C>> | undefined) =>
      template === undefined ? -1 : (positions.get(template) ?? -1);
    const place = position(this.#place);
    return {
      templates: this.#templates.map(({ command, expectations, kept, next }) => ({
        command,
        expectations: expectations.state,
        kept,
        next: position(next),
      })),
      templateBytes: this.#templateBytes,
      renames: this.#renames,
      place,
      first: place < 0 ? position(this.#place.next) : -1,
      nextId: this.#nextId,
      repeated: this.repeated,
    };
  }

  /** Continues from the state of another decoder. Call it before the first flush. */
  restore(state: DecoderState<C>): void {
    this.#templates = state.templates.map(({ command, expectations, kept }) => ({
      command,
      expectations: Expectations.restored(expectations),
      operands: [...expectations.ids],
      kept: [...kept],
      takesPayloads: kept.includes(undefined),
      next: undefined,
    }));
    for (const [at, { next }] of state.templates.entries())
      (this.#templates[at] as Template<C>).next = this.#templates[next];
    this.#templateBytes = state.templateBytes;
    for (const [id, other] of state.renames) this.#renames.set(id, other);
    this.#place = this.#templates[state.place] ?? { next: this.#templates[state.first] };
    this.#nextId = state.nextId;
    this.repeated = state.repeated;
  }

  /** Decodes a flush. An exception of the sink passes through, and ends the session. */
  run(flush: Uint8Array): void {
    const r = new Reader(flush);
    let left: number = LIMITS.flushCommands;
    while (!r.done) {
      const head = r.u64();
      const kind = head % ITEM_KINDS;
      const value = Math.floor(head / ITEM_KINDS);
      left -= kind === ITEM.follow ? value : 1;
      if (left < 0) throw new ProtocolError(`a flush has more than ${LIMITS.flushCommands} commands`);
      this.#item(r, kind, value);
    }
  }

  #item(r: Reader, kind: number, value: number): void {
    switch (kind) {
      case ITEM.follow:
        for (let count = value; count > 0; count -= 1) this.#follow(this.#advance());
        return;
      case ITEM.correct:
        this.#correct(r, this.#advance(), value);
        return;
      case ITEM.jump:
        this.#place.next = this.#templates[value];
        if (!this.#place.next) throw new ProtocolError(`there is no template ${value}`);
        return;
      case ITEM.define:
        this.#define(r, value);
        return;
      case ITEM.once:
        this.#once(r);
        return;
      case ITEM.release:
        this.#release(r, value);
        return;
      case ITEM.forget:
        this.#forget();
        return;
      case ITEM.content:
        this.#sink.supply(name(r), r.take(value, LIMITS.transferBytes));
        return;
      default:
        throw new ProtocolError(`there is no item of kind ${kind}`);
    }
  }

  #advance(): Template<C> {
    const { next } = this.#place;
    if (!next) throw new ProtocolError('a command follows where none is expected');
    this.#place = next;
    this.repeated += 1;
    return next;
  }

  #follow(template: Template<C>): void {
    if (template.takesPayloads) throw new ProtocolError('a command comes without its payload');
    const { operands } = template;
    this.#expect(template, 0, operands.length);
    this.#execute(template.command, operands, template.kept as Uint8Array[]);
  }

  #correct(r: Reader, template: Template<C>, corrections: number): void {
    const { operands, kept } = template;
    let at = 0;
    let corrected = 0;
    for (let count = corrections; count > 0; count -= 1) {
      corrected += r.u32();
      if (corrected >= operands.length || corrected < at) {
        throw new ProtocolError(`a correction of operand ${corrected} of ${operands.length}`);
      }
      this.#expect(template, at, corrected);
      this.#observe(template, corrected, this.#operand(r));
      at = corrected + 1;
    }
    this.#expect(template, at, operands.length);
    // A new array: most have no payload or one, and an array that is emptied each time allocates more.
    const payloads: Payload[] = [];
    for (let index = 0; index < kept.length; index += 1) payloads.push(kept[index] ?? this.#changing(r));
    this.#execute(template.command, operands, payloads);
  }

  /** The operands from `at` up to `end` are the expected ones. */
  #expect(template: Template<C>, at: number, end: number): void {
    const { expectations } = template;
    for (let index = at; index < end; index += 1) {
      this.#observe(template, index, expectations.at(index, this.#nextId, this.#renames));
    }
  }

  #observe({ expectations, operands }: Template<C>, index: number, id: number): void {
    expectations.observe(index, id, this.#nextId, this.#renames);
    operands[index] = id;
  }

  #define(r: Reader, rule: number): void {
    if (rule > SUCCESSOR.expected) throw new ProtocolError(`there is no rule ${rule} for successors`);
    const { shape, operands, payloads, keeps } = this.#inFull(r);
    const kept = payloads.map((payload, index) =>
      keeps[index] ? (payload as Uint8Array).slice() : undefined,
    );
    this.#templateBytes += kept.reduce((sum, payload) => sum + (payload?.length ?? 0), shape.length);
    if (this.#templates.length === LIMITS.templates || this.#templateBytes > LIMITS.templateBytes) {
      throw new ProtocolError('there are more templates than the limit');
    }
    const template: Template<C> = {
      command: this.#sink.decode(shape.slice(), false),
      expectations: new Expectations(operands, this.#nextId),
      operands,
      kept,
      takesPayloads: kept.includes(undefined),
      next: successorOf(rule, this.#place.next),
    };
    this.#templates.push(template);
    this.#place.next = template;
    this.#place = template;
    this.#execute(template.command, operands, payloads);
  }

  #once(r: Reader): void {
    const { shape, operands, payloads } = this.#inFull(r);
    // Copied: the command may be kept, and must not keep its flush.
    this.#execute(this.#sink.decode(shape.slice(), true), operands, payloads);
  }

  #execute(command: C, operands: readonly number[], payloads: readonly Payload[]): void {
    if (this.#renames.size > LIMITS.renames)
      throw new ProtocolError(
        `there are more than ${LIMITS.renames} expected objects with others in their place`,
      );
    const made = this.#sink.creates(command) ? this.#nextId++ : 0;
    this.#sink.execute(command, operands, payloads, made);
  }

  #inFull(r: Reader): InFull {
    const shape = r.bytes();
    const operands: number[] = [];
    for (let count = bounded(r.u32()); count > 0; count -= 1) operands.push(this.#operand(r));
    const payloads: Payload[] = [];
    const keeps: boolean[] = [];
    for (let count = bounded(r.u32()); count > 0; count -= 1) {
      const { payload, kept } = this.#payload(r);
      keeps.push(kept);
      payloads.push(payload);
    }
    return { shape, operands, payloads, keeps };
  }

  /** A payload of a repeated command. It comes because the template does not keep it. */
  #changing(r: Reader): Payload {
    const { payload, kept } = this.#payload(r);
    if (kept) throw new ProtocolError('a repeated command asks to keep a payload');
    return payload;
  }

  #payload(r: Reader): { payload: Payload; kept: boolean } {
    const head = r.u64();
    const mode = head % PAYLOAD_MODES;
    const length = Math.floor(head / PAYLOAD_MODES);
    if (mode === PAYLOAD.named) {
      if (length > LIMITS.transferBytes)
        throw new ProtocolError(`a content of ${length} bytes is over the limit of ${LIMITS.transferBytes}`);
      return { payload: new NamedContent(name(r), length), kept: false };
    }
    const stored = mode === PAYLOAD.stored ? name(r) : undefined;
    const payload = r.take(length, LIMITS.transferBytes);
    if (stored) this.#sink.store(stored, payload);
    return { payload, kept: mode === PAYLOAD.kept };
  }

  #operand(r: Reader): number {
    const age = r.u64();
    if (age > this.#nextId)
      throw new ProtocolError(`an operand names an object ${age} creations back, before the first one`);
    return age === 0 ? FOREIGN_ID : this.#nextId - age;
  }

  #release(r: Reader, runs: number): void {
    let first = 0;
    for (let run = runs; run > 0; run -= 1) {
      first += r.u64();
      const count = r.u64();
      if (first + count > this.#nextId) throw new ProtocolError('a release of an object that was never made');
      for (let id = first; id < first + count; id += 1) this.#renames.delete(id);
      this.#sink.release(first, count);
      first += count;
    }
  }

  #forget(): void {
    this.#templates = [];
    this.#templateBytes = 0;
    this.#renames.clear();
    this.#place = { next: undefined };
  }
}

/** Copied: a name outlives its flush. */
function name(r: Reader): ContentName {
  return toContentName(r.take(CONTENT_NAME_BYTES, CONTENT_NAME_BYTES).slice());
}

function bounded(count: number): number {
  if (count > LIMITS.operands)
    throw new ProtocolError(`${count} operands are over the limit of ${LIMITS.operands}`);
  return count;
}
