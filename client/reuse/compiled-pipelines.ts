import { OBJECT_NAME_BYTES, objectName } from '../../link/machine/hashing.js';
import { ProtocolError } from '../../proto/errors.js';
import { bytesToHex } from '../../proto/hex.js';
import type { CommandWriter } from '../../proto/wire/command-writer.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';

/** What a pipeline is made of, beside content. An adapter is not named: a device says what it is. */
const NAMED: ReadonlySet<string | undefined> = new Set([
  'GPUDevice',
  'GPUShaderModule',
  'GPUBindGroupLayout',
  'GPUPipelineLayout',
]);

/**
 * The pipelines that the host has compiled already, by name: the host tells of them when a session begins, and
 * when it has compiled ahead. One of them can be given out at once, for it is known to be valid. A name counts as
 * often as it was told, since a pipeline with an automatic layout has one owner.
 */
export class CompiledPipelines {
  /** How many there are of each name, and of all. */
  readonly #held = new Map<string, number>();
  #count = 0;
  /** The names of this session's objects, by id. */
  readonly #names = new Map<number, string>();

  /** Takes the host's word. Throws ProtocolError where it is none. */
  add(names: Uint8Array): void {
    if (names.length % OBJECT_NAME_BYTES !== 0) throw new ProtocolError('a name is cut short');
    for (let at = 0; at < names.length; at += OBJECT_NAME_BYTES) {
      if (this.#count >= LIMITS.templates) throw new ProtocolError('there are too many names');
      const name = bytesToHex(names.subarray(at, at + OBJECT_NAME_BYTES));
      this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
      this.#count += 1;
    }
  }

  /** Takes note of an object that a command has created. */
  created(operation: AnyOperation, command: CommandWriter, id: number): void {
    if (!NAMED.has(operation.creates)) return;
    const name = this.#nameOf(operation, command);
    if (name !== undefined) this.#names.set(id, name);
  }

  released(id: number): void {
    this.#names.delete(id);
  }

  /** Whether the host has what a command creates; it counts as given out then. */
  take(operation: AnyOperation, command: CommandWriter): boolean {
    if (this.#count === 0) return false;
    const name = this.#nameOf(operation, command);
    const left = name === undefined ? 0 : (this.#held.get(name) ?? 0);
    if (name === undefined || left === 0) return false;
    if (left === 1) this.#held.delete(name);
    else this.#held.set(name, left - 1);
    this.#count -= 1;
    return true;
  }

  #nameOf(
    { creates = '' }: AnyOperation,
    { content, operands, payloads }: CommandWriter,
  ): string | undefined {
    const parts: string[] = [];
    for (const id of creates === 'GPUDevice' ? [] : operands) {
      const part = this.#names.get(id);
      if (part === undefined) return undefined;
      parts.push(part);
    }
    return objectName(creates, content.subarray(1), payloads, parts);
  }
}
