import { buildInfo, type Figure, FigureReader, single } from '../../page/figures.js';
import { SESSION_END_CODES } from '../../proto/session/session-end.js';
import type { HostView } from '../observatory/host-view.js';
import type { Observatory } from '../observatory/observatory.js';

/** The state that the figures are read from. */
interface Facts extends HostView {
  readonly endsByCode: Observatory['endsByCode'];
  readonly secondsEnded: number;
}

const gauge = (name: string, help: string, read: (host: Facts) => number): Figure<Facts> =>
  single('gauge', name, help, read);
const counter = (name: string, help: string, read: (host: Facts) => number): Figure<Facts> =>
  single('counter', name, help, read);

const FIGURES: readonly Figure<Facts>[] = [
  gauge('farlight_gpu_up', '1 while a GPU can be opened, else 0.', ({ adapter }) => (adapter ? 1 : 0)),
  gauge('farlight_sessions_open', 'Open sessions.', ({ sessions }) => sessions.length),
  gauge(
    'farlight_gpu_memory_bytes',
    'Bytes of the buffers and textures of all sessions.',
    ({ totals }) => totals.gpuBytes,
  ),
  gauge(
    'farlight_gpu_memory_reserved_bytes',
    'Bytes of GPU memory that sessions have reserved and do not use.',
    ({ totals }) => totals.gpuReserved,
  ),
  gauge(
    'farlight_gpu_memory_capacity_bytes',
    'Bytes of GPU memory for all sessions; NaN where the host does not know.',
    ({ gpuMemory }) => gpuMemory.capacity ?? Number.NaN,
  ),
  gauge('farlight_contents', 'Uploads that are kept.', ({ contents }) =>
    sum(contents?.map(({ count }) => count)),
  ),
  gauge('farlight_content_bytes', 'Bytes of the uploads that are kept.', ({ contents }) =>
    sum(contents?.map((b) => b.bytes)),
  ),
  counter('farlight_sessions_total', 'Sessions opened.', ({ counters }) => counters.sessionsOpened),
  counter('farlight_sessions_refused_total', 'Sessions refused.', ({ counters }) => counters.sessionsRefused),
  counter(
    'farlight_session_seconds_total',
    'Total duration of ended sessions.',
    ({ secondsEnded }) => secondsEnded,
  ),
  counter('farlight_bytes_received_total', 'Bytes of frames from clients.', ({ totals }) => totals.bytesUp),
  counter('farlight_bytes_sent_total', 'Bytes of frames to clients.', ({ totals }) => totals.bytesDown),
  counter(
    'farlight_line_bytes_sent_total',
    'Bytes of ranges to sessions of other hosts.',
    ({ totals }) => totals.bytesToHosts,
  ),
  counter(
    'farlight_line_bytes_received_total',
    'Bytes of ranges from sessions of other hosts.',
    ({ totals }) => totals.bytesFromHosts,
  ),
  counter('farlight_frames_received_total', 'Frames from clients.', ({ totals }) => totals.framesUp),
  counter('farlight_frames_sent_total', 'Frames to clients.', ({ totals }) => totals.framesDown),
  counter('farlight_commands_total', 'Commands executed.', ({ totals }) => totals.commands),
  counter('farlight_commands_named_total', 'Commands that came as names.', ({ totals }) => totals.asNames),
  counter('farlight_submits_total', 'Calls of GPUQueue.submit.', ({ totals }) => totals.submits),
  counter('farlight_waits_total', 'Commands whose answer a program awaited.', ({ totals }) => totals.waits),
  counter(
    'farlight_contents_named_total',
    'Contents that came as names.',
    ({ totals }) => totals.contentsNamed,
  ),
  counter(
    'farlight_content_bytes_saved_total',
    'Bytes of the contents that came as names.',
    ({ totals }) => totals.bytesNotSent,
  ),
  counter(
    'farlight_objects_shared_total',
    'GPU objects that existed already when a program created them.',
    ({ totals }) => totals.objectsShared,
  ),
  counter(
    'farlight_compile_seconds_total',
    'Time spent on shader modules and pipelines.',
    ({ totals }) => totals.compileMs / 1000,
  ),
  counter(
    'farlight_compile_seconds_saved_total',
    'Time saved by shader modules and pipelines that existed already.',
    ({ totals }) => totals.compileMsSaved / 1000,
  ),
  counter(
    'farlight_executors_lost_total',
    'Sessions that ended because their executor exited.',
    ({ counters }) => counters.executorsLost,
  ),
  counter(
    'farlight_executors_reused_total',
    'Sessions that got a warm executor.',
    ({ counters }) => counters.executorsReused,
  ),
  {
    name: 'farlight_session_ends_total',
    help: 'Ended sessions, by code.',
    type: 'counter',
    values: ({ endsByCode }) =>
      (['CLOSED', 'MOVED', ...SESSION_END_CODES] as const).map((code) => ({
        value: endsByCode.get(code) ?? 0,
        labels: { code },
      })),
  },
  {
    name: 'farlight_executors',
    help: 'Executor processes, by state.',
    type: 'gauge',
    values: ({ executors }) =>
      Object.entries(executors).map(([state, value]) => ({ value, labels: { state } })),
  },
  buildInfo(({ version }) => version),
];

/**
 * The host's figures for Prometheus. Labels have few values, all known beforehand: never a program, a tenant or a
 * session.
 */
export class Metrics extends FigureReader<Facts> {
  constructor(observatory: Observatory) {
    super(FIGURES, () => {
      const { endsByCode, secondsEnded } = observatory;
      return { ...observatory.view(), endsByCode, secondsEnded };
    });
  }
}

function sum(numbers: readonly number[] = []): number {
  return numbers.reduce((total, each) => total + each, 0);
}
