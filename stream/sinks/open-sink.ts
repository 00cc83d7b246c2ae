import type { Nats } from '../broker/nats-connection.js';
import type { SinkDefinition } from '../definition/definition.js';
import { FileSink } from './file-sink.js';
import { HttpSink } from './http-sink.js';
import { NatsSink } from './nats-sink.js';
import type { Sink } from './sink.js';

/** Where a sink writes to, without what it writes. */
export type Target =
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'nats'; readonly subject: string }
  /** The dashboard. */
  | { readonly kind: 'page' }
  /** The file of errors, which lies with the process that has the sinks. */
  | { readonly kind: 'errors' };

export interface SinkHelp {
  /** The application's name. */
  readonly application: string;
  readonly errorsFile: string;
  /** Whether outputs in files survive a power cut. */
  readonly durable: boolean;
  /** For subjects of NATS. */
  nats(): Promise<Nats>;
  log(message: string): void;
}

/** The observer hears of each output, and the dashboard shows the last ones: nothing else is to be done. */
const PAGE: Sink = {
  write: async () => {},
  mark: () => undefined,
  hadUntil: new Map(),
  close: async () => {},
};

/** The target of a sink; of the sink of errors where there is no definition. */
export function targetOf(sink: SinkDefinition | undefined): Target {
  if (!sink) return { kind: 'errors' };
  if (sink.kind === 'file') return { kind: 'file', file: sink.file };
  if (sink.kind === 'page') return { kind: 'page' };
  return sink.kind === 'http' ? { kind: 'http', url: sink.url } : { kind: 'nats', subject: sink.subject };
}

/** Opens a sink, which may have had outputs since this mark. @throws Error, FarlightError where it cannot be had (rejects) */
export async function openSink(
  target: Target,
  mark: unknown,
  { application, errorsFile, durable, nats, log }: SinkHelp,
): Promise<Sink> {
  switch (target.kind) {
    case 'http':
      return new HttpSink({ url: target.url, application, log });
    case 'nats':
      return new NatsSink({ nats: await nats(), subject: target.subject, application, log });
    case 'page':
      return PAGE;
    default: {
      const file = target.kind === 'errors' ? errorsFile : target.file;
      return FileSink.open(file, mark as number | undefined, durable);
    }
  }
}
