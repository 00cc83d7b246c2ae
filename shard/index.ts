export type { Link } from './plan/costs.js';
export type { PlanReport } from './plan/report.js';
export { type ModelPlan, type PlanOptions, planModel, walkModel } from './plan-model.js';
