import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { LiveEvents } from '#farlight/page/live-events.js';
import { until } from '../support/machine/processes.js';

/** A response that keeps the events that are written to it. */
class Response extends EventEmitter {
  readonly events: string[] = [];
  readonly writableLength = 0;
  writeHead(): void {}
  write(text: string): void {
    if (text.startsWith('event: ')) this.events.push(text);
  }
  end(): void {
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
