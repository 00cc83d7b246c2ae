import { monotonicNow } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { alarm } from '../../link/machine/timer.js';
import { FarlightError, invariant, messageOf, ProtocolError } from '../../proto/errors.js';
import { OPERATIONS } from '../../proto/gen/operations.js';
import { Handle, ROOT_ID } from '../../proto/wire/handle.js';
import { PART_BYTES } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';
import type { SpanReport } from '../../proto/wire/span-report.js';
import { ReadAhead } from '../ahead/read-ahead.js';
import { CommandEncoder } from '../reuse/command-encoder.js';
import { NamedContents } from '../reuse/named-contents.js';
import type { Link, Welcome } from '../transport/transport.js';
import { Devices } from './devices.js';
import { flushAfter, type Recorded } from './flush-policy.js';
import { FlushSchedule } from './flush-schedule.js';
import { type ConnectionOptions, HostConnection } from './host-connection.js';
import { watchIdle } from './idle-watch.js';
import { MemoryWatch } from './memory-watch.js';
import type { SessionObserver } from './observer.js';
import { Outbox } from './outbox.js';
import type { Whole } from './parts.js';
import { beforeProcessEnds } from './process/process-end.js';
import { ProcessHold } from './process/process-hold.js';
import { whenTaskEnds } from './process/task-end.js';
import { type Recipients, readReplies, type Settles } from './replies.js';
import { Requests, rethrow, type Settlement } from './requests.js';
import type { Stats } from './stats.js';

export interface SessionOptions extends ConnectionOptions {
  /** 'off' sends each command as a message of its own. */
  grouping: 'on' | 'off';
  /** 'off' sends all commands in full, and each flush only after the host has executed the flush before. */
  reuse: 'on' | 'off';
  /** See `SessionSwitches`. Without reuse, and for a session that is `fresh`, it is off. */
  ahead: 'auto' | 'on' | 'off';
  /** The counts, which may include earlier sessions. */
  stats: Stats;
  /** Watches the session. */
  observer?: SessionObserver | undefined;
  /** Checks the host that accepted the session. If it returns an error, the session ends with that. */
  refuses?: ((welcome: Welcome) => FarlightError | undefined) | undefined;
  /** The session uses nothing that the host has from earlier sessions, and sends all that it needs. */
  fresh?: boolean | undefined;
  /** The exception for a promise if the host refuses. */
  asException(rejection: Rejection): Error;
}

/** How many bytes beside a part still fit its frame. */
const ROOM_BESIDE_PART = 2048;
/** Released handles are sent at the latest when there are this many. */
const RELEASES_PER_MESSAGE = 512;
/** How long a process that would end waits for errors of its last commands, in milliseconds. */
const LAST_WORDS_MS = 1000;

/**
 * One program's session with one executor. It records commands in program order, sends them in flushes, and settles
 * their replies. Its connection opens with the first flush or request, and the session ends with it.
 */
export class Session {
  readonly stats: Stats;
  /** The GPU object's own handle: the receiver of session commands. */
  readonly root: Handle;
  readonly devices = new Devices();
  readonly memory = new MemoryWatch((on) => this.command(OPERATIONS.FarlightMemory.watch, [on]));
  onWelcome: (welcome: Welcome) => void = () => {};
  /** The host reports spans, of the kinds that the client asked for. */
  onActivity: (report: SpanReport) => void = () => {};
  readonly observer: SessionObserver | undefined;

