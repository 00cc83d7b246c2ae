/** The worker of a lane: an ONNX Runtime and a session of its own, on one GPU host. */
import { workerData } from 'node:worker_threads';
import type { KeptValue, LaneModel } from '../lane.js';
import { answerCalls, sayGpu, sayLost, sayMemory } from '../worker-answers.js';
import type { GpuLaneGiven, MarkedRun, OpenedGpu } from './gpu-lane.js';
import { GpuModels } from './gpu-models.js';
import { GpuWatch } from './gpu-watch.js';
import { LaneDevice } from './lane-device.js';
import { loadRuntime, startRuntime } from './runtime.js';

const { name, program, ...options } = workerData as GpuLaneGiven;
// Hosts keep executors warm for a program by this name: a lane is its program's, which may have had sessions before.
if (program !== undefined) process.argv[1] = program;
let models: GpuModels;
let watch: GpuWatch;
let device: LaneDevice | undefined;

answerCalls({
  methods: {
    open: async () => {
      const ort = await loadRuntime();
      device = await LaneDevice.open(options);
      device.installGlobals();
      ort.env.webgpu.adapter = device.adapter;
      models = new GpuModels(name, ort, device);
      watch = new GpuWatch(device.device, sayGpu);
      const { lost } = device.device;
      void lost.then(({ message }) => sayLost(`Its GPU was lost: ${message}`));
      device.device.onuncapturederror = (event) => {
        event.preventDefault();
        sayLost(`The GPU had an error outside of a run: ${event.error.message}`);
      };
      await startRuntime(ort, device.device);
      const state = await device.followMemory(sayMemory);
      return { value: { state, isWatched: watch.isOn } satisfies OpenedGpu };
    },
    load: async (model: LaneModel) => ({ value: await models.load(model) }),
    unload: async (id: string) => ({ value: await models.unload(id) }),
    run: async ({ marks, ...run }: MarkedRun) => {
      watch.mark(marks.begin);
      const value = await models.run(run).finally(() => watch.mark(marks.end));
      const tensors = Object.values(value.outputs).flat();
      return { value, tensors: tensors.filter((each) => 'data' in each) };
    },
    fetch: async (values: readonly KeptValue[]) => {
      const tensors = await models.fetch(values);
      return { value: tensors, tensors };
    },
    drop: async (values: readonly KeptValue[]) => ({ value: models.drop(values) }),
  },
  leave: () => device?.close(),
});
