import { grpc } from '../../link/grpc/grpc.js';
import { FarlightError } from '../../proto/errors.js';
import { checkLinkOptions, type EmulatedLinkOptions, emulateLink } from '../../testing/emulator.js';

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

/** A link to emulate, as --emulate gives it. */
export type LinkChoice = Omit<EmulatedLinkOptions, 'target'>;

const NAMES: Readonly<Record<string, keyof LinkChoice>> = { rtt: 'rttMs', jitter: 'jitterMs', mbit: 'mbit' };
const EXAMPLE = 'rtt=30,mbit=100';

/**
 * Understands what --emulate takes: `rtt=MS`, `jitter=MS` and `mbit=MBIT`, any of them, with commas between.
 *
 * @throws FarlightError BAD_OPTION for anything else.
 */
export function parseLinkChoice(text: string): LinkChoice {
  const choice: LinkChoice = {};
  for (const part of text.split(',')) {
    const [, name = '', value = ''] = /^\s*(\w+)=(\d+(?:\.\d+)?)\s*$/.exec(part) ?? [];
    const option = NAMES[name];
    if (option === undefined || choice[option] !== undefined) {
      throw new FarlightError(
        'BAD_OPTION',
        `--emulate ${text} is not understood at "${part}"; write rtt=MS, jitter=MS and mbit=MBIT, each once, for example ${EXAMPLE}`,
      );
    }
    choice[option] = Number(value);
  }
  checkLinkOptions(choice);
  return choice;
}

/**
 * Puts an emulated link in front of a host, or, where none is named, of one that is started on this machine, with
 * this adapter, and that keeps nothing.
 *
 * @throws FarlightError where the host cannot be started (rejects).
 */
export async function emulateHost(
  choice: LinkChoice,
  { host, adapter }: { host: string | undefined; adapter: string },
): Promise<RunHost> {
  if (host !== undefined) return emulateLink({ ...choice, target: host });
  const own = await hostHere(adapter);
  try {
    const link = await emulateLink({ ...choice, target: own.url });
    return {
      url: link.url,
      close: async () => {
        await link.close();
        await own.close();
      },
    };
  } catch (error) {
    await own.close();
    throw error;
  }
}
