import type { Registry } from 'prom-client';
import { SESSION_END_CODES } from '../../proto/session/session-end.js';
import type { HostView } from '../observatory/host-view.js';
import type { Observatory } from '../observatory/observatory.js';

/** Reads one figure from the host's state. */
type Read = (host: HostView, observatory: Observatory) => number;

const GAUGES: Readonly<Record<string, [help: string, read: Read]>> = {
  farlight_gpu_up: ['1 while a GPU can be opened, else 0.', ({ adapter }) => (adapter ? 1 : 0)],
  farlight_sessions_open: ['Open sessions.', ({ sessions }) => sessions.length],
  farlight_gpu_memory_bytes: [
    'Bytes of the buffers and textures of all sessions.',
    ({ totals }) => totals.gpuBytes,
  ],
  farlight_gpu_memory_reserved_bytes: [
    'Bytes of GPU memory that sessions have reserved and do not use.',
    ({ totals }) => totals.gpuReserved,
  ],
  farlight_gpu_memory_capacity_bytes: [
    'Bytes of GPU memory for all sessions; NaN where the host does not know.',
    ({ gpuMemory }) => gpuMemory.capacity ?? Number.NaN,
  ],
  farlight_contents: ['Uploads that are kept.', ({ contents }) => sum(contents?.map(({ count }) => count))],
  farlight_content_bytes: [
    'Bytes of the uploads that are kept.',
    ({ contents }) => sum(contents?.map((b) => b.bytes)),
  ],
};

const COUNTERS: Readonly<Record<string, [help: string, read: Read]>> = {
  farlight_sessions_total: ['Sessions opened.', ({ counters }) => counters.sessionsOpened],
  farlight_sessions_refused_total: ['Sessions refused.', ({ counters }) => counters.sessionsRefused],
  farlight_session_seconds_total: [
    'Total duration of ended sessions.',
    (_, { secondsEnded }) => secondsEnded,
  ],
  farlight_bytes_received_total: ['Bytes of frames from clients.', ({ totals }) => totals.bytesUp],
  farlight_bytes_sent_total: ['Bytes of frames to clients.', ({ totals }) => totals.bytesDown],
  farlight_line_bytes_sent_total: [
    'Bytes of ranges to sessions of other hosts.',
    ({ totals }) => totals.bytesToHosts,
  ],
  farlight_line_bytes_received_total: [
    'Bytes of ranges from sessions of other hosts.',
    ({ totals }) => totals.bytesFromHosts,
  ],
  farlight_frames_received_total: ['Frames from clients.', ({ totals }) => totals.framesUp],
  farlight_frames_sent_total: ['Frames to clients.', ({ totals }) => totals.framesDown],
  farlight_commands_total: ['Commands executed.', ({ totals }) => totals.commands],
  farlight_commands_named_total: ['Commands that came as names.', ({ totals }) => totals.asNames],
  farlight_submits_total: ['Calls of GPUQueue.submit.', ({ totals }) => totals.submits],
  farlight_waits_total: ['Commands whose answer a program awaited.', ({ totals }) => totals.waits],
  farlight_contents_named_total: ['Contents that came as names.', ({ totals }) => totals.contentsNamed],
  farlight_content_bytes_saved_total: [
    'Bytes of the contents that came as names.',
    ({ totals }) => totals.bytesNotSent,
  ],
  farlight_objects_shared_total: [
    'GPU objects that existed already when a program created them.',
    ({ totals }) => totals.objectsShared,
  ],
  farlight_compile_seconds_total: [
    'Time spent on shader modules and pipelines.',
    ({ totals }) => totals.compileMs / 1000,
  ],
  farlight_compile_seconds_saved_total: [
    'Time saved by shader modules and pipelines that existed already.',
    ({ totals }) => totals.compileMsSaved / 1000,
  ],
  farlight_executors_lost_total: [
    'Sessions that ended because their executor exited.',
    ({ counters }) => counters.executorsLost,
  ],
  farlight_executors_reused_total: [
    'Sessions that got a warm executor.',
    ({ counters }) => counters.executorsReused,
  ],
};

/**
 * The host's figures for Prometheus. Labels have few values, all known beforehand: never a program, a tenant or a
 * session.
 */
export class Metrics {
  readonly #observatory: Observatory;
  #registry: Promise<Registry> | undefined;
  #host: HostView | undefined;

  constructor(observatory: Observatory) {
    this.#observatory = observatory;
  }

  async read(): Promise<{ type: string; text: string }> {
    this.#registry ??= this.#register();
    const registry = await this.#registry;
    this.#host = this.#observatory.view();
    return { type: registry.contentType, text: await registry.metrics() };
  }

  get #now(): HostView {
    this.#host ??= this.#observatory.view();
    return this.#host;
  }

  /** Runs at the first request: from then on, measuring the process costs a little. */
  async #register(): Promise<Registry> {
    const { Counter, Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    const registers = [registry];
    const observatory = this.#observatory;
    const now = () => this.#now;
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
    for (const [name, [help, read]] of Object.entries(GAUGES)) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read(now(), observatory));
        },
      });
    }
    for (const [name, [help, read]] of Object.entries(COUNTERS)) {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read(now(), observatory));
        },
      });
    }
    new Counter({
      name: 'farlight_session_ends_total',
      help: 'Ended sessions, by code.',
      labelNames: ['code'],
      registers,
      collect() {
        this.reset();
        for (const code of ['CLOSED', ...SESSION_END_CODES] as const) {
          this.inc({ code }, observatory.endsByCode.get(code) ?? 0);
        }
      },
    });
    new Gauge({
      name: 'farlight_executors',
      help: 'Executor processes, by state.',
      labelNames: ['state'],
      registers,
      collect() {
        for (const [state, count] of Object.entries(now().executors)) this.set({ state }, count);
      },
    });
    new Gauge({
      name: 'farlight_build_info',
      help: 'The version of farlight; always 1.',
      labelNames: ['version'],
      registers,
      collect() {
        this.set({ version: now().version }, 1);
      },
    });
    return registry;
  }
}

function sum(numbers: readonly number[] = []): number {
  return numbers.reduce((total, each) => total + each, 0);
}
