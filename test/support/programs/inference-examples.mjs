// The examples of inference: what they drew, and the functions of their graphs.
export { LINES } from '../../../examples/ocr/page.mjs';
export { cut, join } from '../../../examples/volume/graph/blocks.mjs';
export { ballNetwork } from '../../../examples/volume/network.mjs';
export { BALLS, ballVolume, bodyVolume, drawScan } from '../../../examples/volume/scan.mjs';
