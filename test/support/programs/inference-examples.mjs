// The truth of the examples of inference: what they drew.
export { LINES } from '../../../examples/ocr/page.mjs';
