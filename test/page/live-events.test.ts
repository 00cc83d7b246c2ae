import { EventEmitter, once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { EventStream } from '#farlight/page/event-stream.js';
import { LiveEvents } from '#farlight/page/live-events.js';
import { until } from '../support/machine/processes.js';

/** A response that keeps the events that are written to it. */
class Response extends EventEmitter {
  readonly events: string[] = [];
  readonly writableLength = 0;
  closed = false;
  writeHead(): void {}
  write(text: string): void {
    if (text.startsWith('event: ')) this.events.push(text);
  }
  end(): void {
    this.closed = true;
    this.emit('close');
  }
}

function serve() {
  const errors: unknown[] = [];
  const live = new LiveEvents({ name: 'state', onError: (error) => errors.push(error) });
  const follow = (read: () => number) => {
    const response = new Response();
    const state = (now: number) => ({ now, news: `${now}`, event: () => ({ now }) });
    live.follow(response as unknown as ServerResponse, () => state(read()));
    return response;
  };
  return { live, follow, errors };
}

it('a state that cannot be read ends its own stream alone, and the error goes to the log', async () => {
  const { live, follow, errors } = serve();
  let reads = 0;
  const bug = new Error('a bug');
  const broken = follow(() => {
    throw bug;
  });
  const later = follow(() => {
    reads += 1;
    if (reads > 1) throw bug;
    return reads;
  });
  const whole = follow(() => whole.events.length + 1);
  await until(() => errors.length === 2);
  expect(errors).toEqual([bug, bug]);
  expect([broken.events.length, later.events.length]).toEqual([0, 1]);
  const before = whole.events.length;
  await until(() => whole.events.length > before);
  expect(live.readers).toBe(1);
  live.close();
  expect(live.readers).toBe(0);
});

it('a reader that has gone before its stream begins gets none', () => {
  const { live } = serve();
  const response = new Response();
  response.closed = true;
  live.follow(response as unknown as ServerResponse, () => ({ now: 1, news: '', event: () => ({}) }));
  expect(live.readers).toBe(0);
});

it('a reader that has stopped is disconnected when its stream ends', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  onTestFinished(() => {
    reader.destroy();
    server.close();
  });
  reader.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  const stream = new EventStream(response);
  // More than the system stores for it.
  stream.send('news', JSON.stringify('x'.repeat(64 << 20)));
  const closed = new Promise<void>((resolve) => stream.onClose(resolve));
  stream.end();
  await closed;
});
