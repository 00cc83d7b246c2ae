import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dataHeader, PACKET } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon/daemon.js';
import { openGpu } from '#farlight/server/dawn.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { mutate } from '../support/mutations.js';
import { RawClient } from '../support/raw-client.js';
import { type RecordedFrame, recordSessions } from '../support/recorded-sessions.js';
import { seeded } from '../support/seeded.js';
import { until } from '../support/session-client.js';

/** FARLIGHT_FUZZ_RUNS is how many mutated sessions run in process; a hundredth of that go through a daemon. */
const given = process.env.FARLIGHT_FUZZ_RUNS;
const runs = Number(given ?? 1500);
const seed = Number(process.env.FARLIGHT_FUZZ_SEED ?? 1);
/** Where the session is left that is being tried: Dawn is a native addon, and may end the process. */
const journal = process.env.FARLIGHT_FUZZ_JOURNAL;
const timeout = given === undefined ? 180_000 : 24 * 3600_000;

/** A session that answers no more within so many turns of the event loop has nothing more to say. */
const TURNS = 40;

let sessions: RecordedFrame[][];
beforeAll(async () => {
  sessions = await recordSessions();
});

const rejections: unknown[] = [];
const onRejection = (reason: unknown) => rejections.push(reason);
process.on('unhandledRejection', onRejection);
afterAll(() => {
  process.off('unhandledRejection', onRejection);
});

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** What JavaScript keeps, in MiB: a session that is over is to leave nothing. */
async function heap(): Promise<number> {
  for (let time = 0; time < 3; time++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
}

/** A recorded session with one frame changed, or two. */
function mutated(random: () => number): RecordedFrame[] {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const frames = [...pick(sessions)];
  for (let changes = random() < 0.7 ? 1 : 2; changes > 0; changes--) {
    const at = Math.floor(random() * frames.length);
    const frame = frames[at] as RecordedFrame;
    const kind = random();
    if (kind < 0.85)
      frames[at] = { ...frame, bytes: mutate(frame.bytes, pick(pick(sessions)).bytes, random) };
    else if (kind < 0.9) frames.splice(at, 0, frame);
    else if (kind < 0.95) frames.splice(at, 1);
    else frames.splice(at, 0, { ...pick(pick(sessions)), after: frame.after });
  }
  return frames.filter(({ bytes }) => bytes.length > 0);
}

/** Plays a session to an executor; resolves to how it was ended, if it was. */
async function play(gpu: GPU, frames: readonly RecordedFrame[]): Promise<string[]> {
  const ends: string[] = [];
  let replies = 0;
  let open = true;
  const session = new ExecutorSession(gpu, {
    send: () => {
      // After the end nothing is said.
      expect(open).toBe(true);
      replies += 1;
    },
    end: (code, reason) => {
      ends.push(`${code}: ${reason}`);
      open = false;
    },
  });
  for (const { bytes, after } of frames) {
    for (let turn = 0; turn < TURNS && open && replies < after; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A mapped buffer and the like: the session owns what it is given.
    session.receive(bytes.slice());
  }
  open = false;
  session.close();
  await new Promise((resolve) => setImmediate(resolve));
  return ends;
}

it(
  `${runs} sessions that were changed somewhere neither crash an executor nor hang it, and end with a reason or not at all`,
  async () => {
    const { gpu } = await openGpu('null');
    for (const frames of sessions) expect(await play(gpu, frames)).toEqual([]);
    const random = seeded(seed);
    let ended = 0;
    let slowest = 0;
    const before = await heap();
    for (let run = 0; run < runs; run++) {
      const frames = mutated(random);
      if (journal) {
        const hex = frames.map(({ bytes }) => Buffer.from(bytes).toString('hex'));
        writeFileSync(journal, JSON.stringify({ seed, run, hex }));
      }
      const since = performance.now();
      const ends = await play(gpu, frames);
      slowest = Math.max(slowest, performance.now() - since);
      expect(ends.length, `run ${run}`).toBeLessThanOrEqual(1);
      if (ends.length > 0) {
        ended += 1;
        expect(ends[0]).toMatch(/^PROTOCOL_ERROR: The client sent what the protocol does not allow: .+\.$/);
      }
    }
    const after = await heap();
    const facts = `seed ${seed}: ${runs} sessions, ${ended} ended for their faults, slowest ${Math.round(slowest)} ms`;
    const resident = Math.round(process.memoryUsage().rss / 2 ** 20);
    console.log(`${facts}, heap ${before} to ${after} MiB, ${resident} MiB resident`);
    expect(after - before).toBeLessThan(24);
    expect(ended).toBeGreaterThan(runs / 10);
    expect(slowest).toBeLessThan(20_000);
    expect(rejections).toEqual([]);
  },
  timeout,
);

it(
  'changed bytes on a connection end their own session alone, and the host serves the next',
  async () => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', resumeMs: 100 });
    const random = seeded(seed + 1);
    const count = Math.max(20, Math.round(runs / 100));
    let told = 0;
    for (let run = 0; run < count; run++) {
      const client = new RawClient(daemon.url).hello();
      await client.next(PACKET.welcome);
      for (const { bytes, after } of mutated(random)) {
        const replies = () => client.packets.filter(([kind]) => kind === PACKET.data).length;
        for (let wait = 0; wait < 20 && replies() < after; wait++) {
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        const packet = new Uint8Array(Buffer.concat([dataHeader(bytes.length), bytes]));
        // The packets of every fourth stream are changed as well.
        client.socket.write(run % 4 === 0 && random() < 0.3 ? mutate(packet, packet, random) : packet);
      }
      client.socket.end();
      await client.closed;
      if (client.packets.some(([kind]) => kind === PACKET.end)) told += 1;
    }
    await until(() => daemon.counters.sessionsActive === 0);
    expect(told).toBeGreaterThan(0);
    const last = new RawClient(daemon.url).hello();
    expect(await last.object(PACKET.welcome)).toMatchObject({ resumeMs: 100 });
    last.socket.destroy();
    // No executor crashed: each session ended for its own fault, or because its client went.
    console.log(
      `${count} streams, ${told} clients were told why, ${daemon.counters.executorsLost} executors`,
    );
    await daemon.close();
  },
  timeout,
);
