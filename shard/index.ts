export type { Link } from './plan/costs.js';
export type { PlanReport } from './plan/report.js';
export { type ModelPlan, type PlanOptions, planModel, walkModel } from './plan-model.js';
export type { HostTensor } from './run/host-tensor.js';
export type { ShardedModel } from './run/sharded-model.js';
export { type ShardOptions, shard } from './shard.js';
