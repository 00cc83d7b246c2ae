import type { PageServer } from '../../page/page-server.js';
import { messageOf } from '../../proto/errors.js';
import type { Log } from '../../server/observatory/log.js';

/** Opens the owner's page. Where its address is taken, the server serves anyway. @returns its address, or why there is none */
export async function openPage(page: PageServer, log: Log): Promise<string> {
  try {
    await page.listen();
    return page.url;
  } catch (error) {
    log.warn({ why: messageOf(error) }, 'no dashboard');
    return `none, since ${messageOf(error)}`;
  }
}
