import { beforeEach, describe, expect, it } from 'vitest';
import { Outbox } from '#farlight/client/session/outbox.js';
import { emptyStats } from '#farlight/client/session/stats.js';
import type { Link } from '#farlight/client/transport/transport.js';

let sent: number[];
/** How many frames the link takes before it is full. */
let room: number;
let link: Link;
beforeEach(() => {
  sent = [];
  room = Number.POSITIVE_INFINITY;
  const send = (frame: Uint8Array) => {
    sent.push(frame[0] as number);
    room -= 1;
    return room > 0;
  };
  link = { send, close() {}, ref() {}, unref() {} };
});

const flush = (...frames: number[]) => frames.map((value) => Uint8Array.of(value));

function outbox(mode?: 'stopAndWait'): Outbox {
  const made = new Outbox(emptyStats(), mode === 'stopAndWait');
  made.attach(link);
  return made;
}

/** Lets the link take this many more frames. */
function drain(box: Outbox, frames: number): void {
  room = frames;
  box.drained();
}

describe('the outbox', () => {
  it('sends no faster than the link takes it', () => {
    room = 2;
    const box = outbox();
    for (const value of [1, 2, 3, 4, 5]) box.push(flush(value));
    expect(sent).toEqual([1, 2]);
    drain(box, 2);
    expect(sent).toEqual([1, 2, 3, 4]);
    drain(box, 9);
    expect(sent).toEqual([1, 2, 3, 4, 5]);
  });

  it('frames that the host waits for overtake waiting frames, but not inside a flush', () => {
    room = 1;
    const box = outbox();
    box.push(flush(1, 2));
    box.push(flush(3));
    box.pushFirst(flush(8, 9));
    drain(box, 9);
    expect(sent).toEqual([1, 2, 8, 9, 3]);
  });

  it('gives everything to the link before the link is closed', () => {
    room = 1;
    const box = outbox();
    for (const value of [1, 2, 3]) box.push(flush(value));
    box.finish();
    expect(sent).toEqual([1, 2, 3]);
  });

  it('with stop and wait, sends one flush for each acknowledgement', () => {
    const box = outbox('stopAndWait');
    box.push(flush(1, 2));
    box.push(flush(3));
    box.push(flush(4));
    expect(sent).toEqual([1, 2]);
    box.acknowledged();
    expect(sent).toEqual([1, 2, 3]);
    box.finish();
    expect(sent).toEqual([1, 2, 3]);
  });
});
