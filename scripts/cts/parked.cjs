// The GPU provider of scripts/cts/park.mjs. It runs the cases of a plan, in its order, and asks its parent to park or to move
// the session at random moments: when a promise of WebGPU is settled, and before the case hears of that. It also tells its
// parent why a device was lost.
//
// FARLIGHT_CTS_PLAN names the plan, a JSON file: `cases`, their full names; `isParked`, whether to ask; `seed`.
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { inspect } = require('node:util');
const { create } = require('../../dist/client/cts.js');

/** The methods of WebGPU that return promises. */
const AWAITED = [
  [GPU, 'requestAdapter'],
  [GPUAdapter, 'requestDevice'],
  [GPUBuffer, 'mapAsync'],
  [GPUDevice, 'createComputePipelineAsync'],
  [GPUDevice, 'createRenderPipelineAsync'],
  [GPUDevice, 'popErrorScope'],
  [GPUQueue, 'onSubmittedWorkDone'],
  [GPUShaderModule, 'getCompilationInfo'],
];
/** A case is asked first at one of its first moments. Each time it is asked the gap grows: some cases have thousands. */
const FIRST = 4;
const GROWTH = 3;
/** How many of the requests are to move, and not to park. */
const MOVES = 0.3;

/** A session that comes back takes time, so that what the suite gives up after a second or more waits longer. */
const PATIENCE = 60;

const { cases, isParked, seed } = JSON.parse(readFileSync(process.env.FARLIGHT_CTS_PLAN, 'utf8'));
const suite = (file) => require(join(process.cwd(), 'out-node/common/internal', file));

// The suite takes its timers from here, if this is there before it is loaded.
globalThis.step_timeout = (then, ms) => setTimeout(then, isParked && ms >= 1000 ? ms * PATIENCE : ms);

let moments;

/** The moments of one case at which to ask. The same case has the same ones each time. */
class Moments {
  #random;
  #left;
  #gap = FIRST;

  constructor(name) {
    this.#random = randomNumbers(`${seed} ${name}`);
    this.#left = this.#draw();
  }

  /** What to ask for now; undefined: nothing. */
  next() {
    this.#left -= 1;
    if (this.#left > 0) return undefined;
    this.#gap *= GROWTH;
    this.#left = this.#draw();
    return this.#random() < MOVES ? 'move' : 'park';
  }

  #draw() {
    return 1 + Math.floor(this.#random() * this.#gap);
  }
}

/** Numbers from 0 to below 1. */
function randomNumbers(text) {
  let count = 0;
  return () => {
    count += 1;
    return createHash('sha256').update(`${text} ${count}`).digest().readUInt32LE() / 2 ** 32;
  };
}

/** Resolves when all moments before this one are over, and this one too. So promises are settled in the same order. */
let gate = Promise.resolve();
function pass() {
  gate = gate.then(async () => {
    const what = moments?.next();
    if (what === undefined) return undefined;
    await release();
    const answered = new Promise((resolve) => process.once('message', resolve));
    process.send({ ask: what });
    return answered;
  });
  return gate;
}

const { onSubmittedWorkDone } = GPUQueue.prototype;
/** A device of the case. */
let device;

/** Has the host forget what nobody reaches any more: command buffers that were not submitted keep a session where it is. */
async function release() {
  globalThis.gc?.();
  // The collector tells of objects in a turn of its own, and their releases travel with the next flush.
  await new Promise((resolve) => setImmediate(resolve));
  if (device) await onSubmittedWorkDone.call(device.queue).catch(() => {});
}

async function delayed(promise) {
  try {
    return await promise;
  } finally {
    await pass();
  }
}

function tellOfLoss({ lost }) {
  lost.then(({ reason, message }) => {
    // The case has destroyed the device itself.
    if (reason !== 'destroyed') process.send({ lost: message });
  });
}

for (const [{ prototype }, name] of isParked ? AWAITED : []) {
  const method = prototype[name];
  prototype[name] = function (...args) {
    const promise = method.apply(this, args);
    if (this instanceof GPUDevice) device = this;
    if (this instanceof GPUAdapter) promise.then(tellOfLoss, () => {});
    // Cases notice whether a call has failed at once, or later.
    return inspect(promise).includes('<rejected>') ? promise : delayed(promise);
  };
}

/** The cases of the plan, in place of those of the runner's query. */
suite('file_loader.js').TestFileLoader.prototype.loadCases = async function () {
  const { parseQuery } = suite('query/parseQuery.js');
  const leaves = new Map();
  for (const file of new Set(cases.map((name) => name.split(':').slice(0, 2).join(':')))) {
    const tree = await this.loadTree(parseQuery(`${file}:*`));
    for (const leaf of tree.iterateLeaves()) leaves.set(leaf.query.toString(), leaf);
  }
  return planned(leaves);
};

function* planned(leaves) {
  for (const name of cases) {
    moments = new Moments(name);
    process.send({ begins: name });
    yield leaves.get(name);
  }
}

module.exports = { create };
