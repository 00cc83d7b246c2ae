// An executor process without a GPU: it answers each frame by its first byte. Tests of what carries
// frames start it in place of the real one.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { FarlightError } from '#farlight/proto/errors.js';
import { runExecutor } from '#farlight/server/executor/executor-process.js';

const ADAPTER = { name: 'fake', vendor: 'test', architecture: 'none', software: true, driver: 'fake 1.0' };

async function openGpu(choice) {
  if (choice === 'none') throw new FarlightError('NO_ADAPTER', 'there is no GPU here; install one');
  if (choice === 'crash') process.kill(process.pid, 'SIGSEGV');
  // A GPU that is slow to open: it takes until this file is there.
  const [, file] = /^once:(.+)$/.exec(choice) ?? [];
  while (file && !existsSync(file)) await setTimeout(10);
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
  // Takes no frames for a while, as an executor does that compiles a shader.
  stall: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300),
  // Takes no frames ever again.
  hang,
  // Where its driver would keep shaders.
  shaders: (_frame, peer) => peer.send(new TextEncoder().encode(process.argv[3] ?? 'null')),
  // Takes 64 MiB more of the machine's memory.
  grow: (frame, peer) => {
    taken.push(Buffer.alloc(64 << 20, 1));
    peer.send(frame);
  },
  // Hangs when its session is over.
  linger: () => {
    lingers = true;
  },
  // Sends more at once than any buffer on the way holds.
  flood: (_frame, peer) => {
    for (let i = 0; i < 64; i++) peer.send(new Uint8Array(1024 * 1024).fill(i));
  },
  // Says what has arrived.
  digest: (frame, peer) => peer.send(createHash('sha256').update(frame).digest()),
};

/** The byte that stands for each action, for tests to send. */
export const ACTION = Object.fromEntries(Object.keys(ACTIONS).map((name, index) => [name, index]));

if (process.argv[1] === import.meta.filename) {
  const actions = Object.values(ACTIONS);
  await runExecutor(process.argv[2] ?? 'auto', {
    openGpu,
    createSession: (_gpu, peer) => ({
      // It returns nothing: the memory of a frame that is sent back must not serve again meanwhile.
      receive: (frame) => void actions[frame[0]]?.(frame, peer),
      close: () => {},
      handOver: async () => {
        if (lingers) hang();
      },
    }),
    // For a program called slow that takes for ever, one called hang stays in the driver, one called crash is too much
    // for it, and one called spoilt has left what cannot be read.
    compileAhead: async (_gpu, { program }) => {
      if (program === 'hang') hang();
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
