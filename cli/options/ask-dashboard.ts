import { shownHost } from '../../link/address/host-port.js';
import { parsePageAddress } from '../../page/page-server.js';
import { FarlightError, messageOf } from '../../proto/errors.js';

/** How long a dashboard may take to give its state, in milliseconds. It is on this machine, or at the end of a tunnel. */
const ANSWER_MS = 5000;

/** The URL of a dashboard's address, which may be pasted as its server printed it. @throws FarlightError BAD_OPTION */
export function dashboardUrl(address: string): string {
  const { host, port } = parsePageAddress(address.replace(/^http:\/\/([^/]+)\/?$/, '$1'));
  return `http://${shownHost(host)}:${port}`;
}

/**
 * Asks a dashboard for its state. The answer's body has the same time limit.
 *
 * @throws FarlightError UNAUTHORIZED where the page is another user's; any error where nobody answers (rejects).
 */
export async function askDashboard(url: string, path: string): Promise<Response> {
  const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (response.status === 403 && (await response.clone().text()).startsWith('This page is only for'))
    throw new FarlightError(
      'UNAUTHORIZED',
      `the dashboard at ${url} is only for the user who runs that server; type this command as that user, or start the server with --allow-local-users`,
    );
  return response;
}

/** Why nobody answered, in a few words. */
export function silenceOf(error: unknown): string {
  const { cause, name } = error as { cause?: { code?: string }; name?: string };
  if (name === 'TimeoutError') return `no answer within ${ANSWER_MS / 1000} seconds`;
  return cause?.code ?? messageOf(error);
}
