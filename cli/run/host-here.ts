import { grpc } from '../../link/grpc/grpc.js';

/** A host that is there for one run. */
export interface RunHost {
  url: string;
  /** Ends what was started for it. */
  close(): Promise<void>;
}

/**
 * Starts a host on this machine, on loopback, which keeps nothing.
 *
 * @throws FarlightError where it cannot be started (rejects).
 */
export async function hostHere(adapter: string): Promise<RunHost> {
  // What gRPC would log is said by our own errors, in words for people.
  if (!process.env.GRPC_VERBOSITY) grpc().setLogVerbosity(grpc().logVerbosity.NONE);
  // Loaded here so that a run without it need not wait.
  const { Daemon } = await import('../../server/daemon.js');
  return Daemon.start({ listen: '127.0.0.1:0', adapter });
}
