import type { CommandWriter } from '../../proto/wire/command-writer.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { Expectations, type Linked, successorOf } from '../../proto/wire/template.js';

/** How many templates are tried if the expected one does not match. */
const ALTERNATIVES = 16;
/** How many beginnings of stretches are tried if nothing else matches. */
const STARTS = 64;
/** After this many different payloads in one place, the next are expected to be new, too. */
const CHANGING = 8;

/** A place in the stream of commands, with the commands that were seen to follow it, the latest first. */
class Place implements Linked<Template> {
  next: Template | undefined;
  alternatives: Template[] = [];
}

/** A command that the host has a template of. */
export class Template extends Place {
  readonly id: number;
  readonly opcode: number;
  /** The payloads that the host keeps; undefined for one that is sent each time. */
  readonly kept: readonly (Uint8Array | undefined)[];
  readonly takesPayloads: boolean;
  readonly bytes: number;
  readonly #shape: Uint8Array;
  readonly #expectations: Expectations;

  constructor(id: number, command: CommandWriter, keeps: readonly boolean[], nextId: number) {
    super();
    this.id = id;
    this.#shape = command.content.slice();
    this.opcode = this.#shape[0] as number;
    this.kept = command.payloads.map((payload, index) => (keeps[index] ? payload.slice() : undefined));
    this.takesPayloads = this.kept.includes(undefined);
    this.bytes = this.kept.reduce((sum, payload) => sum + (payload?.length ?? 0), this.#shape.length);
    this.#expectations = new Expectations(command.operands, nextId);
  }

  /** Whether a command equals this one, apart from its operands and the payloads that are sent each time. */
  matches(command: CommandWriter): boolean {
    if (!this.hasShapeOf(command)) return false;
    const { kept } = this;
    for (let at = 0; at < kept.length; at += 1) {
      const bytes = kept[at];
      if (bytes && !same(bytes, command.payloads[at])) return false;
    }
    return true;
  }

  hasShapeOf(command: CommandWriter): boolean {
    return (
      command.operands.length === this.#expectations.count &&
      command.payloads.length === this.kept.length &&
      command.equals(this.#shape)
    );
  }

  /** Learns the operands of another use. Returns the positions of the operands that were not expected, if any. */
  observe(operands: readonly number[], nextId: number, renames: Map<number, number>): number[] | undefined {
    let unexpected: number[] | undefined;
    const expectations = this.#expectations;
    for (let index = 0; index < operands.length; index += 1) {
      const id = operands[index] as number;
      if (expectations.at(index, nextId, renames) !== id) {
        unexpected ??= [];
        unexpected.push(index);
      }
      expectations.observe(index, id, nextId, renames);
    }
    return unexpected;
  }
}

/**
 * The templates that the host has, and the current place among them. A *stretch* lies between two submits or
 * waits: a program that repeats itself begins a stretch again.
 */
export class TemplateStore {
  readonly renames = new Map<number, number>();
  #place = new Place();
  #atStart = true;
  #starts: Template[] = [];
  #count = 0;
  #bytes = 0;

  get expected(): Template | undefined {
    return this.#place.next;
  }

  /** Finds a template of this command that is worth a jump from here. */
  find(command: CommandWriter): Template | undefined {
    const matches = (template: Template) => template.matches(command);
    return this.#place.alternatives.find(matches) ?? (this.#atStart ? this.#starts.find(matches) : undefined);
  }

  /** Whether commands like this one came here again and again, each with another payload. */
  changesHere(command: CommandWriter): boolean {
    if (command.payloads.length === 0) return false;
    const { alternatives } = this.#place;
    return (
      alternatives.length >= CHANGING &&
      alternatives.filter((template) => template.hasShapeOf(command)).length >= CHANGING
    );
  }

  /** Makes a template of a command; undefined if there are too many already. */
  make(command: CommandWriter, keeps: readonly boolean[], nextId: number): Template | undefined {
    if (this.#count === LIMITS.templates) return undefined;
    const template = new Template(this.#count, command, keeps, nextId);
    return this.#bytes + template.bytes > LIMITS.templateBytes ? undefined : template;
  }

  /** Takes a new template as the command that came here. */
  add(template: Template, rule: number, expected: Template | undefined): void {
    this.#count += 1;
    this.#bytes += template.bytes;
    template.next = successorOf(rule, expected);
    if (template.next) template.alternatives.push(template.next);
    if (this.#atStart) remember(this.#starts, template, STARTS);
    this.advance(template);
  }

  /** Moves on to this command, which came here. */
  advance(template: Template): void {
    const place = this.#place;
    if (place.next !== template) {
      place.next = template;
      remember(place.alternatives, template, ALTERNATIVES);
    }
    this.#place = template;
    this.#atStart = false;
  }

  /** The next command begins a stretch. */
  endStretch(): void {
    this.#atStart = true;
  }

  clear(): void {
    this.renames.clear();
    this.#place = new Place();
    this.#atStart = true;
    this.#starts = [];
    this.#count = 0;
    this.#bytes = 0;
  }
}

/** Puts a template first in a list of recent ones. */
function remember(list: Template[], template: Template, limit: number): void {
  const at = list.indexOf(template);
  if (at >= 0) list.splice(at, 1);
  else if (list.length === limit) list.pop();
  list.unshift(template);
}

function same(a: Uint8Array, b: Uint8Array | undefined): boolean {
  if (a.length !== b?.length) return false;
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false;
  return true;
}
