import { once } from 'node:events';
import { connect } from 'node:net';
import { type Duplex, PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { encodePacket, PACKET } from '#farlight/proto/wire/packet.js';
import { FrontDoor, reassure, type SessionRequest } from '#farlight/server/daemon/door/front-door.js';
import { OWNER } from '#farlight/server/trust/local-users.js';
import { RawClient } from '../support/clients/raw-client.js';
import { until } from '../support/machine/processes.js';

const MOST = 4;
const ADDRESS = { target: '', tls: false, host: '127.0.0.1', port: 0, url: () => '' };

let door: FrontDoor;
const sockets: Duplex[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  door.close();
});

async function open() {
  const requests: SessionRequest[] = [];
  const refusals: string[] = [];
  door = new FrontDoor({
    near: true,
    waiting: { most: MOST, mostOfNetwork: MOST },
    onGrpc: () => {},
    userOf: async () => OWNER,
    socketMode: 0o600,
    onSessionRequest: (request) => {
      request.known();
      requests.push(request);
    },
    onRefused: ({ code, message }) => refusals.push(`${code}: ${message}`),
  });
  const port = await door.listen(ADDRESS);
  const silent = async () => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    return socket.resume();
  };
  const speaks = () => {
    const client = new RawClient(`grpc://127.0.0.1:${port}`).hello();
    sockets.push(client.socket);
    return client;
  };
  return { requests, refusals, silent, speaks };
}

describe('a host with many silent connections', () => {
  it('serves clients that speak, and closes the connection that has been silent longest', async () => {
    const { requests, refusals, silent, speaks } = await open();
    const closed: number[] = [];
    for (let number = 0; number < 3 * MOST; number += 1) {
      const socket = await silent();
      socket.once('close', () => closed.push(number));
      speaks();
      await until(() => requests.length === number + 1);
    }
    expect(requests.every(({ packet }) => packet.kind === PACKET.hello)).toBe(true);
    await until(() => closed.length === 2 * MOST + 1);
    expect(closed).toEqual(Array.from({ length: 2 * MOST + 1 }, (_, number) => number));
    expect(refusals).toHaveLength(2 * MOST + 1);
    expect(refusals[0]).toMatch(/^BUSY: too many connections/);
  });
});

describe('a client that waits for its executor', () => {
  it('gets pings while it waits for its executor, and none afterwards', async () => {
    const socket = new PassThrough();
    let waits = true;
    let looks = 0;
    const isWaiting = () => {
      looks += 1;
      return waits;
    };
    reassure(socket, isWaiting, 1);
    for (let time = 0; time < 3; time += 1) {
      const [packet] = await once(socket, 'data');
      expect(Buffer.compare(packet, encodePacket(PACKET.ping))).toBe(0);
    }
    waits = false;
    const before = looks;
    await until(() => looks > before);
    socket.on('data', () => expect.unreachable());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(looks).toBe(before + 1);
  });

  it('may disconnect while it waits for its executor', async () => {
    const socket = new PassThrough();
    let looks = 0;
    const isWaiting = () => {
      looks += 1;
      return true;
    };
    socket.on('error', () => expect.unreachable());
    reassure(socket, isWaiting, 1);
    await until(() => looks > 0);
    socket.end();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(socket.writableEnded).toBe(true);
  });
});
