import { EventEmitter } from 'node:events';
import type { Server, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { LocalUsers, OWNER } from '#farlight/server/trust/local-users.js';
import { Newcomers } from '#farlight/server/trust/newcomers/newcomers.js';

/** As many unknown connections of this machine as a port keeps. */
const MOST = 256;

const opened: FakeSocket[] = [];

class FakeSocket extends EventEmitter {
  readonly remoteAddress = '127.0.0.1';
  readonly localAddress = '127.0.0.1';
  readonly remotePort = 1 + opened.length;
  destroyed = false;

  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

/** A port, and users whose names are found when the test says so. */
function port() {
  const server = new EventEmitter();
  const newcomers = new Newcomers(server as Server);
  const connect = () => {
    const socket = new FakeSocket();
    opened.push(socket);
    server.emit('connection', socket);
    return socket as FakeSocket & Socket;
  };
  const crowd = (count = MOST) => Array.from({ length: count }, connect);
  return { newcomers, connect, crowd };
}

function usersWhere(found: Promise<number | undefined>): LocalUsers {
  const users = new LocalUsers(false);
  users.of = () => found;
  return users;
}

// Else the time for the first request keeps running.
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});

describe('the unknown connections of a port', () => {
  it('give way to a crowd of others, the oldest first', () => {
    const { connect, crowd } = port();
    const [first, second] = [connect(), connect()];
    crowd(MOST - 1);
    expect(first.destroyed).toBe(true);
    expect(second.destroyed).toBe(false);
  });

  it('stay while the server looks up their user, and after it if the server admits that user', async () => {
    const { newcomers, connect, crowd } = port();
    const { promise, resolve } = deferred<number | undefined>();
    const socket = connect();
    const user = newcomers.userOf(socket, usersWhere(promise));
    crowd();
    expect(socket.destroyed).toBe(false);
    resolve(OWNER);
    expect(await user).toBe(OWNER);
    crowd();
    expect(socket.destroyed).toBe(false);
  });

  it('give way again once their user is found and not admitted', async () => {
    const { newcomers, connect, crowd } = port();
    const socket = connect();
    await newcomers.userOf(socket, usersWhere(Promise.resolve(undefined)));
    crowd(MOST - 1);
    expect(socket.destroyed).toBe(false);
    connect();
    expect(socket.destroyed).toBe(true);
  });

  it('do not come back when they have closed during the lookup', async () => {
    const { newcomers, connect, crowd } = port();
    const { promise, resolve } = deferred<number | undefined>();
    const socket = connect();
    const user = newcomers.userOf(socket, usersWhere(promise));
    socket.destroy();
    resolve(undefined);
    await user;
    const others = crowd();
    expect(others.some(({ destroyed }) => destroyed)).toBe(false);
  });
});
