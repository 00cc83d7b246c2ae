// Asks the portal, with the token of the person at this page. The tab keeps the token, and no cookie has it: so no other
// site's page can ask with it.
import { followWithToken } from './live.js';

const TITLE = 'Farlight portal';
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
  const token = sessionStorage.getItem(KEY) ?? undefined;
  throw await refusal(
    await followWithToken({ url: '/v1/events', token, event: 'portal', title: TITLE }, show),
  );
}

async function send(path, { headers, ...options }) {
  const token = sessionStorage.getItem(KEY);
  const response = await fetch(path, {
    ...options,
    headers: { ...headers, ...(token !== null && { authorization: `Bearer ${token}` }) },
  });
  if (response.ok) return response;
  throw await refusal(response);
}

/** The portal's sentence in an answer that is no success. */
async function refusal(response) {
  // An answer from between the page and the portal, such as a proxy's, has no sentence in it: then its status is shown.
  const { error = `status ${response.status}` } = await response.json().catch(() => ({}));
  return response.status === 401 ? new Unauthorized(error) : new Error(error);
}
