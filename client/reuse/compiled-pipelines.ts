import { OBJECT_NAME_BYTES, objectName } from '../../link/machine/hashing.js';
import { ProtocolError } from '../../proto/errors.js';
import { bytesToHex } from '../../proto/hex.js';
import type { CommandWriter } from '../../proto/wire/command-writer.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';

/**
 * The kinds of objects that a pipeline is made of, beside content. An adapter is not named: a device tells
 * what it is.
 */
const NAMED: ReadonlySet<string | undefined> = new Set([
  'GPUDevice',
  'GPUShaderModule',
  'GPUBindGroupLayout',
  'GPUPipelineLayout',
]);

/**
 * The pipelines that the host has already compiled, by name. The host tells them when a session begins, and
 * when it has compiled ahead. A named pipeline can be given out at once, because it is known to be valid. Each
 * name counts as often as it was told: a pipeline with an automatic layout has one owner.
 */
export class CompiledPipelines {
  /** How many pipelines there are of each name, and in total. */
  readonly #ready = new Map<string, number>();
  #count = 0;
  /** The names of this session's objects, by id. */
  readonly #names = new Map<number, string>();

  /** Adds names that the host tells. Throws ProtocolError if they are malformed. */
  add(names: Uint8Array): void {
    if (names.length % OBJECT_NAME_BYTES !== 0) throw new ProtocolError('a name is cut short');
    for (let at = 0; at < names.length; at += OBJECT_NAME_BYTES) {
      if (this.#count >= LIMITS.templates) throw new ProtocolError('there are too many names');
      const name = bytesToHex(names.subarray(at, at + OBJECT_NAME_BYTES));
      this.#ready.set(name, (this.#ready.get(name) ?? 0) + 1);
      this.#count += 1;
    }
  }

  /** Notes an object that a command has created. */
  created(operation: AnyOperation, command: CommandWriter, id: number): void {
    if (!NAMED.has(operation.creates)) return;
    const name = this.#nameOf(operation, command);
    if (name !== undefined) this.#names.set(id, name);
  }

  released(id: number): void {
    this.#names.delete(id);
  }

  /** Whether the host has the object that a command creates. If so, it counts as given out from now on. */
  take(operation: AnyOperation, command: CommandWriter): boolean {
    if (this.#count === 0) return false;
    const name = this.#nameOf(operation, command);
    const left = name === undefined ? 0 : (this.#ready.get(name) ?? 0);
    if (name === undefined || left === 0) return false;
    if (left === 1) this.#ready.delete(name);
    else this.#ready.set(name, left - 1);
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
