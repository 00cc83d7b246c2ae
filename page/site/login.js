// The page for the owner, or for tenants: it asks for their token, and follows their own events with it.
import { at, say } from './dom.js';
import { follow, followWithToken } from './live.js';

/** Where the token is kept until the tab is closed. */
const KEY = 'farlight-token';

/**
 * Follows all events at the owner's address. At the address for clients each tenant has its own page, by its token.
 *
 * @param {{ url: string, event: string, title: string }} events `url` is that of a tenant's events.
 * @param {Function} show gets the data of each event.
 */
export function followAllOrOwn(events, show) {
  if (location.pathname.startsWith('/farlight/')) followOwn(events, show);
  else follow(events.event, events.title, show);
}

/** Follows with the token that the tab has, or asks for one. */
function followOwn(events, show) {
  at('login-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const token = at('token').value.trim();
    at('token').value = '';
    if (token !== '') void start(token);
  });
  const known = sessionStorage.getItem(KEY);
  if (known) void start(known);
  else ask('');

  async function start(token) {
    at('login').hidden = true;
    await followWithToken({ ...events, token }, (data) => {
      sessionStorage.setItem(KEY, token);
      show(data);
    });
    sessionStorage.removeItem(KEY);
    ask('The server does not take this token.');
  }
}

function ask(why) {
  say(at('status'), 'needs a token');
  say(at('login-said'), why);
  at('login').hidden = false;
  at('token').focus();
}
