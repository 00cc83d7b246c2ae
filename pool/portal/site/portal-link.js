// Asks the portal, with the token of the person at this page. The tab keeps the token, and no cookie has it: so no other
// site's page can ask with it.
import { showStatus } from './live.js';

const TITLE = 'Farlight portal';
/** How long after a lost stream to open another one, in milliseconds. */
const AGAIN_MS = 1000;
/** A stream that is silent for so long is lost: the portal sends an event every ten seconds. */
const SILENT_MS = 25_000;
const KEY = 'farlight portal token';

/** The portal wants another token. */
export class Unauthorized extends Error {}

export function hasToken() {
  return sessionStorage.getItem(KEY) !== null;
}

export function setToken(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}

/** @throws Unauthorized; Error with a sentence for a person (rejects). */
export async function ask(method, path, body) {
  const response = await send(path, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  return isJson ? response.json() : response.text();
}

/**
 * Follows the portal's events until it wants another token. Reconnects by itself when the portal is back.
 *
 * @param {Function} show gets each event's data.
 * @throws Unauthorized (rejects)
 */
export async function follow(show) {
  for (;;) {
    const silence = new AbortController();
    try {
      await read(show, silence);
    } catch (error) {
      if (error instanceof Unauthorized) throw error;
    } finally {
      silence.abort();
    }
    showStatus(TITLE, false);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

async function read(show, silence) {
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENT_MS);
  };
  try {
    heard();
    const { body } = await send('/v1/events', { signal: silence.signal });
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const events = (rest + value).split('\n\n');
      rest = events.pop();
      for (const event of events) {
        const data = /^data: (.*)$/m.exec(event)?.[1];
        if (data === undefined) continue;
        showStatus(TITLE, true);
        show(JSON.parse(data));
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

async function send(path, { headers, ...options }) {
  const token = sessionStorage.getItem(KEY);
  const response = await fetch(path, {
    ...options,
    headers: { ...headers, ...(token !== null && { authorization: `Bearer ${token}` }) },
  });
  if (response.ok) return response;
  const { error = `status ${response.status}` } = await response.json().catch(() => ({}));
  throw response.status === 401 ? new Unauthorized(error) : new Error(error);
}
