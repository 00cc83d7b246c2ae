import { OPERATIONS } from '../../proto/gen/operations.js';
import { CommandWriter } from '../../proto/wire/command-writer.js';
import { FIRST_ID, FOREIGN_ID, type Handle } from '../../proto/wire/handle.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { ITEM, ITEM_KINDS, PAYLOAD, PAYLOAD_MODES, SUCCESSOR } from '../../proto/wire/template.js';
import { Writer } from '../../proto/wire/writer.js';
import type { Whole } from '../session/parts.js';
import { CompiledPipelines } from './compiled-pipelines.js';
import type { NamedContents } from './named-contents.js';
import { type Template, TemplateStore } from './template-store.js';

/** A larger command is sent in full each time: a template of it costs more than it can save. */
const TEMPLATE_BYTES = 4096;
/**
 * The most objects for which another object is expected. An entry goes when its object is released, but an
 * entry for an object that was released before stays. Beyond this number everything known is dropped, and
 * learned again within a frame or two.
 */
const MOST_RENAMES = 1 << 16;
/** Each byte becomes one character. */
const LATIN1 = new TextDecoder('latin1');
/** A larger payload is sent each time. A smaller one is kept, and is not sent again while it repeats. */
const KEPT_PAYLOAD_BYTES = 1024;

/**
 * Writes a session's commands into a flush, as short as the host's knowledge allows (see
 * proto/wire/template.ts). Only this class decides whether and where a command continues what is known; the
 * host follows.
 */
export class CommandEncoder {
  readonly #writer = new Writer();
  readonly #command: CommandWriter;
  readonly #templates: TemplateStore | undefined;
  #nextId = FIRST_ID;
  /** Commands that came as expected and are not in the flush yet. */
  #run = 0;
  #commands = 0;
  /** The whole that the current command carries a part of. */
  #whole: Whole | undefined;
  #released = 0;
  /** The templates were dropped, and the host is still to be told. */
  #forgotten = false;
  /** Commands that were not sent in full, since the session began. */
  named = 0;
  /** Pipelines that the host has compiled; undefined with reuse off. */
  readonly compiled: CompiledPipelines | undefined;
  /** Set if the host keeps contents: from then on payloads can be sent by name. */
  contents: NamedContents | undefined;

  /** `owner` is the session that the handles belong to. With `reuse` off each command is sent in full. */
  constructor(owner: object, reuse: 'on' | 'off') {
    this.#command = new CommandWriter(owner);
    this.#templates = reuse === 'on' ? new TemplateStore() : undefined;
    this.compiled = reuse === 'on' ? new CompiledPipelines() : undefined;
  }

  /** Bytes in the flush so far. */
  get length(): number {
    return this.#writer.length + (this.#run > 0 ? 1 : 0);
  }

  /** Objects that were created and not released. */
  get objects(): number {
    return this.#nextId - FIRST_ID - this.#released;
  }

  /** Commands in the flush so far. */
  get commands(): number {
    return this.#commands;
  }

  /**
   * Adds a command, and copies all bytes. `made` is the handle of the object that it creates; it gets its id
   * here. `whole` is given if the payload is a part of something longer. Throws RangeError, and adds nothing,
   * if a string or payload is too large or there is no memory.
   */
  write(operation: AnyOperation, self: Handle, args: unknown, made?: Handle, whole?: Whole): void {
    const command = this.#split(operation, self, args);
    this.#whole = whole;
    const { length } = this.#writer;
    const run = this.#run;
    try {
      if (this.#templates && this.#templates.renames.size > MOST_RENAMES) this.#forget();
      this.#add();
    } catch (error) {
      this.#undo(length, run);
      throw error;
    }
    if (operation.fate === 'awaited' || operation === OPERATIONS.GPUQueue.submit)
      this.#templates?.endStretch();
    this.#commands += 1;
    if (!made) return;
    made.id = this.#nextId++;
    this.compiled?.created(operation, command, made.id);
  }

  /** The ids of the objects that the latest command has named. Valid until the next one. */
  get operands(): readonly number[] {
    return this.#command.operands;
  }

  /** Whether the host has already compiled the object that this command would create. Adds nothing. */
  isCompiled(operation: AnyOperation, self: Handle, args: unknown): boolean {
    return this.compiled?.take(operation, this.#split(operation, self, args)) ?? false;
  }

  /**
   * Adds the release of objects that no later command names. Sorts `ids`. Throws RangeError, and adds
   * nothing, if there is no memory.
   */
  release(ids: number[]): void {
    const { length } = this.#writer;
    const run = this.#run;
    try {
      this.#addRelease(ids);
    } catch (error) {
      this.#undo(length, run);
      throw error;
    }
    for (const id of ids) this.compiled?.released(id);
    this.#released += ids.length;
  }

  #addRelease(ids: number[]): void {
    ids.sort((a, b) => a - b);
    const runs: { gap: number; count: number }[] = [];
    let end = 0;
    for (const id of ids) {
      const last = runs.at(-1);
      if (last && id === end) last.count += 1;
      else runs.push({ gap: id - end, count: 1 });
      end = id + 1;
      this.#templates?.renames.delete(id);
    }
    this.#item(ITEM.release, runs.length);
    for (const { gap, count } of runs) {
      this.#writer.u64(gap);
      this.#writer.u64(count);
    }
  }

  /** Takes the frames of the flush. From then on they belong to the caller. */
  take(): Uint8Array[] {
    this.#endRun();
    this.#commands = 0;
    return this.#writer.take();
  }

  #split(operation: AnyOperation, self: Handle, args: unknown): CommandWriter {
    const command = this.#command;
    command.clear();
    command.u8(operation.opcode);
    command.handle(self);
    operation.write(command, args);
    return command;
  }

