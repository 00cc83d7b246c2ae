import { resolve } from 'node:path';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { monotonicNow, steadyTime } from '../../link/machine/clock.js';
import { leaveOnnxRuntimeUnoptimised } from '../infer/load-with.js';
import { commandTracing } from '../options/command-tracing.js';
import { type LogOptions, openLog } from '../options/log-option.js';
import { stopped, stopSignal } from '../stop-signal.js';
import { NatsAccess, type NatsStateFlags } from './nats-options.js';
import { type HostFlags, StreamHosts } from './stream-hosts.js';

export interface WorkerFlags extends LogOptions, NatsStateFlags, HostFlags {
  state?: string;
  /** Seconds. */
  checkpoint: number;
  otlp?: string;
}

/** Works for an application until a signal. @throws FarlightError (rejects) */
export async function runWorker(application: string, options: WorkerFlags): Promise<void> {
  leaveOnnxRuntimeUnoptimised();
  quietGrpc();
  const log = await openLog(options);
  const stop = stopSignal();
  const hosts = new StreamHosts(options);
  const nats = new NatsAccess(options, stop);
  const tracing = commandTracing(options.otlp, log);
  try {
    const { openWorker } = await import('../../stream/workers/cluster.js');
    const { RecordObserver } = await import('../../stream/statistics/record-observer.js');
    const { Tally } = await import('../../stream/statistics/tally.js');
    const { state, checkpoint, natsReplicas: replicas } = options;
    const { worker, close } = await openWorker({
      application,
      folder: resolve(state ?? `${application}.worker`),
      nats: await nats.open(),
      replicas,
      checkpointEvery: checkpoint * 1000,
      hosts: () => hosts.open(log),
      observer: new RecordObserver({ tally: new Tally(steadyTime), now: monotonicNow, tracing }),
      onProblem: (why) =>
        process.stdout.write(`farlight stream worker waits, and tries again each second: ${why}\n`),
      log: (what) => log.info({ what }, 'stream'),
    });
    await Promise.race([worker.ready, stopped(stop)]);
    if (!stop.aborted) process.stdout.write(`farlight stream worker ready: ${application}\n`);
    await stopped(stop);
    await close();
  } finally {
    await nats.close();
    await hosts.close();
    await tracing?.close();
  }
}
