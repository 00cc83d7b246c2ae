// An executor process without a GPU. The first byte of each frame says what it does. Tests of connections and daemons
// start it in place of the real one.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { FarlightError } from '#farlight/proto/errors.js';
import { runExecutor } from '#farlight/server/executor/executor-process.js';

const ADAPTER = { name: 'fake', vendor: 'test', architecture: 'none', software: true, driver: 'fake 1.0' };

/** Waits until the file of `once:FILE` appears. */
async function appears(choice) {
  const [, file] = /^once:(.+)$/.exec(choice) ?? [];
  while (file && !existsSync(file)) await setTimeout(10);
}

async function openGpu(choice) {
  if (choice === 'none') throw new FarlightError('NO_ADAPTER', 'there is no GPU here; install one');
  if (choice === 'crash') process.kill(process.pid, 'SIGSEGV');
  // A GPU that opens slowly.
  await appears(choice);
  return { gpu: {}, adapter: ADAPTER, wgslLanguageFeatures: ['fake_feature'], choice };
}

let lingers = false;
const taken = [];

function hang() {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

const ACTIONS = {
  echo: (frame, peer) => peer.send(frame),
  pid: (_frame, peer) => peer.send(new TextEncoder().encode(String(process.pid))),
  end: (frame, peer) => {
    peer.send(frame);
    peer.end('PROTOCOL_ERROR', 'the client sent nonsense');
  },
  throw: () => {
    throw new Error('a bug in the executor');
  },
  kill: () => process.kill(process.pid, 'SIGKILL'),
  exit: () => process.exit(3),
  noise: (frame, peer) => {
    process.stdout.write('noise on stdout\n');
    process.stderr.write('noise on stderr\n');
    peer.send(frame);
  },
  // Takes no frames for a while, like an executor that compiles a shader.
  stall: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300),
  // Takes no frames ever again.
  hang,
  // Says where its driver would keep shaders.
  shaders: (_frame, peer) => peer.send(new TextEncoder().encode(process.argv[3] ?? 'null')),
  // Takes 64 MiB more of the machine's memory.
  grow: (frame, peer) => {
    taken.push(Buffer.alloc(64 << 20, 1));
    peer.send(frame);
  },
  // Hangs when its session ends.
  linger: () => {
    lingers = true;
  },
  // Sends more at once than any buffer on the way takes.
  flood: (_frame, peer) => {
    for (let i = 0; i < 64; i++) peer.send(new Uint8Array(1024 * 1024).fill(i));
  },
  // Sends the hash of the frame.
  digest: (frame, peer) => peer.send(createHash('sha256').update(frame).digest()),
};

/** The byte of each action, for tests to send. */
export const ACTION = Object.fromEntries(Object.keys(ACTIONS).map((name, index) => [name, index]));

if (process.argv[1] === import.meta.filename) {
  const actions = Object.values(ACTIONS);
  await runExecutor(process.argv[2] ?? 'auto', {
    openGpu,
    createSession: (_gpu, peer) => ({
      // It returns nothing, so that the memory of a frame that is sent back is not used again.
      receive: (frame) => void actions[frame[0]]?.(frame, peer),
      close: () => {},
      // Never comes back.
      unpark: () => new Promise(() => {}),
      handOver: async () => {
        if (lingers) hang();
      },
    }),
    // For a program called `slow` this never ends, for `hang` it hangs, for `crash` it crashes, and for `spoilt` it fails
    // to read the profile. For `once:FILE` it takes until the file appears.
    compileAhead: async (_gpu, { program }) => {
      if (program === 'hang') hang();
      await appears(program);
      if (program === 'crash') process.kill(process.pid, 'SIGSEGV');
      if (program === 'spoilt') {
        await setTimeout(300);
        throw new Error('nothing that can be read');
      }
      return {
        inheritance: program,
        compiled: program === 'slow' ? new Promise(() => {}) : Promise.resolve(),
      };
    },
  });
}
