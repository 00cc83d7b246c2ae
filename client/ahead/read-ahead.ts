import { type FarlightReadAhead, OPERATIONS } from '../../proto/gen/operations.js';
import { GPUBufferUsage } from '../../proto/gen/webgpu.js';
import type { Handle } from '../../proto/wire/handle.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { type Guess, Guesses } from './guesses.js';
import { Mentions } from './mentions.js';
import { type BufferFacts, type Follower, Proof } from './proof.js';
import { type Early, Question, type SourceRange, type Wanted } from './question.js';

/** The counts of a session that reads ahead change. */
export interface AheadStats {
  waits: number;
  waitsSaved: number;
  bytesAhead: number;
  bytesAheadWasted: number;
}

export interface ReadAheadOptions {
  stats: AheadStats;
  /** Asks also where the host is near. */
  always: boolean;
  /** Milliseconds of any steady clock. */
  now(): number;
  /** Calls back when the current task is over. */
  whenTaskEnds(then: () => void): void;
  /** How many of the program's promises wait for the host. */
  awaited(): number;
  /** Records the question at once, and calls back with its answer, or with undefined if the host refuses. */
  ask(device: Handle, wanted: Wanted, answered: (answer: unknown) => void): void;
  /** Settles an awaited command before its reply, which then goes to `late`. False if it is settled already. */
  settle(serial: number, reply: unknown, late: (reply: unknown) => void): boolean;
  /** Records that the program believes a buffer to be mapped. The host maps it before it goes on. */
  told(buffer: Handle): void;
  /** The late reply of a command that was settled before it. */
  replied(operation: AnyOperation, device: number, reply: unknown): void;
}

/** How the session records an awaited command. */
export interface Wait {
  readonly operation: AnyOperation;
  readonly args: readonly unknown[];
  /** Absent if its own reply settles it. */
  readonly early: Early | undefined;
  /** Whether it may become a lead, which others follow. */
  readonly leads: boolean;
}

/** A promise that an answer will settle. */
interface Settling extends Early {
  readonly serial: number;
  readonly operation: AnyOperation;
  readonly self: Handle;
  readonly deviceId: number;
}

/** A wait that follows no other, and the waits after it. */
interface Lead {
  readonly key: string;
  /** The key of all leads of its operation. */
  readonly kind: string;
  readonly deviceId: number;
  /** Kept only until the wait leaves in a flush. */
  device: Handle | undefined;
  readonly serial: number;
  /** The count of mentions at the wait. */
  readonly until: number;
  readonly guess: Guess;
  /** From all leads of its kind, at any place. It has no reads, which depend on the place. */
  readonly roughGuess: Guess;
  readonly proof: Proof;
  readonly followers: Follower[];
  question: Question | undefined;
  askedAt: number;
  answeredAt: number | undefined;
}

const { mapAsync, mapAhead } = OPERATIONS.GPUBuffer;
const { popErrorScope, createBuffer } = OPERATIONS.GPUDevice;
const { onSubmittedWorkDone } = OPERATIONS.GPUQueue;

/**
 * If the shortest wait took less than this, in milliseconds, the host is near: the question and its copies then take
 * about as long as the waits that they save.
 */
const NEAR_MS = 1;

/** An answer of this many bytes may be late because of the line. A shorter one is late for other reasons. */
const LONG_BYTES = 16 << 10;

const LEADS: ReadonlySet<AnyOperation> = new Set<AnyOperation>([
  mapAsync,
  popErrorScope,
  onSubmittedWorkDone,
]);

/**
 * Reads ahead. With a wait it asks the host for the results that the program has awaited after that wait before, and
 * settles their promises from the answer. It does so only if it can prove that the host would reply the same (see
 * `Proof`). The commands themselves go to the host as always. docs/reads-ahead.md explains all of it.
 */
