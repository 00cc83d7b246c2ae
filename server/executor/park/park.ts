import { packageVersion } from '../../../link/machine/package-version.js';
import { pause } from '../../../link/machine/timer.js';
import { messageOf } from '../../../proto/errors.js';
import { GPUMapMode, GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import type { ParkTarget } from '../../../proto/session/executor-messages.js';
import { isSpendable, keptOf } from '../live/live-objects.js';
import type { MappedRange } from '../live/parkable.js';
import type { ErrorScopes } from '../objects/error-scopes.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import { AtWork, Unparkable } from '../wire/endpoint.js';
import { checked } from './checked.js';
import { writePiece } from './contents/fill.js';
import type { ShaderPiece } from './contents/pieces.js';
import { hasTexels, readContents, type Wanted } from './contents/read-contents.js';
import { Texels } from './contents/texels.js';
import { judgeResources } from './judge.js';
import { ParkedFileWriter } from './parked-file.js';
import { checkRest, named, objectOf, type Resource, resourcesOf } from './rest.js';
import { type Described, described } from './same-gpu.js';
import type { DeviceState, SessionParts, SessionState } from './session-state.js';

const ZEROS = Buffer.alloc(64 << 10);

/** How soon to look again whether a frame has come, in milliseconds. */
const LOOK_MS = 2;

/**
 * Stores a session at rest: its state, and the contents of its resources. The session itself stays as it is. Resolves to
 * the bytes that were written.
 *
 * @param isAtWork whether the session has begun to work meanwhile. Then the file is useless.
 * @throws Unparkable (rejects) with the reason. Then there is no file.
 */
export async function parkSession(
  parts: SessionParts,
  { path, key, mostBytes }: ParkTarget,
  isAtWork: () => boolean,
): Promise<number> {
  let file: ParkedFileWriter | undefined;
  /** The buffers that the program has mapped for reading. They are read like others. */
  const unmapped: GPUBuffer[] = [];
  try {
    checkRest(parts);
    // Errors and losses of earlier work are known when the work is done. A rejection means a lost device, which is stored as
    // such.
    const works = [...devicesOf(parts)].map(({ device }) =>
      device.queue.onSubmittedWorkDone().catch(() => {}),
    );
    await doneUnless(isAtWork, Promise.all(works));
    await lookAtScopes(parts);
    await judgeResources(parts);
    if (isAtWork()) throw new AtWork();
    checkRest(parts);
    const resources = resourcesOf(parts);
    const state = stateOf(parts);
    file = await ParkedFileWriter.create(path, key, mostBytes);
    await file.write(state);
    for (const { object } of resources)
      if ('size' in object && object.mapState === 'mapped') unmapped.push(object);
    for (const buffer of unmapped) buffer.unmap();
    await storeContents(parts, resources, file, isAtWork);
    if (isAtWork()) throw new AtWork();
    await file.end();
    return file.bytes;
  } catch (error) {
    await file?.abandon();
    await Promise.all(unmapped.map((buffer) => mapAgain(parts, buffer)));
    const refused =
      error instanceof Unparkable ? error : new Unparkable(messageOf(error) || 'its contents cannot be read');
    refused.wasRead = file !== undefined;
    throw refused;
  }
}

/** Resolves with the GPU's work, which may take any time. @throws AtWork (rejects) where the session works before that. */
async function doneUnless(isAtWork: () => boolean, works: Promise<unknown>): Promise<void> {
  let isDone = false;
  void works.then(() => {
    isDone = true;
  });
  while (!isDone) {
    if (isAtWork()) throw new AtWork();
    await pause(LOOK_MS);
  }
}

/** Where this fails, the device is lost, and the program hears of that. */
async function mapAgain({ context }: SessionParts, buffer: GPUBuffer): Promise<void> {
  const { offset, size } = context.parkable.mapped.get(buffer) as MappedRange;
  await buffer.mapAsync(GPUMapMode.READ, offset, size).catch(() => {});
}

async function storeContents(
  parts: SessionParts,
  resources: readonly Resource[],
  file: ParkedFileWriter,
  isAtWork: () => boolean,
): Promise<void> {
  for (const { id, device } of devicesOf(parts)) {
    const wanted: Wanted[] = resources
      .filter((each) => each.device === id)
      .flatMap(({ id, object, pieces }) => pieces.map((piece) => ({ id, resource: object, piece })));
    if (wanted.length === 0) continue;
    const texels = new Texels(device);
    await readContents(device, texels, wanted, async ({ id, resource, piece }, bytes) => {
      // New resources are zero.
      if (isZero(bytes)) return !isAtWork();
      await file.write({ id, piece }, bytes);
      if (piece.kind === 'shader') await tryToWrite(device, texels, resource as GPUTexture, piece, bytes);
      return !isAtWork();
    });
  }
}

/**
 * Writes texels into another texture, to see whether drawing them again is exact here: WebGPU does not say how
 * depth24plus is stored.
 */
async function tryToWrite(
  device: GPUDevice,
  texels: Texels,
  texture: GPUTexture,
  piece: ShaderPiece,
  bytes: Uint8Array,
): Promise<void> {
  const { format, sampleCount } = texture;
  const { TEXTURE_BINDING, RENDER_ATTACHMENT } = GPUTextureUsage;
  const size = { width: piece.width, height: piece.rows };
  const first = { ...piece, mipLevel: 0, layer: 0, y: 0 };
  const usage = TEXTURE_BINDING | RENDER_ATTACHMENT;
  const { result: other, done } = checked(device, () => {
    const made = device.createTexture({ label: 'parked contents', size, format, sampleCount, usage });
    writePiece(device, texels, made, first, bytes);
    return made;
  });
  try {
    await done;
    if (await hasTexels(device, texels, other, first, bytes)) return;
  } finally {
    other.destroy();
  }
  throw new Unparkable(
    `the texels of the texture ${named(texture)} (${format}) cannot be drawn again exactly on this GPU`,
  );
}

function stateOf(parts: SessionParts): SessionState {
  const { context, runner, decoder, held, tracer } = parts;
  const { live } = context.parkable;
  const commands: DecodedCommand[] = [];
  const positions = new Map<DecodedCommand, number>();
  const position = (command: DecodedCommand) => {
    const known = positions.get(command);
    if (known !== undefined) return known;
    positions.set(command, commands.push(command) - 1);
    return commands.length - 1;
  };
  const { templates, ...decoding } = decoder.state;
  const entries = live.entries();
  const known = new Map<number, Described>();
  for (const { id, object } of context.objects.all('GPUAdapter'))
    known.set(id, described(object as GPUAdapter, (object as GPUAdapter).info));
  for (const { id, object } of context.objects.all('GPUDevice'))
    known.set(id, described(object as GPUDevice, (object as GPUDevice).adapterInfo));
  const all = [...context.objects.entries];
  const { used, peak } = context.memory.ledger;
  return {
    version: packageVersion(),
    decoder: {
      ...decoding,
      templates: templates.map((template) => ({ ...template, command: position(template.command) })),
    },
    objects: entries.map(keptOf).map((made) => ({
      ...made,
      command: position(made.command),
      recorded: made.recorded.map((step) => ({ ...step, command: position(step.command) })),
    })),
    spent: all
      .filter(({ kind }) => isSpendable(kind))
      .map(({ id, kind, device }) => ({ id, kind, device: device?.id ?? 0 })),
    devices: [...context.objects.all('GPUDevice')].map((entry): DeviceState => {
      const { isLost, scopes, asides } = context.devices.of(entry);
      return { id: entry.id, isLost, scopes: scopes.state, hasBrought: asides.latest.data };
    }),
    described: known,
    mapped: mappedOf(parts),
    runner: runner.counts,
    tracer: tracer.counts,
    work: {
      ...context.work,
      contentsNamed: held.contentsFound,
      bytesNotSent: held.bytesFound,
      bytesToHosts: context.lines.sent,
      bytesFromHosts: context.lines.received,
    },
    memory: { used, peak, isWatched: context.memoryReports.isWatched },
    watched: context.watched,
    // Last: the list is complete when all others have their positions.
    commands: commands.map(({ shape, mayShare }) => ({ shape, mayShare })),
  };
}

/** The buffers that are mapped for reading. */
function mappedOf({ context }: SessionParts): SessionState['mapped'] {
  const { live, mapped } = context.parkable;
  return live.entries().flatMap((made) => {
    const object = objectOf(context, made) as GPUBuffer | undefined;
    const range = object && mapped.get(object);
    return range && object.mapState === 'mapped' ? [{ id: made.id, ...range }] : [];
  });
}

/** The devices that are not lost. */
function* devicesOf({
  context,
}: SessionParts): Generator<{ id: number; device: GPUDevice; scopes: ErrorScopes }> {
  for (const entry of context.objects.all('GPUDevice')) {
    const { device, scopes, isLost } = context.devices.of(entry);
    if (!isLost) yield { id: entry.id, device, scopes };
  }
}

/** Moves the errors that the implementation's own scopes have caught into ours. */
async function lookAtScopes(parts: SessionParts): Promise<void> {
  for (const { device, scopes } of devicesOf(parts))
    if (scopes.count > 0) await scopes.look(device, scopes.count);
}

function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (ZEROS.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}
