import type { Name, Operation } from './operations.js';
import type { Run } from './run.js';
import { COMPUTE_LAYOUTS, SHADERS } from './shaders.js';

export type Interpreters<K extends Name> = { [N in K]: (run: Run, op: Operation<N>) => unknown };

/** A descriptor whose absent members are undefined: WebIDL treats both alike. */
// biome-ignore lint/suspicious/noExplicitAny: random values are of no type of WebGPU's.
export const descriptor = (members: object): any => members;

type Creating =
  | 'buffer'
  | 'indirect'
  | 'texture'
  | 'view'
  | 'sampler'
  | 'querySet'
  | 'shader'
  | 'bindGroupLayout'
  | 'pipelineLayout'
  | 'computePipeline'
  | 'renderPipeline'
  | 'pipelineGroupLayout'
  | 'bindGroup';

export const creating: Interpreters<Creating> = {
  buffer(run, { device, size, usage, mapped }) {
    const label = run.label('buffer');
    const made = run
      .device(device)
      .createBuffer(descriptor({ label, size, usage, mappedAtCreation: mapped }));
    run.keep('buffer', made, run.device(device));
    if (mapped) run.modes.set(made, 2);
    run.note(`${made.size} bytes, usage ${made.usage}, ${made.mapState}`);
  },

  indirect(run, { device, values, usage }) {
    const size = values.length * 4;
    const label = run.label('indirect');
    const made = run.device(device).createBuffer({ label, size, usage, mappedAtCreation: true });
    new Uint32Array(made.getMappedRange()).set(values);
    made.unmap();
    run.keep('indirect', made);
  },

  texture(run, { device, size, format, usage, levels, samples, dimension }) {
    const members = { size, format, usage, mipLevelCount: levels, sampleCount: samples, dimension };
    const made = run.device(device).createTexture(descriptor({ label: run.label('texture'), ...members }));
    run.keep('texture', made, run.device(device));
    run.note(
      `${made.width} x ${made.height} x ${made.depthOrArrayLayers}, ${made.mipLevelCount} levels, ` +
        `${made.sampleCount} samples, ${made.dimension}, ${made.format}, usage ${made.usage}`,
    );
  },

  view(run, { texture, level, layer, dimension, format }) {
    const members = { baseMipLevel: level, baseArrayLayer: layer, dimension, format };
    const view = run
      .pick('texture', texture)
      .createView(descriptor({ label: run.label('view'), ...members }));
    run.keep('view', view);
  },

  sampler(run, { device, filter, anisotropy, lod }) {
    const members = { minFilter: filter, magFilter: filter, mipmapFilter: filter, maxAnisotropy: anisotropy };
    const made = run
      .device(device)
      .createSampler(descriptor({ label: run.label('sampler'), ...members, lodMinClamp: lod }));
    run.keep('sampler', made);
  },

  querySet(run, { device, type, count }) {
    const made = run.device(device).createQuerySet(descriptor({ label: run.label('querySet'), type, count }));
    run.keep('querySet', made);
    run.note(`${made.type}, ${made.count}`);
  },

  shader(run, { device, code }) {
    const label = run.label('module');
    run.keep('module', run.device(device).createShaderModule({ label, code: SHADERS[code] }));
  },

  bindGroupLayout(run, { device, kind }) {
    const entries = COMPUTE_LAYOUTS[kind] as GPUBindGroupLayoutEntry[];
    const label = run.label('groupLayout');
    run.keep('groupLayout', run.device(device).createBindGroupLayout({ label, entries }));
  },

  pipelineLayout(run, { device, layouts }) {
    const bindGroupLayouts = layouts.map((ref) => (ref === undefined ? null : run.pick('groupLayout', ref)));
    const label = run.label('pipelineLayout');
    run.keep('pipelineLayout', run.device(device).createPipelineLayout({ label, bindGroupLayouts }));
  },

  computePipeline(run, { device, module, layout, entryPoint, constant, async }) {
    const made = descriptor({
      label: run.label('pipeline'),
      layout: layout === undefined ? 'auto' : run.pick('pipelineLayout', layout),
      compute: {
        module: run.pick('module', module),
        entryPoint,
        constants: constant === undefined ? undefined : { k: constant },
      },
    });
    if (async) run.watchObject('pipeline', run.device(device).createComputePipelineAsync(made));
    else run.keep('pipeline', run.device(device).createComputePipeline(made));
  },

  renderPipeline(run, { device, module, layout, format, depth, samples, topology, vertices, blend, async }) {
    const shader = run.pick('module', module);
    const attributes = [{ format: 'uint32x2', offset: 0, shaderLocation: 0 }];
    const component = blend && { operation: blend, srcFactor: 'one', dstFactor: 'one' };
    const made = descriptor({
      label: run.label('pipeline'),
      layout: layout === undefined ? 'auto' : run.pick('pipelineLayout', layout),
      vertex: { module: shader, buffers: vertices ? [{ arrayStride: 8, attributes }] : [] },
      fragment: {
        module: shader,
        targets: [{ format, blend: component && { color: component, alpha: component } }],
      },
      primitive: { topology },
      depthStencil: depth && { format: depth, depthWriteEnabled: true, depthCompare: 'less' },
      multisample: { count: samples },
    });
    if (async) run.watchObject('pipeline', run.device(device).createRenderPipelineAsync(made));
    else run.keep('pipeline', run.device(device).createRenderPipeline(made));
  },

  pipelineGroupLayout(run, { pipeline, index }) {
    const layout = run.pick('pipeline', pipeline).getBindGroupLayout(index);
    layout.label = run.label('groupLayout');
    run.keep('groupLayout', layout);
  },

  bindGroup(run, { device, layout, entries }) {
    const made = descriptor({
      label: run.label('bindGroup'),
      layout: run.pick('groupLayout', layout),
      entries: entries.map(({ binding, kind, resource, offset, size }) => {
        if (kind === 'buffer')
          return { binding, resource: { buffer: run.pick('buffer', resource), offset, size } };
        return { binding, resource: run.pick(kind === 'whole buffer' ? 'buffer' : kind, resource) };
      }),
    });
    run.keep('bindGroup', run.device(device).createBindGroup(made));
  },
};
