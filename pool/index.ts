export { FarlightError, type FarlightErrorCode } from '../proto/errors.js';
export { type OffloadOptions, offload } from './environment/offload.js';