export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #mentions = new Mentions();
  readonly #guesses = new Guesses(this.#mentions);
  readonly #buffers = new Map<number, WeakRef<BufferFacts>>();
  /** Commands since the last lead. */
  #commands = 0;
  /** The latest lead. It ends at the first command that the client can prove nothing of. */
  #lead: Lead | undefined;
  /** The promises that answers will settle, in the program's order. */
  #early: Settling[] = [];
  /** The early mappings, by serial, until the host replies to them. A reply has no bytes if the answer had them. */
  readonly #mappings = new Map<number, Settling>();
  #isScheduled = false;
  #shortestMs = Number.POSITIVE_INFINITY;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  /** Whether the host is so near that nothing is asked ahead, and no answer is under way. */
  get isDone(): boolean {
    return this.#isNear && !this.#lead && this.#early.length === 0 && this.#mappings.size === 0;
  }

  get #isNear(): boolean {
    return !this.#options.always && this.#shortestMs < NEAR_MS;
  }

  /** A command that names these objects was recorded. `made` is the object that it creates. */
  recorded(
    operation: AnyOperation,
    self: Handle,
    args: readonly unknown[],
    made: Handle | undefined,
    named: readonly number[],
  ): void {
    this.#mentions.add(named);
    this.#commands += 1;
    if (operation === createBuffer && made)
      this.#buffers.set(made.id, new WeakRef(made as unknown as BufferFacts));
    const lead = this.#lead;
    if (!lead || operation.fate === 'awaited' || deviceOf(self)?.id !== lead.deviceId) return;
    if (!lead.proof.command(operation, self, args, made)) this.#close(lead);
  }

  /** A handle was released. */
  released(id: number): void {
    this.#buffers.delete(id);
  }

  /** An awaited command is about to be recorded. Returns how to record it. */
  wait(operation: AnyOperation, self: Handle, args: readonly unknown[]): Wait {
    const lead = this.#lead;
    const deviceId = deviceOf(self)?.id;
    if (!lead || deviceId !== lead.deviceId) return { operation, args, early: undefined, leads: true };
    // Other awaited commands under way get their replies first. An early one would settle before them.
    const isAlone = this.#options.awaited() === this.#early.length;
    const follower = isAlone ? lead.proof.wait(operation, self, args) : undefined;
    if (!follower) {
      this.#close(lead);
      return { operation, args, early: undefined, leads: true };
    }
    lead.followers.push(follower);
    const early = lead.question?.early(follower);
    if (early && follower.kind === 'read')
      return { operation: mapAhead, args: [args[1], follower.size], early, leads: false };
    return { operation, args, early, leads: false };
  }

  /** The awaited command was recorded, and has this serial. */
  waiting({ operation, args, early, leads }: Wait, self: Handle, serial: number): void {
    const device = deviceOf(self);
    if (early && device) {
      const settling = { ...early, serial, operation, self, deviceId: device.id };
      this.#early.push(settling);
      if (operation === mapAhead) this.#mappings.set(serial, settling);
      if (early.question.answer) this.#settleSoon();
      return;
    }
    if (!leads || !device || !LEADS.has(operation) || this.#isNear) return;
    const until = this.#mentions.count;
    const { size = 0 } = self as Partial<BufferFacts>;
    const kind = `${device.id} ${operation.member}`;
    const key = `${kind} ${args} ${size} ${this.#commands}`;
    this.#commands = 0;
    this.#lead = {
      key,
      kind,
      deviceId: device.id,
      device,
      serial,
      until,
      guess: this.#guesses.guess(key, until),
      roughGuess: this.#guesses.guess(kind, until),
      proof: new Proof(device.id),
      followers: [],
      question: undefined,
      askedAt: 0,
      answeredAt: undefined,
    };
  }

  /** A flush is about to leave. Asks for the results that are expected after its wait. */
  flushing(): void {
    const lead = this.#lead;
    const device = lead?.device;
    if (!lead || !device) return;
    lead.device = undefined;
    lead.askedAt = this.#options.now();
    const { followers, isTrusted } = lead.guess.isTrusted ? lead.guess : lead.roughGuess;
    if (!isTrusted || followers.length === 0 || lead.proof.scopes > 0) return;
    if (this.#isNear) return;
    const ranges: SourceRange[] = [];
    for (const follower of followers) {
      if (follower.kind !== 'read') continue;
      const buffer = this.#buffers.get(follower.source)?.deref();
      const { offset, size } = follower;
      if (!buffer || buffer.device?.id !== lead.deviceId || !isReadable(buffer, offset, size)) return;
      ranges.push({ buffer, offset, size });
    }
    if (ranges.reduce((sum, { size }) => sum + size, 0) > LIMITS.aheadBytes) return;
    const scopes = followers.filter(({ kind }) => kind === 'outer').length;
    const wanted = { ranges, scopes, done: followers.some(({ kind }) => kind === 'done') };
    const question = new Question(wanted);
    lead.question = question;
    this.#options.ask(device, wanted, (reply) => {
      question.answered(reply as FarlightReadAhead<never> | undefined, this.#options.now());
      this.#settle();
    });
  }

  /** The reply to an awaited command is about to be read. Returns the bytes that the reply leaves out, if any. */
  replied(serial: number): unknown {
    this.#settle();
    this.#early = this.#early.filter((each) => each.serial !== serial);
    if (this.#lead?.serial === serial) this.#answered(this.#lead);
    const mapping = this.#mappings.get(serial);
    this.#mappings.delete(serial);
    const answer = mapping?.question.answer;
    return answer && mapping.reply(answer)?.reply;
  }

  /** A device is lost. The host's own replies settle its awaited commands. */
  lost(deviceId: number): void {
    this.#early = [];
    if (this.#lead?.deviceId === deviceId) this.#lead = undefined;
  }

  #answered(lead: Lead): void {
    lead.answeredAt = this.#options.now();
    this.#shortestMs = Math.min(this.#shortestMs, lead.answeredAt - lead.askedAt);
    if (this.#isNear && !lead.question) this.#lead = undefined;
  }

  /** Settles promises in a task of its own, as the host's reply would. */
  #settleSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.whenTaskEnds(() => {
      this.#isScheduled = false;
      this.#settle();
    });
  }

  #settle(): void {
    const { stats, settle, told } = this.#options;
    for (let next = this.#early[0]; next?.question.answer; next = this.#early[0]) {
      const found = next.reply(next.question.answer);
      if (!found) {
        // Later waits must not settle before this one.
        this.#early = [];
        return;
      }
      this.#early.shift();
      const { serial, operation, self, deviceId } = next;
      const late = (reply: unknown) => this.#options.replied(operation, deviceId, reply);
      if (!settle(serial, found.reply, late)) continue;
      if (operation === mapAhead) told(self);
      stats.waits -= 1;
      stats.waitsSaved += 1;
    }
  }

  #close(lead: Lead): void {
    this.#lead = undefined;
    const { question, answeredAt = Number.POSITIVE_INFINITY } = lead;
    const { stats } = this.#options;
    let isLate = false;
    if (question) {
      const { used, wasted } = question.bytes;
      stats.bytesAhead += used;
      stats.bytesAheadWasted += wasted;
      // If the answer takes longer than another round trip, the line is the limit, and the read ahead gains nothing.
      const lateMs = (question.answeredAt ?? answeredAt) - answeredAt;
      isLate = used + wasted >= LONG_BYTES && lateMs > answeredAt - lead.askedAt;
    }
    const { key, kind, until, guess, roughGuess, followers } = lead;
    this.#guesses.learn(key, until, guess, followers, isLate);
    const others = followers.filter((follower) => follower.kind !== 'read');
    this.#guesses.learn(kind, until, roughGuess, others, false);
  }
}

/** The device of an object, or the device itself. */
function deviceOf(self: Handle): Handle | undefined {
  const { device, kind } = self as { device?: Handle; kind?: string };
  return device ?? (kind === 'GPUDevice' ? self : undefined);
}

/** Whether a copy from that part of a buffer can be valid. The host checks it again. */
function isReadable(buffer: BufferFacts, offset: number, size: number): boolean {
  const { usage, state, isDestroyed } = buffer;
  return (
    (usage & GPUBufferUsage.COPY_SRC) !== 0 &&
    state === 'unmapped' &&
    !isDestroyed &&
    offset % 4 === 0 &&
    offset + size <= buffer.size
  );
}
