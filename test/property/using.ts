import { descriptor, type Interpreters } from './creating.js';
import { describe, Missing } from './run.js';

type Using =
  | 'clearBuffer'
  | 'copyBuffer'
  | 'copyToTexture'
  | 'copyFromTexture'
  | 'copyTexture'
  | 'resolveQueries'
  | 'submit'
  | 'writeBuffer'
  | 'writeTexture'
  | 'map'
  | 'range'
  | 'unmap'
  | 'destroy'
  | 'destroyDevice'
  | 'pushScope'
  | 'popScope'
  | 'done'
  | 'compilation'
  | 'label';

/** Bytes that make small 32-bit numbers, wherever they are read. */
const bytesOf = (length: number, value: number) =>
  new Uint8Array(length).map((_, at) => (at % 4 === 0 ? value : 0));

export const using: Interpreters<Using> = {
  clearBuffer(run, { encoder, buffer, offset, size }) {
    run.pick('encoder', encoder).clearBuffer(run.pick('buffer', buffer), offset, size);
  },

  copyBuffer(run, { encoder, from, fromOffset, to, toOffset, size }) {
    const [source, destination] = [run.pick('buffer', from), run.pick('buffer', to)];
    run.pick('encoder', encoder).copyBufferToBuffer(source, fromOffset, destination, toOffset, size);
  },

  copyToTexture(run, { encoder, from, offset, bytesPerRow, texture, level, origin, size }) {
    const source = { buffer: run.pick('buffer', from), offset, bytesPerRow, rowsPerImage: 8 };
    const destination = { texture: run.pick('texture', texture), mipLevel: level, origin };
    run
      .pick('encoder', encoder)
      .copyBufferToTexture(descriptor(source), descriptor(destination), size as never);
  },

  copyFromTexture(run, { encoder, texture, level, origin, to, offset, bytesPerRow, size }) {
    const source = { texture: run.pick('texture', texture), mipLevel: level, origin };
    const destination = { buffer: run.pick('buffer', to), offset, bytesPerRow, rowsPerImage: 8 };
    run
      .pick('encoder', encoder)
      .copyTextureToBuffer(descriptor(source), descriptor(destination), size as never);
  },

  copyTexture(run, { encoder, from, fromOrigin, to, toOrigin, level, size }) {
    const source = { texture: run.pick('texture', from), origin: fromOrigin, mipLevel: level };
    const destination = { texture: run.pick('texture', to), origin: toOrigin };
    run
      .pick('encoder', encoder)
      .copyTextureToTexture(descriptor(source), descriptor(destination), size as never);
  },

  resolveQueries(run, { encoder, querySet, first, count, buffer, offset }) {
    const [queries, destination] = [run.pick('querySet', querySet), run.pick('buffer', buffer)];
    run.pick('encoder', encoder).resolveQuerySet(queries, first, count, destination, offset);
  },

  submit(run, { device, commands }) {
    run.device(device).queue.submit(commands.map((ref) => run.pick('commands', ref)));
  },

  writeBuffer(run, { device, buffer, offset, bytes, from, size, value }) {
    const data = bytesOf(bytes, value);
    run.device(device).queue.writeBuffer(run.pick('buffer', buffer), offset, data, from, size);
  },

  writeTexture(run, { device, texture, level, origin, bytes, offset, bytesPerRow, size, value }) {
    const destination = { texture: run.pick('texture', texture), mipLevel: level, origin };
    const layout = { offset, bytesPerRow, rowsPerImage: 8 };
    const data = bytesOf(bytes, value);
    run.device(device).queue.writeTexture(descriptor(destination), data, descriptor(layout), size as never);
  },

  map(run, { buffer, mode, offset, size }) {
    const mapped = run.pick('buffer', buffer);
    const promise = mapped.mapAsync(mode, offset, size);
    const mapping = () => {
      run.modes.set(mapped, mode);
      return 'mapped';
    };
    run.watch(promise, mapping, { device: run.ownerOf(mapped), of: 'map' });
    run.note(mapped.mapState);
  },

  range(run, { buffer, offset, size, value }) {
    const mapped = run.pick('buffer', buffer);
    // On a lost device, local Dawn gives out ranges of unmapped buffers.
    if (run.lost.has(run.ownerOf(mapped)) && mapped.mapState !== 'mapped') throw new Missing('mapping');
    const range = mapped.getMappedRange(offset, size);
    run.ranges.push(range);
    const bytes = new Uint8Array(range);
    run.note(`${bytes.length} bytes ${Buffer.from(bytes).toString('hex')}`);
    // Writes to a mapping for READ are lost, but not on local Dawn.
    if (run.modes.get(mapped) === 2) bytes.set(bytesOf(bytes.length, value));
  },

  unmap(run, { buffer }) {
    const mapped = run.pick('buffer', buffer);
    mapped.unmap();
    run.note(mapped.mapState);
  },

  destroy(run, { kind, object }) {
    const destroyed = run.pick(kind, object);
    destroyed.destroy();
    if ('mapState' in destroyed) run.note(destroyed.mapState);
  },

  destroyDevice(run, { device }) {
    // Whether a pending pipeline is rejected or lost is a race.
    if (run.making > 0) throw new Missing('quiet');
    // Local Dawn leaves them pending.
    for (const buffer of run.all('buffer'))
      if (run.ownerOf(buffer) === run.device(device) && buffer.mapState === 'pending') buffer.unmap();
    run.device(device).destroy();
    run.lost.add(run.device(device));
    for (const buffer of run.all('buffer')) run.note(`${buffer.label} is ${buffer.mapState}`);
  },

  pushScope(run, { device, filter }) {
    run.device(device).pushErrorScope(filter as GPUErrorFilter);
    run.scopes[device] = (run.scopes[device] ?? 0) + 1;
  },

  popScope(run, { device }) {
    run.watch(run.device(device).popErrorScope(), describe);
    run.scopes[device] = Math.max(0, (run.scopes[device] ?? 0) - 1);
  },

  done(run, { device }) {
    const promise = run.device(device).queue.onSubmittedWorkDone();
    run.watch(promise, undefined, { device: run.device(device), of: 'done' });
  },

  compilation(run, { module }) {
    run.watch(run.pick('module', module).getCompilationInfo(), ({ messages }) =>
      [...messages]
        .map(({ type, message, lineNum, linePos }) => `${type} ${lineNum}:${linePos} ${message}`)
        .join(),
    );
  },

  label(run, { kind, object, text }) {
    const labelled = run.pick(kind, object);
    labelled.label = text;
    run.note(labelled.label);
  },
};
