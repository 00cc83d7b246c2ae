import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COPY_DST } from './support.js';

const mistake = (device: GPUDevice, label: string) =>
  device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: COPY_DST, label });

describe('uncaptured errors', () => {
  parity('an uncaptured error is a GPUUncapturedErrorEvent', async (t) => {
    const events: GPUUncapturedErrorEvent[] = [];
    t.device.addEventListener(
      'uncapturederror',
      (event) => void events.push(event as GPUUncapturedErrorEvent),
    );
    mistake(t.device, 'oops');
    await t.uncaptured();
    const [event] = events;
    expect(events.length).toBe(1);
    expect(event).toBeInstanceOf(t.globals.GPUUncapturedErrorEvent);
    expect(event).toBeInstanceOf(Event);
    expect(event?.type).toBe('uncapturederror');
    expect(event?.error).toBeInstanceOf(t.globals.GPUValidationError);
    expect(event?.error).toBe(event?.error);
    expect(event?.cancelable).toBe(true);
    t.observe('message', event?.error.message);
    t.observe('bubbles', event?.bubbles);
  });

  parity('uncaptured errors come in the order of the mistakes', async ({ device, uncaptured }) => {
    for (const label of ['one', 'two', 'three']) mistake(device, label);
    const errors = await uncaptured();
    expect(errors.map((error) => /one|two|three/.exec(error.message)?.[0])).toEqual(['one', 'two', 'three']);
  });

  parity('onuncapturederror is called, and can be replaced and removed', async ({ device, uncaptured }) => {
    const calls: string[] = [];
    expect(device.onuncapturederror).toBeNull();
    const first = () => void calls.push('first');
    device.onuncapturederror = first;
    expect(device.onuncapturederror).toBe(first);
    mistake(device, 'a');
    await uncaptured();
    device.onuncapturederror = () => void calls.push('second');
    mistake(device, 'b');
    await uncaptured();
    device.onuncapturederror = null;
    mistake(device, 'c');
    await uncaptured();
    expect(calls).toEqual(['first', 'second']);
    expect(device.onuncapturederror).toBeNull();
  });

  parity(
    'the target of an uncapturederror event is the device',
    async ({ device, uncaptured }) => {
      let target: unknown;
      device.addEventListener('uncapturederror', (event) => {
        target = event.target;
      });
      mistake(device, 'a');
      await uncaptured();
      expect(target === device, 'the target is the device').toBe(true);
    },
    { deviation: 'events are for an EventTarget behind the device' },
  );

  parity(
    'onuncapturederror is called on the device, with the event',
    async ({ device, uncaptured, globals }) => {
      const calls: boolean[] = [];
      device.onuncapturederror = function (this: unknown, event) {
        calls.push(this === device, event instanceof globals.GPUUncapturedErrorEvent);
      };
      mistake(device, 'a');
      await uncaptured();
      expect(calls).toEqual([true, true]);
    },
    { deviation: 'events are for an EventTarget behind the device' },
  );

  parity('onuncapturederror is called in its place among the listeners', async ({ device, uncaptured }) => {
    const calls: string[] = [];
    device.addEventListener('uncapturederror', () => void calls.push('listener before'));
    device.onuncapturederror = () => void calls.push('first handler');
    device.addEventListener('uncapturederror', () => void calls.push('listener after'));
    device.onuncapturederror = () => void calls.push('handler');
    mistake(device, 'a');
    await uncaptured();
    expect(calls).toEqual(['listener before', 'handler', 'listener after']);
  });

  parity(
    'a handler that is not a function counts as none',
    async ({ device }) => {
      for (const handler of [5, 'handler', undefined]) {
        device.onuncapturederror = () => {};
        device.onuncapturederror = handler as never;
        expect(device.onuncapturederror).toBeNull();
      }
    },
    { deviation: 'a handler must be a function' },
  );

  parity('a removed listener is not called', async ({ device, uncaptured }) => {
    let calls = 0;
    const listener = () => void calls++;
    device.addEventListener('uncapturederror', listener);
    mistake(device, 'a');
    await uncaptured();
    device.removeEventListener('uncapturederror', listener);
    mistake(device, 'b');
    await uncaptured();
    expect(calls).toBe(1);
  });

  parity('a listener for once is called once', async ({ device, uncaptured }) => {
    let calls = 0;
    device.addEventListener('uncapturederror', () => void calls++, { once: true });
    mistake(device, 'a');
    mistake(device, 'b');
    await uncaptured();
    expect(calls).toBe(1);
  });

  parity(
    'no uncapturederror event comes inside the call with the mistake',
    async ({ device, uncaptured }) => {
      let inside = true;
      const seen: boolean[] = [];
      device.addEventListener('uncapturederror', () => void seen.push(inside));
      mistake(device, 'a');
      inside = false;
      await uncaptured();
      expect(seen).toEqual([false]);
    },
    { deviation: 'uncaptured errors come from inside the call' },
  );

  parity('an error of one device is not an event of another', async ({ device, newDevice, uncaptured }) => {
    const other = await newDevice();
    let calls = 0;
    other.addEventListener('uncapturederror', () => void calls++);
    mistake(device, 'mine');
    expect((await uncaptured()).length).toBe(1);
    await other.queue.onSubmittedWorkDone();
    expect(calls).toBe(0);
  });

  parity('listeners receive events that the program dispatches', ({ device, globals }) => {
    const error = new globals.GPUValidationError('made up');
    const event = new globals.GPUUncapturedErrorEvent('custom', { error });
    const seen: unknown[] = [];
    device.addEventListener('custom' as never, (event) => void seen.push(event));
    device.dispatchEvent(event);
    expect(seen).toEqual([event]);
  });
});
