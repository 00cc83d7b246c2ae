import { closeSync, openSync, writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { Channel } from '#farlight/link/channel/channel.js';
import { unpackFrame } from '#farlight/link/channel/packed-frame.js';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { hashContent } from '#farlight/link/machine/hashing.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import {
  dataHeader,
  encodeCount,
  encodeObject,
  PACKET,
  PACKET_LIMIT,
  PREFACE,
} from '#farlight/proto/wire/packet.js';
import {
  decodeFirstPacket,
  decodeHello,
  decodeResume,
  FirstPacketReader,
} from '#farlight/server/daemon/door/first-packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import { openGpu } from '#farlight/server/gpu/open-gpu.js';
import { grpcLine, RawClient } from '../support/clients/raw-client.js';
import { HELLO } from '../support/clients/session-client.js';
import { inertGpu } from '../support/gpus/inert-gpu.js';
import { until } from '../support/machine/processes.js';
import { play, Seeds } from '../support/random/fuzzed-sessions.js';
import { mutate } from '../support/random/mutations.js';
import { seeded } from '../support/random/seeded.js';

/** FARLIGHT_FUZZ_RUNS is how many mutated sessions and conversations run in process, all kinds together. */
const given = process.env.FARLIGHT_FUZZ_RUNS;
const runs = Number(given ?? 4000);
const seed = Number(process.env.FARLIGHT_FUZZ_SEED ?? 1);
/** Sessions of models, recorded before. */
const files = process.env.FARLIGHT_FUZZ_SESSIONS?.split(',') ?? [];
/** The file with the number of the current run: Dawn is a native addon, and may crash the process. */
const journal = process.env.FARLIGHT_FUZZ_JOURNAL;
const timeout = given === undefined ? 180_000 : 24 * 3600_000;
/** The first run on Dawn, after a process that crashed has tried the earlier ones. */
const begin = Number(process.env.FARLIGHT_FUZZ_BEGIN ?? 0);
/** If given, repeats only this run. */
const only = process.env.FARLIGHT_FUZZ_ONLY;
/** After how many runs a long test prints its progress. */
const TELL = 50_000;

let recorded: Seeds;
beforeAll(async () => {
  recorded = await Seeds.record(files);
});