  #add(): void {
    if (this.#forgotten) {
      this.#item(ITEM.forget, 0);
      this.#forgotten = false;
    }
    const command = this.#command;
    const templates = this.#templates;
    if (!templates || command.length > TEMPLATE_BYTES) {
      this.#once();
      return;
    }
    const expected = templates.expected;
    if (expected?.matches(command)) {
      this.#repeat(templates, expected);
    } else {
      const known = templates.find(command);
      if (known) {
        this.#item(ITEM.jump, known.id);
        this.#repeat(templates, known);
      } else {
        this.#define(templates, expected);
      }
    }
  }

  /** Sends a command that the host has a template of, and expects here. */
  #repeat(templates: TemplateStore, template: Template): void {
    templates.advance(template);
    const corrections = template.observe(this.#command.operands, this.#nextId, templates.renames);
    this.named += 1;
    if (corrections === undefined && !template.takesPayloads) {
      this.#run += 1;
      return;
    }
    this.#item(ITEM.correct, corrections?.length ?? 0);
    let at = 0;
    for (const index of corrections ?? []) {
      this.#writer.u32(index - at);
      this.#operand(this.#command.operands[index] as number);
      at = index;
    }
    for (let index = 0; index < template.kept.length; index += 1) {
      if (!template.kept[index]) this.#payload(index, false);
    }
  }

  #define(templates: TemplateStore, expected: Template | undefined): void {
    const command = this.#command;
    const changing = templates.changesHere(command);
    const kept = command.payloads.map((payload) => !changing && payload.length <= KEPT_PAYLOAD_BYTES);
    const template = templates.make(command, kept, this.#nextId);
    if (!template) {
      this.#forget();
      this.#add();
      return;
    }
    // Replaces another command if it calls the same operation; otherwise it is inserted before it.
    const rule =
      expected === undefined
        ? SUCCESSOR.none
        : expected.opcode === template.opcode
          ? SUCCESSOR.same
          : SUCCESSOR.expected;
    // The copy that is kept here is the copy that is sent: another thread may be writing to the original now.
    for (const [index, copy] of template.kept.entries()) if (copy) command.payloads[index] = copy;
    this.#item(ITEM.define, rule);
    this.#inFull((index) => kept[index] as boolean);
    templates.add(template, rule, expected);
  }

  #once(): void {
    this.#item(ITEM.once, 0);
    this.#inFull(() => false);
  }

  /**
   * Writes a command in full: its shape, its operands, and its payloads, each with whether the host is to
   * keep it.
   */
  #inFull(keeps: (payload: number) => boolean): void {
    const { content, operands, payloads } = this.#command;
    const w = this.#writer;
    w.bytes(content);
    w.u32(operands.length);
    for (const id of operands) this.#operand(id);
    w.u32(payloads.length);
    for (let index = 0; index < payloads.length; index += 1) this.#payload(index, keeps(index));
  }

  #payload(index: number, keep: boolean): void {
    const w = this.#writer;
    const { payloads, texts } = this.#command;
    const payload = payloads[index] as Uint8Array;
    const { length } = payload;
    const head = (mode: number) => w.u64(length * PAYLOAD_MODES + mode);
    const text = texts[index] as boolean;
    const named = keep
      ? undefined
      : this.contents?.name(payload, {
          length,
          text,
          whole: this.#whole,
          target: () => this.#target(index),
        });
    if (!named) {
      head(keep ? PAYLOAD.kept : PAYLOAD.bytes);
      w.append(payload);
      return;
    }
    head(named.mode);
    w.append(named.name);
    if (named.mode === PAYLOAD.named) return;
    w.append(named.bytes);
    this.contents?.sent(named.name);
  }

  /**
   * The target that a payload is written to: the command without its payloads. An object's id never comes
   * twice.
   */
  #target(index: number): string {
    const { content, operands } = this.#command;
    return `${LATIN1.decode(content)} ${operands} ${index}`;
  }

  /** Writes an object by its age, which is short for young objects; 0 for an object of another session. */
  #operand(id: number): void {
    this.#writer.u64(id === FOREIGN_ID ? 0 : this.#nextId - id);
  }

  #forget(): void {
    if (!this.#templates) return;
    this.#templates.clear();
    // The next command tells the host, because there may be no memory for it now.
    this.#forgotten = true;
  }

  /**
   * Takes back all that was added since. Expectations may have been learned from it already, but the host
   * hears nothing.
   */
  #undo(length: number, run: number): void {
    this.#writer.truncate(length);
    this.#run = run;
    this.#forget();
  }

  #item(kind: number, value: number): void {
    this.#endRun();
    this.#writer.u64(value * ITEM_KINDS + kind);
  }

  #endRun(): void {
    const run = this.#run;
    if (run === 0) return;
    this.#writer.u64(run * ITEM_KINDS + ITEM.follow);
    this.#run = 0;
  }
}