  readonly #options: SessionOptions;
  readonly #encoder: CommandEncoder;
  readonly #requests: Requests;
  /** Absent if nothing is asked ahead, or no longer: learning makes each command a little slower. */
  #ahead: ReadAhead | undefined;
  readonly #connection: HostConnection;
  readonly #schedule = new FlushSchedule(
    () => this.#flush(),
    () => this.#hold.apply(),
  );
  readonly #registry = new FinalizationRegistry<number>((id) => this.#release(id));
  #released: number[] = [];
  readonly #outbox: Outbox;
  readonly #recipients: Recipients = {
    take: (serial) => this.#take(serial),
    device: (id) => this.devices.get(id),
    part: (serial, bytes) => this.#requests.part(serial, bytes),
    missing: (name) => {
      const flush = this.#encoder.contents?.supply(name);
      if (!flush) throw new ProtocolError('a content is missing where none was named');
      this.#outbox.pushFirst(flush);
    },
    held: (names) => {
      if (!this.#options.fresh) this.#encoder.compiled?.add(names);
    },
    activity: (report) => {
      this.observer?.activity?.(report);
      this.onActivity(report);
    },
    memory: (state) => this.memory.told(state),
  };
  readonly #hold = new ProcessHold();
  #welcome: Welcome | undefined;
  /** How many of the commands that were sent as names are counted. */
  #named = 0;
  /** How many commands the host was asked about when the process would have ended. */
  #askedAbout = 0;
  #notAtEnd: (() => void) | undefined;
  /** Ends the watch for an idle program. */
  #idle: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.stats = options.stats;
    this.observer = options.observer;
    this.root = new Handle(ROOT_ID, this);
    this.#requests = new Requests(options.asException);
    this.#outbox = new Outbox(this.stats, options.reuse === 'off');
    this.#encoder = new CommandEncoder(this, options.reuse);
    if (options.ahead !== 'off' && options.reuse === 'on' && !options.fresh) this.#ahead = this.#readAhead();
    this.#connection = new HostConnection(options, this.stats, {
      onLink: (link, idleMs) => this.#linked(link, idleMs),
      onWelcome: (welcome) => this.#welcomed(welcome),
      onFlush: (flush) => readReplies(flush, this.#recipients),
      onDrain: () => this.#outbox.drained(),
      onEnd: (reason) => this.#finish(reason),
    });
  }

  /** Why the session ended, if it did. */
  get ended(): FarlightError | undefined {
    return this.#connection.ended;
  }

  /** The host's welcome, if it has accepted the session. The session may have ended since. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** The counts until now, with the link's own. */
  countedStats(): Stats {
    const { bytesSavedUp, bytesSavedDown } = this.stats;
    const { up = 0, down = 0 } = this.#connection.link?.saved ?? {};
    return { ...this.stats, bytesSavedUp: bytesSavedUp + up, bytesSavedDown: bytesSavedDown + down };
  }

  /** Counts a call that returns without a reply from the host. */
  countLocal(): void {
    this.stats.apiCalls += 1;
    this.stats.answeredLocally += 1;
  }

  /** Counts a call that waits for the host. */
  countAwaited(): void {
    this.stats.apiCalls += 1;
  }

  /** Ties a handle's life to its resource: when nothing reaches the resource, the host forgets the object. */
  track(resource: Handle): void {
    this.#registry.register(resource, resource.id);
  }

  /** Records a command. `made` is the handle of the object that it creates, if it creates one. */
  record(operation: AnyOperation, self: Handle, args: unknown, made?: Handle): void {
    if (this.ended) return;
    this.#write(operation, self, args, made);
    this.#flushAfter(operation === OPERATIONS.GPUQueue.submit ? 'submit' : 'configuration');
  }

  /**
   * Records a command that carries a part of a long upload, in a flush that fits one frame. If the link can block this
   * thread, the call returns when the link takes more bytes, so that few bytes wait here.
   */
  recordPart(operation: AnyOperation, self: Handle, args: unknown, part: Uint8Array, whole: Whole): void {
    if (this.ended) return;
    if (this.#encoder.length + part.length > PART_BYTES + ROOM_BESIDE_PART) this.#flush();
    this.#write(operation, self, args, undefined, whole);
    this.#flushAfter('configuration');
    this.#outbox.awaitRoom();
  }

  /** Records a command that the host waits for. Ends the session if there is no memory for the command. */
  certainly(record: () => void): void {
    try {
      record();
    } catch (error) {
      const why = `A command could not be sent to its end: ${messageOf(error)}.`;
      this.#connection.close(new FarlightError('DISCONNECTED', why, { cause: error }));
    }
  }

  /**
   * Whether the host has compiled the pipeline of an asynchronous call already. Then the synchronous command does as
   * well, and the call counts as answered locally.
   */
  isCompiled(operation: AnyOperation, self: Handle, args: unknown): boolean {
    if (this.ended || !this.#encoder.isCompiled(operation, self, args)) return false;
    this.stats.answeredLocally += 1;
    return true;
  }

  /**
   * Records a command with an awaited reply. If the host refuses, the promise rejects with a DOMException, TypeError or
   * GPUPipelineError. If the session ends first, it rejects with a FarlightError. `settlement.rejected` can replace both.
   * `made` is the handle of the object that the command creates.
   */
  request<Reply, T>(
    operation: AnyOperation & { readReply(...args: never): Reply },
    self: Handle,
    args: unknown,
    settlement: Settlement<Reply, T>,
    made?: Handle,
  ): Promise<T> {
    const { rejected = rethrow } = settlement;
    const { ended } = this;
    if (ended) return new native.Promise((resolve) => resolve(rejected(ended)));
    this.stats.waits += 1;
    this.#connection.open();
    const wait = this.#ahead?.wait(operation, self, args as unknown[]);
    const sent = wait?.operation ?? operation;
    try {
      this.#write(sent, self, wait?.args ?? args, made);
    } catch (error) {
      return native.Promise.reject(error);
    }
    const { label = '' } = (made ?? self) as { label?: string };
    if (wait) this.#ahead?.waiting(wait, self, this.#requests.next);
    const answer = this.#requests.add(sent, settlement, this.observer?.awaited?.({ operation, label }));
    this.hold();
    this.#flushAfter('awaited');
    return answer;
  }

  /**
   * Sends a command of Farlight's own at once. It is not the program's, so it is not counted. Does nothing after the
   * session has ended.
   */
  command(operation: AnyOperation, args: unknown): void {
    if (this.ended) return;
    this.#encoder.write(operation, this.root, args);
    this.#flush();
  }

  lost(device: Handle): void {
    this.devices.delete(device.id);
    this.#ahead?.lost(device.id);
  }

  /** Bytes `given` to the link or waiting for it, and how many of them the host has `taken`. */
  get upload(): { given: number; taken: number } {
    const { bytesUp } = this.stats;
    return {
      given: bytesUp + this.#outbox.waitingBytes,
      taken: bytesUp - (this.#connection.link?.underWay ?? 0),
    };
  }

  /** How many objects of the program the host has. */
  get objects(): number {
    return this.#encoder.objects;
  }

  /** The program has read a result from the host. */
  readBack(): void {
    this.#encoder.contents?.readBack();
  }

  /** Keeps the process alive until `unhold`, as an awaited command does. */
  hold(): void {
    this.#hold.hold();
  }

  unhold(): void {
    this.#hold.release();
    if (this.#hold.holds > 0) return;
    // Most programs await the next reply in the same task.
    if (this.ended) this.#hold.apply();
    else this.#schedule.whenTaskEnds();
  }

  /** Ends the session. Awaited commands fail with this reason. */
  close(why = 'This GPU was closed by the program.'): void {
    this.#flush();
    this.#outbox.finish();
    this.#connection.close(new FarlightError('DISCONNECTED', why));
  }

  #write(operation: AnyOperation, self: Handle, args: unknown, made?: Handle, whole?: Whole): void {
    this.#encoder.write(operation, self, args, made, whole);
    this.#ahead?.recorded(operation, self, args as unknown[], made, this.#encoder.operands);
    this.devices.used(self, this.#requests.next);
    this.stats.commandsSent += 1;
    this.observer?.recorded?.(operation);
  }

  #flushAfter(recorded: Recorded): void {
    this.#schedule.flush(this.#options.grouping === 'off' ? 'now' : flushAfter(recorded, this.#encoder));
  }

  #flush(): void {
    this.#schedule.flushed();
    if (this.ended || (this.#encoder.length === 0 && this.#released.length === 0)) return;
    this.#connection.open();
    try {
      this.#send();
    } catch (error) {
      // If a flush cannot leave, later flushes would be wrong.
      this.#connection.fail(error);
    }
  }

  #send(): void {
    const { observer } = this;
    const start = observer?.now?.() ?? 0;
    this.#ahead?.flushing();
    this.#writeReleases();
    if (this.#options.reuse === 'off') this.#writeAcknowledge();
    this.stats.sentAsNames += this.#encoder.named - this.#named;
    this.#named = this.#encoder.named;
    const { length: bytes, commands } = this.#encoder;
    this.#outbox.push(this.#encoder.take());
    observer?.flushed?.({ start, commands, bytes });
  }

  #writeAcknowledge(): void {
    this.stats.waits += 1;
    this.#requests
      .add(OPERATIONS.FarlightSession.acknowledge, {
        fulfilled: () => this.#outbox.acknowledged(),
        rejected: () => {},
      })
      .catch((error: unknown) => this.#connection.fail(error, 'DISCONNECTED'));
    this.hold();
    this.#write(OPERATIONS.FarlightSession.acknowledge, this.root, []);
  }

  /** Keeps the process alive a little longer, so that errors of its last commands, which it does not await, arrive. */
  #hearLastWords(): void {
    const { commandsSent } = this.stats;
    if (!this.devices.areUnderWay || this.#askedAbout === commandsSent) return;
    this.#askedAbout = commandsSent;
    const waiting = alarm(LAST_WORDS_MS, () => this.#hold.letGo());
    const heard = () => waiting.cancel();
    void this.#requests.add(OPERATIONS.FarlightSession.acknowledge, { fulfilled: heard, rejected: heard });
    this.hold();
    this.command(OPERATIONS.FarlightSession.acknowledge, []);
  }

  #release(id: number): void {
    if (this.ended) return;
    this.devices.delete(id);
    this.#ahead?.released(id);
    this.#released.push(id);
    if (this.#released.length >= RELEASES_PER_MESSAGE) this.#flush();
  }

  /** Releases travel with the next flush, after its commands, because these may still name the objects. */
  #writeReleases(): void {
    if (this.#released.length === 0) return;
    this.#encoder.release(this.#released);
    this.#released = [];
  }

  #linked(link: Link, idleMs: number | undefined): void {
    if (idleMs !== undefined)
      this.#idle = watchIdle(
        idleMs,
        () => this.#use,
        () => this.close('The host was given back, since the program had no device and asked for nothing.'),
      );
    this.#notAtEnd = beforeProcessEnds(() => this.#hearLastWords());
    this.#hold.attach(link);
    this.#outbox.attach(link);
  }

  /** A number that changes with each call of the program; undefined while the program needs the session. */
  get #use(): number | undefined {
    const needs = this.devices.areThere || this.devices.areUnderWay || this.#requests.awaited > 0;
    return needs ? undefined : this.stats.apiCalls;
  }

  #welcomed(welcome: Welcome): void {
    const refusal = this.#options.refuses?.(welcome);
    if (refusal) {
      this.#connection.close(refusal);
      return;
    }
    this.#welcome = welcome;
    const { contents } = welcome;
    if (contents && this.#options.reuse === 'on' && !this.#options.fresh) {
      const nextSerial = () => this.#requests.next;
      this.#encoder.contents = new NamedContents(contents, { stats: this.stats, nextSerial });
    }
    this.onWelcome(welcome);
    this.observer?.welcomed?.(welcome);
  }

  /** Takes the pending command of a reply. */
  #take(serial: number): Settles {
    const bytes = this.#ahead?.replied(serial);
    if (this.#ahead?.isDone) this.#ahead = undefined;
    const request = this.#requests.take(serial);
    this.#encoder.contents?.answered(serial);
    this.devices.answered(serial);
    if (request.isAwaited) this.unhold();
    return bytes === undefined ? request : { ...request, resolve: () => request.resolve(bytes) };
  }

  #readAhead(): ReadAhead {
    const { readAhead, popErrorScope } = OPERATIONS.GPUDevice;
    return new ReadAhead({
      stats: this.stats,
      always: this.#options.ahead === 'on',
      now: monotonicNow,
      whenTaskEnds,
      awaited: () => this.#requests.awaited,
      ask: (device, { ranges, scopes, done }, answered) => {
        this.#encoder.write(readAhead, device, [ranges, scopes, done]);
        this.#requests.addOwn(readAhead, answered);
      },
      settle: (serial, reply, late) => {
        const isSettled = this.#requests.settle(serial, reply, late);
        if (isSettled) this.unhold();
        return isSettled;
      },
      told: (buffer) => this.#encoder.write(OPERATIONS.GPUBuffer.awaitMapping, buffer, []),
      replied: (operation, device, reply) => {
        // The client proved that the scope has no error. It cannot foresee some errors, such as a lack of memory.
        if (operation === popErrorScope && reply) this.devices.get(device)?.onUncapturedError(reply as never);
      },
    });
  }

  /** Recorded commands are dropped, awaited ones fail, and the devices are lost. */
  #finish(reason: FarlightError): void {
    invariant(this.#hold.holds >= this.#requests.awaited, 'an awaited command does not hold the session');
    const left = this.#requests.takeAll();
    this.#notAtEnd?.();
    this.#idle?.();
    this.#outbox.clear();
    this.#encoder.take();
    this.#encoder.contents = undefined;
    for (const { reject } of left) {
      this.unhold();
      reject(reason);
    }
    this.memory.end(reason);
    for (const device of this.devices.takeAll()) device.onLost('unknown', reason.message);
  }
}