const rejections: unknown[] = [];
const onRejection = (reason: unknown) => rejections.push(reason);
process.on('unhandledRejection', onRejection);
afterAll(() => {
  process.off('unhandledRejection', onRejection);
});

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** The JavaScript heap in MiB: an ended session must leave nothing. */
async function heap(): Promise<number> {
  for (let time = 0; time < 3; time++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const microtask = () => Promise.resolve();

/** Runs so many mutated sessions on a GPU, and checks that each does only what a session may do. */
async function tryAll(name: string, gpu: GPU, count: number, wait: () => Promise<unknown>, first: number) {
  if (only !== undefined && (Number(only) < first || Number(only) >= first + count)) return;
  const seeds = await recorded.playable(gpu, wait);
  console.log(`${name}: ${seeds.counts}`);
  if (only !== undefined) {
    console.log(await play(gpu, seeds.changed(seed, Number(only)), wait));
    return;
  }
  const digest = () => seeds.all.map((frames) => frames.map(({ bytes }) => hashContent(bytes)).join()).join();
  const unchanged = digest();
  const notes = journal ? openSync(journal, 'w') : undefined;
  let ended = 0;
  let slowest = 0;
  const before = await heap();
  const residentBefore = process.memoryUsage().rss;
  const from = performance.now();
  for (let run = first; run < first + count; run++) {
    if (notes !== undefined) writeSync(notes, `${name}, seed ${seed}, run ${run}`.padEnd(80), 0);
    const since = process.cpuUsage();
    const ends = await play(gpu, seeds.changed(seed, run), wait);
    const { user, system } = process.cpuUsage(since);
    slowest = Math.max(slowest, (user + system) / 1000);
    if (ends.length > 0) {
      ended += 1;
      if (ends.length > 1) expect(ends, `run ${run}`).toHaveLength(1);
      if (!/^PROTOCOL_ERROR: The client sent what the protocol does not allow: .+\.$/.test(ends[0] as string))
        expect.fail(`run ${run}: ${ends[0]}`);
    }
    // With microtasks alone the event loop would never run.
    if (run % 64 === 0) await turn();
    if ((run + 1 - first) % TELL === 0) console.log(`${name}: ${run + 1 - first} of ${count}`);
  }
  const seconds = (performance.now() - from) / 1000;
  const after = await heap();
  const resident = [residentBefore, process.memoryUsage().rss].map((bytes) => Math.round(bytes / 2 ** 20));
  console.log(
    `${name}, seed ${seed}: ${count} sessions in ${seconds.toFixed(1)} s (${Math.round(count / seconds)}/s), ` +
      `${ended} ended for their faults, the slowest computed ${Math.round(slowest)} ms, ` +
      `heap ${before} to ${after} MiB, resident ${resident.join(' to ')} MiB`,
  );
  if (notes !== undefined) closeSync(notes);
  expect(after - before).toBeLessThan(24);
  expect(ended).toBeGreaterThan(count / 10);
  expect(slowest).toBeLessThan(20_000);
  expect(rejections).toEqual([]);
  expect(digest(), 'the recorded sessions themselves').toBe(unchanged);
}

const onDawn = Math.round(runs * 0.1);
it(
  `${onDawn} mutated sessions neither crash the GPU of an executor nor hang it, and end with a reason or not at all`,
  async () => {
    const { gpu } = await openGpu('null');
    await tryAll('null adapter', gpu, onDawn - begin, turn, begin);
  },
  timeout,
);

const onInert = Math.round(runs * 0.65);
it(
  `${onInert} mutated sessions are decoded and executed without a crash or a hang, and end with a reason or not at all`,
  () => tryAll('inert GPU', inertGpu, onInert, microtask, onDawn),
  timeout,
);

/** Clients' first packets, with bytes that may follow. */
function conversations(): Uint8Array[] {
  const resume = { sessionId: 'A'.repeat(24), taken: 3, attempt: 1, token: `flt_${'x'.repeat(43)}` };
  const compression = { mode: 'auto', encodings: ['br'] };
  const frame = Uint8Array.from({ length: 300 }, (_, at) => at);
  const more = [
    dataHeader(frame.length),
    frame,
    encodeCount(PACKET.ack, 1),
    Uint8Array.of(1, 0, 0, 0, PACKET.ping),
  ];
  return [
    [encodeObject(PACKET.hello, { ...HELLO, compression }), ...more],
    [encodeObject(PACKET.hello, { ...HELLO, token: resume.token }), ...more, ...more],
    [encodeObject(PACKET.resume, resume), ...more],
    [encodeObject(PACKET.resume, resume), encodeObject(PACKET.bye, {})],
  ].map((parts) => new Uint8Array(Buffer.concat([PREFACE, ...parts])));
}

/** Reads a conversation as the daemon does, and then the executor. @throws ProtocolError */
function hear(pieces: readonly Uint8Array[], seen: { hellos: number; frames: number }): void {
  const reader = new FirstPacketReader();
  const channel = new Channel({
    onFrame: () => {
      seen.frames += 1;
    },
  });
  channel.attach({ send: () => true }, 0);
  const packets = new PacketDecoder((packet) => {
    const body = packet.subarray(1);
    if (packet[0] === PACKET.packed) channel.receive(PACKET.data, unpackFrame(body));
    else channel.receive(packet[0], body);
  }, PACKET_LIMIT);
  let begun = false;
  for (const piece of pieces) {
    if (begun) {
      packets.push(piece);
      continue;
    }
    const first = reader.push(piece);
    if (!first) continue;
    begun = true;
    const fields = decodeFirstPacket(first.packet);
    if (first.packet.kind === PACKET.hello) {
      const { protocolMin, protocolMax, program } = decodeHello(fields);
      expect([typeof protocolMin, typeof protocolMax, typeof program]).toEqual([
        'number',
        'number',
        'string',
      ]);
    } else {
      const { taken, attempt, sessionId } = decodeResume(fields);
      expect([typeof taken, typeof attempt, typeof sessionId]).toEqual(['number', 'number', 'string']);
    }
    seen.hellos += 1;
    packets.push(first.rest);
  }
}

const mutated = runs - onDawn - onInert;
it(
  `${mutated} mutated conversations are read, or refused with a ProtocolError`,
  async () => {
    const known = conversations();
    const seen = { hellos: 0, frames: 0 };
    let refused = 0;
    const before = await heap();
    const from = performance.now();
    for (let run = 0; run < mutated; run++) {
      const random = seeded(Math.imul(run + 1, 0x85ebca6b) ^ seed);
      const pick = () => known[Math.floor(random() * known.length)] as Uint8Array;
      const changed = mutate(pick(), pick(), random);
      const cut = Math.floor(random() * changed.length);
      try {
        hear([changed.subarray(0, cut), changed.subarray(cut)], seen);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw new Error(`run ${run}`, { cause: error });
        refused += 1;
      }
    }
    const seconds = (performance.now() - from) / 1000;
    const after = await heap();
    console.log(
      `first packets, seed ${seed}: ${mutated} conversations in ${seconds.toFixed(1)} s, ${refused} refused, ` +
        `${seen.hellos} let in, ${seen.frames} frames taken, heap ${before} to ${after} MiB`,
    );
    expect(after - before).toBeLessThan(24);
    expect(refused).toBeGreaterThan(mutated / 10);
    expect(seen.hellos).toBeGreaterThan(mutated / 10);
  },
  timeout,
);

it.each([
  ['a unix socket', (url: string) => new RawClient(url)],
  ['gRPC', (url: string) => new RawClient(grpcLine(url))],
] as const)(
  'changed bytes on a connection over %s end their own session alone, and the host serves the next one',
  async (_, open) => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', resumeMs: 100 });
    const random = seeded(seed + 1);
    const count = Math.min(500, Math.max(20, Math.round(runs / 200)));
    let told = 0;
    for (let run = 0; run < count; run++) {
      const client = open(daemon.url).hello();
      await client.next(PACKET.welcome);
      const came = (wanted: number) => client.packets.filter(([kind]) => kind === wanted).length;
      const isOver = () => client.socket.destroyed || came(PACKET.end) > 0;
      // A changed session gets fewer replies than the recorded one: do not wait again for a reply that did not come.
      let missing = 0;
      for (const { bytes, after } of recorded.changed(seed + 1, run)) {
        const wanted = () => after - missing - came(PACKET.data);
        for (let wait = 0; wait < 20 && wanted() > 0 && !isOver(); wait++) {
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        missing += Math.max(0, wanted());
        const packet = new Uint8Array(Buffer.concat([dataHeader(bytes.length), bytes]));
        // Mutate the packets of every fourth stream too.
        client.socket.write(run % 4 === 0 && random() < 0.3 ? mutate(packet, packet, random) : packet);
      }
      client.socket.end();
      await client.closed;
      if (client.packets.some(([kind]) => kind === PACKET.end)) told += 1;
    }
    await until(() => daemon.counters.sessionsActive === 0);
    expect(told).toBeGreaterThan(0);
    const last = open(daemon.url).hello();
    expect(await last.object(PACKET.welcome)).toMatchObject({ resumeMs: 100 });
    last.socket.destroy();
    // No executor crashed: each session ended by its own fault, or because its client disconnected.
    console.log(
      `${count} streams, ${told} clients were told why, ${daemon.counters.executorsLost} executors`,
    );
    await daemon.close();
  },
  timeout,
);
