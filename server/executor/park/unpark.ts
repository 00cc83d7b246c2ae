import { packageVersion } from '../../../link/machine/package-version.js';
import { DecodedCommand } from '../wire/decoded-command.js';
import { checked } from './checked.js';
import { writeMappedPiece, writePiece } from './contents/fill.js';
import type { Piece } from './contents/pieces.js';
import { hasTexels } from './contents/read-contents.js';
import { Texels } from './contents/texels.js';
import { readParkedFile } from './parked-file.js';
import { Rebuilding } from './rebuilding.js';
import type { SessionParts, SessionState } from './session-state.js';

/** After so many bytes of writes the GPU is waited for. */
const STEP_BYTES = 32 << 20;

/**
 * Brings a parked session back, in a new process and on this GPU. The session must not have begun. Nothing is sent to
 * the client.
 *
 * @throws Error (rejects) with the reason where the session cannot be exactly what it was.
 */
export async function unparkSession(parts: SessionParts, path: string, key: Uint8Array): Promise<void> {
  const records = readParkedFile(path, key);
  const first = await records.next();
  const state = (first.value as { value: SessionState } | undefined)?.value;
  if (state?.version !== packageVersion())
    throw new Error(`another version of farlight (${state?.version}) has parked it`);
  const commands = state.commands.map(({ shape, mayShare }) => new DecodedCommand(shape, mayShare));
  const rebuilding = new Rebuilding(parts, state, commands);
  await rebuilding.run();
  await fill(rebuilding, records);
  restore(parts, state, rebuilding);
}

/** Writes the contents. */
async function fill(
  rebuilding: Rebuilding,
  records: AsyncIterable<{ value: unknown; bytes: Uint8Array }>,
): Promise<void> {
  let under = 0;
  const written: Promise<void>[] = [];
  const texelsOf = new Map<GPUDevice, Texels>();
  for await (const { value, bytes } of records) {
    const { id, piece } = value as { id: number; piece: Piece };
    const { device, object, isMapped } = rebuilding.resource(id);
    const texels = texelsOf.get(device) ?? new Texels(device);
    texelsOf.set(device, texels);
    if (isMapped) writeMappedPiece(object as GPUBuffer, piece, bytes);
    else written.push(checked(device, () => writePiece(device, texels, object, piece, bytes)).done);
    // Another GPU may store depths in another way.
    if (piece.kind === 'shader' && !(await hasTexels(device, texels, object as GPUTexture, piece, bytes)))
      throw new Error(
        `the texels of a texture (${(object as GPUTexture).format}) cannot be drawn exactly here`,
      );
    under += bytes.length;
    if (under < STEP_BYTES) continue;
    under = 0;
    await Promise.all(written.splice(0));
    await device.queue.onSubmittedWorkDone();
  }
  await Promise.all(written);
  await rebuilding.finish();
}

/** Restores the parts of the session that are no objects. */
function restore(
  { context, runner, decoder, held, tracer }: SessionParts,
  state: SessionState,
  rebuilding: Rebuilding,
): void {
  const { templates, ...decoding } = state.decoder;
  decoder.restore({
    ...decoding,
    templates: templates.map((template) => ({ ...template, command: rebuilding.command(template.command) })),
  });
  runner.restore(state.runner);
  tracer.restore(state.tracer);
  Object.assign(context.work, state.work);
  held.contentsFound = state.work.contentsNamed;
  held.bytesFound = state.work.bytesNotSent;
  context.lines.restore(state.work.bytesToHosts, state.work.bytesFromHosts);
  context.memory.ledger.restorePeak(state.memory.peak);
  if (state.memory.isWatched) context.memoryReports.watch(true);
  if (state.watched !== 0) context.watch(state.watched);
}
