import {
  bad,
  objectOf,
  RECORD,
  type RecordingHeader,
  type RecordingReader,
} from '../../client/observers/recording/recording-file.js';
import type { Link, Transport, Welcome } from '../../client/transport/transport.js';
import { monotonicNow } from '../../link/machine/clock.js';
import { deferred } from '../../link/machine/deferred.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { brokeProtocol, FarlightError, ProtocolError } from '../../proto/errors.js';
import { OPERATIONS } from '../../proto/gen/operations.js';
import { PROTOCOL } from '../../proto/session/version.js';
import { ITEM } from '../../proto/wire/template.js';
import { Writer } from '../../proto/wire/writer.js';
import { compareEvents, compareReplies, type Difference } from './compare.js';
import { Readback } from './readback.js';
import { type RecordedCall, RecordedCommands } from './recorded-commands.js';
import { type DeviceEvent, type Outcome, ReplyReader } from './reply-reader.js';

export interface ReplayReport {
  equal: boolean;
  difference?: Difference;
  program: string;
  recorded: { farlight: string; adapter: string; ms: number };
  replayed: { farlight: string; adapter: string; ms: number };
  /** How many replies were compared, and how many of them had bytes. */
  answers: number;
  readbacks: number;
  bytes: number;
  errors: number;
  /** Readbacks of GPU times, which differ each time. */
  ofTime: number;
  /** The file ends within a block. */
  truncated: boolean;
}

/** An awaited command, until both sides have replied. */
interface Pair {
  readonly call: RecordedCall;
  readonly readback: Readback;
  recorded?: Outcome;
  replayed?: Outcome;
  /** Resolves when the replay has its reply. */
  readonly answered: ReturnType<typeof deferred<void>>;
}

/** How far the recorded bytes of a reply may be ahead of the replayed ones. */
const MOST_AHEAD = 16 << 20;

/** A difference was found. All others would only follow from it. */
class Differs extends Error {
  readonly difference: Difference;

  constructor(difference: Difference) {
    super(difference.sentence);
    this.difference = difference;
  }
}

/**
 * Runs a recorded session again, as a client that sends the same frames, and compares the replies up to the
 * first difference. A frame is sent when the host has given all replies that it had given at that point in
 * the recording. So the host sees the same, however fast it is.
 *
 * @throws FarlightError BAD_RECORDING if the file is damaged, or any error of opening a session.
 */
