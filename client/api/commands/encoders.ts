import { type GPURenderBundleEncoderDescriptor, OPERATIONS } from '../../../proto/gen/operations.js';
import {
  enforceRange,
  requireArguments,
  toBytes,
  toInterface,
  toSequence,
} from '../../../proto/webidl/converters.js';
import type { Resource } from '../../../proto/webidl/resource.js';
import { isTypedArray } from '../../../proto/webidl/slots.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { ClientResource } from '../../session/client-resource.js';
import {
  defineInterface,
  defineObjectBase,
  defineResource,
  deviceOf,
  illegal,
  localCall,
} from '../interface.js';
import { requireFormats } from '../textures/format-features.js';
import { subrange } from './queue.js';

const U32 = 2 ** 32 - 1;

/** https://gpuweb.github.io/gpuweb/#gpucommandencoder */
export class GPUCommandEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  /** With up to three arguments it copies from start to start. With more, each buffer has an offset. */
  copyBufferToBuffer(...args: unknown[]): undefined {
    const where = 'GPUCommandEncoder.copyBufferToBuffer';
    const encoder = localCall(this, 'GPUCommandEncoder', 'copyBufferToBuffer');
    requireArguments(args.length, 2, where);
    const [source, sourceOffset, destination, destinationOffset, size] =
      args.length <= 3 ? [args[0], 0, args[1], 0, args[2]] : args;
    const bytes = (value: unknown, name: string) =>
      enforceRange(value, 0, Number.MAX_SAFE_INTEGER, 'unsigned long long', `${where}: ${name}`);
    const converted = [
      toInterface(source, 'GPUBuffer', `${where}: source`),
      bytes(sourceOffset, 'sourceOffset'),
      toInterface(destination, 'GPUBuffer', `${where}: destination`),
      bytes(destinationOffset, 'destinationOffset'),
      size === undefined ? undefined : bytes(size, 'size'),
    ];
    encoder.session.record(OPERATIONS.GPUCommandEncoder.copyBufferToBuffer, encoder, converted);
  }
}

defineObjectBase(GPUCommandEncoder, 'GPUCommandEncoder');
defineInterface('GPUCommandEncoder', GPUCommandEncoder);

/** https://gpuweb.github.io/gpuweb/#gpucomputepassencoder */
export class GPUComputePassEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  setBindGroup(...args: unknown[]): undefined {
    setBindGroup(this, 'GPUComputePassEncoder', args);
  }

  setImmediates(...args: unknown[]): undefined {
    setImmediates(this, 'GPUComputePassEncoder', args);
  }
}

defineObjectBase(GPUComputePassEncoder, 'GPUComputePassEncoder');
defineInterface('GPUComputePassEncoder', GPUComputePassEncoder);

/** https://gpuweb.github.io/gpuweb/#gpurenderpassencoder */
export class GPURenderPassEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  setBindGroup(...args: unknown[]): undefined {
    setBindGroup(this, 'GPURenderPassEncoder', args);
  }

  setImmediates(...args: unknown[]): undefined {
    setImmediates(this, 'GPURenderPassEncoder', args);
  }
}

defineObjectBase(GPURenderPassEncoder, 'GPURenderPassEncoder');
defineInterface('GPURenderPassEncoder', GPURenderPassEncoder);

/** https://gpuweb.github.io/gpuweb/#gpurenderbundleencoder */
export class GPURenderBundleEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  setBindGroup(...args: unknown[]): undefined {
    setBindGroup(this, 'GPURenderBundleEncoder', args);
  }

  setImmediates(...args: unknown[]): undefined {
    setImmediates(this, 'GPURenderBundleEncoder', args);
  }
}

defineResource<GPURenderBundleEncoderDescriptor<unknown>>('GPURenderBundleEncoder', (device, descriptor) => {
  const { colorFormats, depthStencilFormat } = descriptor;
  requireFormats(device, 'GPUDevice.createRenderBundleEncoder', [...colorFormats, depthStencilFormat]);
  return new ClientResource(device.session, 'GPURenderBundleEncoder', deviceOf(device), descriptor.label);
});
defineObjectBase(GPURenderBundleEncoder, 'GPURenderBundleEncoder');
defineInterface('GPURenderBundleEncoder', GPURenderBundleEncoder);

/**
 * GPUBindingCommandsMixin.setBindGroup: takes dynamic offsets as a sequence, or as a part of a Uint32Array.
 */
function setBindGroup(self: unknown, name: BindingInterface, args: unknown[]): undefined {
  const where = `${name}.setBindGroup`;
  const pass = localCall(self, name, 'setBindGroup');
  requireArguments(args.length, 2, where);
  if (args.length === 4) throw new TypeError(`${where} takes 2, 3 or 5 arguments, and got 4`);
  const index = enforceRange(args[0], 0, U32, 'unsigned long', `${where}: index`);
  const group: Resource | null =
    args[1] === null || args[1] === undefined
      ? null
      : toInterface(args[1], 'GPUBindGroup', `${where}: bindGroup`);
  const offsets = args.length < 5 ? sequenceOffsets(args[2], where) : arrayOffsets(args, where);
  pass.session.record(row(name, 'setBindGroup'), pass, [index, group, offsets]);
}

/** GPUBindingCommandsMixin.setImmediates */
function setImmediates(self: unknown, name: BindingInterface, args: unknown[]): undefined {
  const where = `${name}.setImmediates`;
  const pass = localCall(self, name, 'setImmediates');
  requireArguments(args.length, 2, where);
  const rangeOffset = enforceRange(args[0], 0, U32, 'unsigned long', `${where}: rangeOffset`);
  const data = toBytes(args[1], `${where}: data`);
  const [offset, size] = [args[2], args[3]].map((value) =>
    value === undefined
      ? undefined
      : enforceRange(value, 0, Number.MAX_SAFE_INTEGER, 'unsigned long long', where),
  );
  const bytes = subrange(data, args[1], offset ?? 0, size, where);
  pass.session.record(row(name, 'setImmediates'), pass, [rangeOffset, bytes]);
}

type BindingInterface = 'GPUComputePassEncoder' | 'GPURenderPassEncoder' | 'GPURenderBundleEncoder';

function row(name: BindingInterface, member: 'setBindGroup' | 'setImmediates'): AnyOperation {
  return OPERATIONS[name][member];
}

function sequenceOffsets(value: unknown, where: string): number[] {
  if (value === undefined) return [];
  const offset = `${where}: dynamicOffsets`;
  return toSequence(value, (element) => enforceRange(element, 0, U32, 'unsigned long', offset), offset);
}

function arrayOffsets([, , data, start, length]: unknown[], where: string): number[] {
  if (!isTypedArray(data, 'Uint32Array'))
    throw new TypeError(`${where}: dynamicOffsetsData is not a Uint32Array`);
  const from = enforceRange(
    start,
    0,
    Number.MAX_SAFE_INTEGER,
    'unsigned long long',
    `${where}: dynamicOffsetsDataStart`,
  );
  const size = enforceRange(length, 0, U32, 'unsigned long', `${where}: dynamicOffsetsDataLength`);
  if (from + size > data.length) {
    throw new RangeError(
      `${where}: offsets ${from} to ${from + size} are outside an array of length ${data.length}`,
    );
  }
  return [...data.subarray(from, from + size)];
}
