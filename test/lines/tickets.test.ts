// Tickets, and the peers that the owner has named, decide which sessions get a line.
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import type { ExecutorChild } from '#farlight/link/executor/executor-child.js';
import { Lines, parsePeers } from '#farlight/server/daemon/sessions/lines.js';

type Told = { type: string; line: number; ticket?: string; why?: string };

/** An executor that notes what it is told. */
function executor() {
  const told: Told[] = [];
  const child = {
    tell: (command: Told) => told.push(command),
    hand: ({ line }: { line: number }) => told.push({ type: 'line', line }),
  };
  return { child: child as unknown as ExecutorChild, told };
}

function lines(peers: string[] = [], mostBytes?: number) {
  const opened: string[] = [];
  const made = new Lines({
    peers: peers.map((peer) => parseHostAddress(peer, { tls: true })),
    mostBytes: (tenant) => (tenant === 'alice' ? mostBytes : undefined),
    bridges: () =>
      ({ carry: (_: unknown, use: (end: unknown) => boolean) => void use(new PassThrough()) }) as never,
    open: async (address, ticket) => {
      opened.push(`${address.url} ${address.pin ?? 'no pin'} ${ticket}`);
      return new PassThrough();
    },
  });
  return { made, opened };
}

const PIN = 'hhG2QQnLfR3JwW4F4mkJ0T3rQvPzv0vEw4x8m0b1Lc0';

describe('a ticket', () => {
  test('is good once, and for the line that it was made for', () => {
    const { made } = lines();
    const { child, told } = executor();
    made.receive(child, 'alice', { type: 'acceptLine', line: 3 });
    const ticket = told[0]?.ticket ?? '';
    expect(Buffer.from(ticket, 'base64url').length).toBe(32);
    const end = made.claim(ticket);
    expect(end).toMatchObject({ child, line: 3 });
    expect(() => made.claim(ticket)).toThrow('the host does not know this ticket');
    made.accept(new PassThrough(), end);
    expect(told[1]).toEqual({ type: 'line', line: 3 });
  });

  test('is worth nothing when its session has ended', () => {
    const { made } = lines();
    const { child, told } = executor();
    made.receive(child, 'alice', { type: 'acceptLine', line: 1 });
    made.over(child);
    expect(() => made.claim(told[0]?.ticket)).toThrow('the host does not know this ticket');
  });

  test('that was shown as its session ended opens no line of the next session', () => {
    const { made } = lines();
    const { child, told } = executor();
    made.receive(child, 'alice', { type: 'acceptLine', line: 1 });
    const end = made.claim(told[0]?.ticket);
    made.over(child);
    const connection = new PassThrough();
    made.accept(connection, end);
    expect(told.length).toBe(1);
    expect(connection.destroyed).toBe(true);
  });

  test.each([undefined, '', 'x', 'A'.repeat(43)])('%o is none', (ticket) => {
    const { made } = lines();
    made.receive(executor().child, 'alice', { type: 'acceptLine', line: 1 });
    expect(() => made.claim(ticket)).toThrow('the host does not know this ticket');
  });
});

test('a tenant has as many lines as its bytes allow, and others after these', async () => {
  const { made } = lines([], 8 << 20);
  const { child, told } = executor();
  for (const line of [1, 2, 3]) made.receive(child, 'alice', { type: 'acceptLine', line });
  expect(told.map(({ type }) => type)).toEqual(['ticket', 'ticket', 'noLine']);
  expect(told[2]?.why).toContain('(--in-flight)');
  made.receive(executor().child, 'bob', { type: 'acceptLine', line: 1 });
  const connection = new PassThrough();
  made.accept(connection, made.claim(told[0]?.ticket));
  made.receive(child, 'alice', { type: 'acceptLine', line: 4 });
  connection.destroy();
  await new Promise((resolve) => connection.once('close', resolve));
  made.receive(child, 'alice', { type: 'acceptLine', line: 5 });
  made.over(child);
  for (const line of [1, 2]) made.receive(child, 'alice', { type: 'acceptLine', line });
  expect(told.slice(3).map(({ type }) => type)).toEqual(['line', 'noLine', 'ticket', 'ticket', 'ticket']);
});

describe('a line to another host', () => {
  test('goes to a peer that the owner has named, with the key that is pinned there, whatever the client says', async () => {
    const { made, opened } = lines([`grpcs://b.example:7070?ca=${PIN}`]);
    const { child, told } = executor();
    const host = `grpcs://b.example?ca=${'A'.repeat(43)}`;
    made.receive(child, 'alice', { type: 'connectLine', line: 1, host, ticket: 't' });
    await new Promise(setImmediate);
    expect(opened).toEqual([`grpcs://b.example:7070 ${PIN} t`]);
    expect(told).toEqual([{ type: 'line', line: 1 }]);
  });

  test.each([
    'grpcs://b.example:7071',
    'grpcs://c.example:7070',
    'grpcs://b.example.:7070',
    'grpc://127.0.0.1:22',
    'unix:/run/docker.sock',
    'grpcs://b.example:7070/x',
    'http://169.254.169.254/',
    '',
  ])('never goes to %s', async (host) => {
    const { made, opened } = lines(['grpcs://b.example:7070']);
    const { child, told } = executor();
    made.receive(child, 'alice', { type: 'connectLine', line: 1, host, ticket: 't' });
    await new Promise(setImmediate);
    expect(opened).toEqual([]);
    expect(told).toMatchObject([{ type: 'noLine', line: 1 }]);
  });

  test('is refused with the reason, and names what the owner can do', async () => {
    const { made } = lines(['grpcs://b.example:7070']);
    const { child, told } = executor();
    made.receive(child, 'alice', { type: 'connectLine', line: 1, host: 'grpcs://c.example:1', ticket: 't' });
    await new Promise(setImmediate);
    expect(told[0]?.why).toBe(
      "the host's owner has not named grpcs://c.example:1 as a peer (farlight serve --peer)",
    );
  });
});

test("the address of a peer has no token, which others could read in the owner's command line", () => {
  const token = `flt_${'a'.repeat(43)}`;
  const refuse = () => parsePeers([`grpcs://${token}@b.example:7070?ca=${PIN}`]);
  expect(refuse).toThrow('--peer grpcs://b.example:7070 needs no token');
  expect(refuse).not.toThrow(token);
});