export class Replay {
  readonly #reader: RecordingReader;
  readonly #transport: Transport;
  readonly #pairs = new Map<number, Pair>();
  readonly #commands: RecordedCommands;
  readonly #recorded: ReplyReader;
  readonly #replayed: ReplyReader;
  /** Events that devices reported by themselves, by id. */
  readonly #events = {
    recorded: new Map<number, DeviceEvent[]>(),
    replayed: new Map<number, DeviceEvent[]>(),
  };
  readonly #names = new Map<number, string>();
  readonly #welcome = deferred<Welcome | undefined>();
  #drained: ReturnType<typeof deferred<void>> | undefined;
  /** Why the replay cannot go on. */
  #failure: Error | undefined;
  #link: Link | undefined;
  /** Resolves with the host's next frame. */
  #progress = deferred<void>();
  /**
   * Results of the recorded frame that is being read: the commands that it settles, and the long reply that
   * it has a part of.
   */
  #settledNow: number[] = [];
  #reading: Pair | undefined;
  #counts = { answers: 0, readbacks: 0, bytes: 0, errors: 0, ofTime: 0 };
  #about = { farlight: '', adapter: '', ms: 0 };

  constructor(reader: RecordingReader, transport: Transport) {
    this.#reader = reader;
    this.#transport = transport;
    this.#commands = new RecordedCommands((call) =>
      this.#pairs.set(call.serial, { call, readback: new Readback(), answered: deferred() }),
    );
    this.#recorded = this.#answers('recorded');
    this.#replayed = this.#answers('replayed');
  }

  async run(): Promise<ReplayReport> {
    const { header } = this.#reader;
    if (header.protocol < PROTOCOL.min || header.protocol > PROTOCOL.max) {
      throw bad(
        `it was made by farlight ${header.farlight}, whose protocol this version does not speak; use that version`,
      );
    }
    try {
      return await this.#run(header);
    } finally {
      this.#link?.close();
      this.#link?.unref();
    }
  }

  async #run(header: RecordingHeader): Promise<ReplayReport> {
    const welcome = await this.#open(header);
    const began = monotonicNow();
    const difference = await this.#compare();
    const ms = monotonicNow() - began;
    return {
      equal: difference === undefined,
      ...(difference && { difference }),
      program: header.program,
      recorded: { ...this.#about, farlight: this.#about.farlight || header.farlight },
      replayed: { farlight: welcome.version, adapter: welcome.adapter.name, ms },
      ...this.#counts,
      truncated: this.#reader.truncated,
    };
  }

  async #open({ protocol, program }: RecordingHeader): Promise<Welcome> {
    const hello = { protocolMin: protocol, protocolMax: protocol, version: packageVersion(), program };
    this.#link = this.#transport.open(hello, {
      onWelcome: (welcome) => this.#welcome.resolve(welcome),
      onFrame: (frame) => this.#receive(frame),
      onDrain: () => this.#drained?.resolve(),
      onClose: (reason) => this.#fail(reason ?? new FarlightError('DISCONNECTED', 'the session was closed')),
    });
    this.#link.ref();
    const welcome = await this.#welcome.promise;
    if (!welcome) throw this.#failure;
    return welcome;
  }

  #receive(frame: Uint8Array): void {
    if (this.#failure) return;
    this.#progress.resolve();
    try {
      this.#replayed.push(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(new FarlightError('PROTOCOL_ERROR', brokeProtocol('host', error)));
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#welcome.resolve(undefined);
    this.#progress.resolve();
    this.#drained?.resolve();
    for (const { answered } of this.#pairs.values()) answered.resolve();
  }

  async #compare(): Promise<Difference | undefined> {
    try {
      for (const record of this.#reader.records()) {
        this.#about.ms = record.ms;
        if (record.kind === RECORD.up) await this.#send(record.bytes);
        else if (record.kind === RECORD.down) await this.#answer(record.bytes);
        else if (record.kind === RECORD.welcome) this.#note(objectOf(record));
      }
      await this.#settle();
      for (const id of new Set([...this.#events.recorded.keys(), ...this.#events.replayed.keys()]))
        this.#compareEvents(id, true);
      return undefined;
    } catch (error) {
      if (error instanceof Differs) return error.difference;
      if (error instanceof ProtocolError) throw bad(`it has data that no session sends: ${error.message}`);
      throw error;
    }
  }

  async #send(frame: Uint8Array): Promise<void> {
    this.#check();
    this.#commands.push(frame.slice());
    if (this.#link?.send(frame) !== false) return;
    this.#drained = deferred();
    await this.#drained.promise;
    this.#drained = undefined;
  }

  /** Takes a recorded frame of replies, and waits until the host gives the same replies. */
  async #answer(frame: Uint8Array): Promise<void> {
    this.#settledNow = [];
    this.#reading = undefined;
    this.#recorded.push(frame);
    await this.#keepPace();
    for (const serial of this.#settledNow) await this.#comparePair(serial);
    for (const id of this.#events.recorded.keys()) this.#compareEvents(id, false);
  }

  /** Waits if the recorded bytes of a long reply are far ahead of the replayed ones. */
  async #keepPace(): Promise<void> {
    const pair = this.#reading;
    while (pair && !pair.replayed && !this.#failure && pair.readback.recordedAhead > MOST_AHEAD) {
      this.#progress = deferred();
      await this.#progress.promise;
    }
  }

  async #comparePair(serial: number): Promise<void> {
    const pair = this.#pairs.get(serial);
    if (!pair?.recorded) return;
    await pair.answered.promise;
    if (!pair.replayed) this.#check();
    const { call, readback, recorded, replayed } = pair;
    this.#pairs.delete(serial);
    if (!replayed) return;
    const difference = compareReplies(call, recorded, replayed, readback);
    if (difference) throw new Differs(difference);
    this.#counts.answers += 1;
    const bytes = readback.lengths.recorded;
    if (bytes === 0) return;
    if (call.ofTime) this.#counts.ofTime += 1;
    else {
      this.#counts.readbacks += 1;
      this.#counts.bytes += bytes;
    }
  }

  /** Compares the events of a device so far; at the `end` also the events that only one side has. */
  #compareEvents(id: number, end: boolean): void {
    const recorded = this.#events.recorded.get(id) ?? [];
    const replayed = this.#events.replayed.get(id) ?? [];
    const count = (end ? Math.max : Math.min)(recorded.length, replayed.length);
    for (let at = 0; at < count; at += 1) {
      const difference = compareEvents(this.#names.get(id) ?? 'a device', at + 1, recorded[at], replayed[at]);
      if (difference) throw new Differs(difference);
    }
    if (end) this.#counts.errors += recorded.length;
  }

  /** Waits until the host has executed everything, so that it has reported every error. */
  async #settle(): Promise<void> {
    this.#check();
    // The last flush was cut off with the file: the host waits for the rest of it.
    if (!this.#commands.betweenFlushes) return;
    const { acknowledge } = OPERATIONS.FarlightSession;
    const w = new Writer();
    w.u64(ITEM.once);
    w.bytes(Uint8Array.of(acknowledge.opcode));
    w.u32(1);
    w.u64(this.#commands.nextId);
    w.u32(0);
    for (const frame of w.take()) await this.#send(frame);
    await this.#pairs.get(this.#commands.serial)?.answered.promise;
    this.#check();
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }

  #note({ farlight, adapter }: Record<string, unknown>): void {
    if (typeof farlight === 'string') this.#about.farlight = farlight;
    if (typeof adapter === 'string') this.#about.adapter = adapter;
  }

  #answers(side: 'recorded' | 'replayed'): ReplyReader {
    const pairOf = (serial: number): Pair => {
      const pair = this.#pairs.get(serial);
      if (!pair || pair[side]) throw new ProtocolError(`a reply to the command ${serial}, which awaits none`);
      return pair;
    };
    return new ReplyReader({
      operation: (serial) => pairOf(serial).call.operation,
      bytes: (serial, bytes) => {
        const pair = pairOf(serial);
        pair.readback[side](bytes);
        if (side === 'recorded') this.#reading = pair;
      },
      settled: (serial, outcome) => {
        const pair = pairOf(serial);
        pair[side] = outcome;
        if (side === 'recorded') this.#settledNow.push(serial);
        else pair.answered.resolve();
      },
      told: (device, word) => {
        const words = this.#events[side].get(device) ?? [];
        words.push(word);
        this.#events[side].set(device, words);
        this.#names.set(device, this.#commands.nameOf(device));
      },
    });
  }
}
