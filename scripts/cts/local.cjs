// The GPU provider that stands for this machine's own Dawn, for scripts/cts.mjs.
const { create, globals } = require('webgpu');

Object.assign(globalThis, globals);
module.exports = { create };
