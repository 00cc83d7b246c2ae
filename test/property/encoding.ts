import { descriptor, type Interpreters } from './creating.js';
import { Missing, type Run } from './run.js';

type Encoding =
  | 'encoder'
  | 'computePass'
  | 'renderPass'
  | 'setPipeline'
  | 'setBindGroup'
  | 'setBuffer'
  | 'dispatch'
  | 'draw'
  | 'drawIndirect'
  | 'setState'
  | 'occlusion'
  | 'bundleEncoder'
  | 'finishBundle'
  | 'executeBundles'
  | 'endPass'
  | 'debug'
  | 'finish';

/** The pass, if it has the operation: that is the same on each side. */
function passWith<M extends string>(
  run: Run,
  ref: number,
  member: M,
): Record<M, (...args: unknown[]) => void> {
  const pass = run.pick('pass', ref);
  if (!(member in pass)) throw new Missing(`pass with ${member}`);
  return pass as never;
}

export const encoding: Interpreters<Encoding> = {
  encoder(run, { device }) {
    run.keep('encoder', run.device(device).createCommandEncoder({ label: run.label('encoder') }));
  },

  computePass(run, { encoder }) {
    run.keep('pass', run.pick('encoder', encoder).beginComputePass({ label: run.label('pass') }));
  },

  renderPass(run, { encoder, view, depth, resolve, querySet, load, store, color, wholeTexture }) {
    const target = (ref: number) => {
      if (wholeTexture && run.all('texture').length > 0) return run.pick('texture', ref);
      return run.pick('view', ref);
    };
    const attachment = {
      view: target(view),
      resolveTarget: resolve === undefined ? undefined : target(resolve),
      loadOp: load,
      storeOp: store,
      clearValue: color,
    };
    const depthAttachment = depth !== undefined && {
      view: target(depth),
      depthLoadOp: 'clear',
      depthStoreOp: 'store',
      depthClearValue: 1,
    };
    const made = {
      label: run.label('pass'),
      colorAttachments: [attachment],
      depthStencilAttachment: depthAttachment || undefined,
      occlusionQuerySet: querySet === undefined ? undefined : run.pick('querySet', querySet),
    };
    run.keep('pass', run.pick('encoder', encoder).beginRenderPass(descriptor(made)));
  },

  setPipeline(run, { pass, pipeline }) {
    run.pick('pass', pass).setPipeline(run.pick('pipeline', pipeline) as never);
  },

  setBindGroup(run, { pass, index, group, offsets }) {
    const bound = group === undefined ? null : run.pick('bindGroup', group);
    run.pick('pass', pass).setBindGroup(index, bound, offsets);
  },

  setBuffer(run, { pass, buffer, kind, slot, offset, size }) {
    const given = run.pick('buffer', buffer);
    if (kind === 'vertex') passWith(run, pass, 'setVertexBuffer').setVertexBuffer(slot, given, offset, size);
    else passWith(run, pass, 'setIndexBuffer').setIndexBuffer(given, 'uint32', offset, size);
  },

  dispatch(run, { pass, x, y, z, over }) {
    passWith(run, pass, 'dispatchWorkgroups').dispatchWorkgroups(over ? 65536 : x, y, z);
  },

  draw(run, { pass, vertices, instances, first, indexed }) {
    const member = indexed ? 'drawIndexed' : 'draw';
    passWith(run, pass, member)[member](vertices, instances, first);
  },

  drawIndirect(run, { pass, buffer, offset, indexed }) {
    const given = run.pick('indirect', buffer);
    const compute = 'dispatchWorkgroupsIndirect' in run.pick('pass', pass);
    const drawing = indexed ? 'drawIndexedIndirect' : 'drawIndirect';
    const member = compute ? 'dispatchWorkgroupsIndirect' : drawing;
    passWith(run, pass, member)[member](given, offset);
  },

  setState(run, { pass, what, number }) {
    if (what === 'viewport')
      passWith(run, pass, 'setViewport').setViewport(0, 0, number, number, 0, number > 8 ? 2 : 1);
    if (what === 'scissor') passWith(run, pass, 'setScissorRect').setScissorRect(0, 0, number, 4);
    if (what === 'blend') passWith(run, pass, 'setBlendConstant').setBlendConstant([number, 0, 0, 1]);
    if (what === 'stencil') passWith(run, pass, 'setStencilReference').setStencilReference(number);
  },

  occlusion(run, { pass, begin, index }) {
    if (begin) passWith(run, pass, 'beginOcclusionQuery').beginOcclusionQuery(index);
    else passWith(run, pass, 'endOcclusionQuery').endOcclusionQuery();
  },

  bundleEncoder(run, { device, format }) {
    const label = run.label('pass');
    run.keep(
      'pass',
      run.device(device).createRenderBundleEncoder(descriptor({ label, colorFormats: [format] })),
    );
  },

  finishBundle(run, { bundle }) {
    const encoders = run.all('pass').filter((pass) => 'finish' in pass);
    if (encoders.length === 0) throw new Missing('bundle encoder');
    const encoder = encoders[encoders.length - 1 - (bundle % encoders.length)] as GPURenderBundleEncoder;
    run.keep('bundle', encoder.finish({ label: run.label('bundle') }));
  },

  executeBundles(run, { pass, bundles }) {
    const given = bundles.map((ref) => run.pick('bundle', ref));
    passWith(run, pass, 'executeBundles').executeBundles(given);
  },

  endPass(run, { pass }) {
    passWith(run, pass, 'end').end();
  },

  debug(run, { target, encoder, what, text }) {
    const commands = target === 'encoder' ? run.pick('encoder', encoder) : run.pick('pass', encoder);
    if (what === 'push') commands.pushDebugGroup(text);
    if (what === 'pop') commands.popDebugGroup();
    if (what === 'mark') commands.insertDebugMarker(text);
  },

  finish(run, { encoder }) {
    run.keep('commands', run.pick('encoder', encoder).finish({ label: run.label('commands') }));
  },
};
