import { quietGrpc } from '../../link/grpc/grpc.js';
import { FarlightError } from '../../proto/errors.js';
import { checkLinkOptions, type EmulatedLinkOptions, emulateLink } from '../../testing/emulator.js';

/** A host for one run. */
export interface RunHost {
  url: string;
  /** Ends everything that was started for it. */
  close(): Promise<void>;
}

/**
 * Starts a host on loopback of this machine, which keeps nothing.
 *
 * @throws FarlightError (rejects) if it cannot be started.
 */
export async function hostHere(adapter: string): Promise<RunHost> {
  quietGrpc();
  // Loaded here, so that a run without it need not wait.
  const { Daemon } = await import('../../server/daemon.js');
  return Daemon.start({ listen: '127.0.0.1:0', adapter });
}

/** The link that --emulate asks for. */
export type LinkChoice = Omit<EmulatedLinkOptions, 'target'>;

const NAMES: Readonly<Record<string, keyof LinkChoice>> = { rtt: 'rttMs', jitter: 'jitterMs', mbit: 'mbit' };
const EXAMPLE = 'rtt=30,mbit=100';

/**
 * Parses the value of --emulate: any of `rtt=MS`, `jitter=MS` and `mbit=MBIT`, separated by commas.
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
 * Puts an emulated link in front of a host. If no host is named, it starts one on this machine with this
 * adapter, which keeps nothing.
 *
 * @throws FarlightError (rejects) if the host cannot be started.
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
