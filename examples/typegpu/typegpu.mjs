// Lets bodies attract each other, step by step on the GPU with TypeGPU, and compares their final positions
// with the same steps on the CPU in double precision. This program has no code for Farlight: it runs on any
// GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node typegpu.mjs [--bodies N] [--steps N]
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import tgpu, { d } from 'typegpu';
import { createBodies, simulate } from './reference.mjs';

const { values: flags } = parseArgs({
  options: { bodies: { type: 'string', default: '300' }, steps: { type: 'string', default: '30' } },
});
const steps = Number(flags.steps);
const bodies = createBodies(Number(flags.bodies));
/** For single precision, whose errors grow with the steps. */
const TOLERANCE = 1e-4;
const WORKGROUP = 64;

// Shaders are written in WGSL, so that the program needs no build step: functions marked 'use gpu' need
// TypeGPU's build plugin. Types, layouts, bindings and dependencies between functions are TypeGPU's.
const Body = d.struct({ position: d.vec3f, mass: d.f32, velocity: d.vec3f });
const Bodies = (count) => d.arrayOf(Body, count);
const Settings = d.struct({ step: d.f32, softening: d.f32 });

const layout = tgpu.bindGroupLayout({
  settings: { uniform: Settings },
  before: { storage: Bodies },
  after: { storage: Bodies, access: 'mutable' },
});

const attraction = tgpu.fn([Body, d.vec3f], d.vec3f)`(body: Body, at: vec3f) -> vec3f {
  let towards = body.position - at;
  let square = dot(towards, towards) + layout.$.settings.softening;
  return towards * body.mass * inverseSqrt(square * square * square);
}`.$uses({ Body, layout });

const advance = tgpu.computeFn({
  in: { id: d.builtin.globalInvocationId },
  workgroupSize: [WORKGROUP],
})`{
  let count = arrayLength(&layout.$.before);
  if (in.id.x >= count) { return; }
  var body = layout.$.before[in.id.x];
  var force = vec3f();
  for (var i = 0u; i < count; i++) {
    force += attraction(layout.$.before[i], body.position);
  }
  body.velocity += force * layout.$.settings.step;
  body.position += body.velocity * layout.$.settings.step;
  layout.$.after[in.id.x] = body;
}`.$uses({ attraction, layout });

const root = await tgpu.init();
const settings = { step: 0.01, softening: 0.05 };
const buffers = [0, 1].map(() => root.createBuffer(Bodies(bodies.length), bodies).$usage('storage'));
const uniforms = root.createBuffer(Settings, settings).$usage('uniform');
const groups = [0, 1].map((from) =>
  root.createBindGroup(layout, { settings: uniforms, before: buffers[from], after: buffers[1 - from] }),
);
const pipeline = root.createComputePipeline({ compute: advance });

for (let step = 0; step < steps; step++) {
  pipeline.with(groups[step % 2]).dispatchWorkgroups(Math.ceil(bodies.length / WORKGROUP));
}
const result = await buffers[steps % 2].read();
root.destroy();

const positions = result.map(({ position }) => Array.from(position));
const expected = simulate(bodies, steps, settings).map(({ position }) => position);
const start = bodies.map(({ position }) => position);
const error = furthest(positions, expected);
const digest = createHash('sha256').update(Float32Array.from(positions.flat())).digest('hex');

console.log(
  `${bodies.length} bodies after ${steps} steps, moved by up to ${furthest(positions, start).toFixed(3)}`,
);
console.log(`Largest difference from the CPU: ${error.toExponential(1)}`);
console.log(`Positions: sha256 ${digest}`);
if (!(error < TOLERANCE)) {
  console.error(`The difference should be below ${TOLERANCE}.`);
  process.exitCode = 1;
}

function furthest(points, others) {
  const distances = points.map((point, i) =>
    Math.hypot(...point.map((value, axis) => value - others[i][axis])),
  );
  return Math.max(...distances);
}
