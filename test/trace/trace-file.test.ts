import { describe, expect, it } from 'vitest';
import { TraceFile } from '#farlight/client/observers/trace/trace-file.js';
import { ParallelTracks, Sequence, Tracks } from '#farlight/client/observers/trace/tracks.js';
import { checkTrace, type TraceEvent } from '../support/files/trace-format.js';

/** A file in memory, with its content after each write. */
class MemoryFile {
  bytes = Buffer.alloc(0);
  readonly states: string[] = [];
  longest = 0;

  write(bytes: Uint8Array, position: number): void {
    this.longest = Math.max(this.longest, bytes.length);
    const length = Math.max(this.bytes.length, position + bytes.length);
    const grown = Buffer.alloc(length);
    grown.set(this.bytes);
    grown.set(bytes, position);
    this.bytes = grown;
    this.states.push(grown.toString());
  }

  get events(): TraceEvent[] {
    return checkTrace(this.bytes.toString()).traceEvents;
  }
}

const slice = (at: number) => ({ name: 'call', ph: 'X', pid: 1, tid: 1, ts: at, dur: 1 });
const names = [
  { name: 'process_name', ph: 'M', pid: 1, tid: 0, ts: 0, args: { name: 'program' } },
  { name: 'thread_name', ph: 'M', pid: 1, tid: 1, ts: 0, args: { name: 'calls' } },
];

describe('a trace file', () => {
  it('a trace file is whole and valid after each write, and has every event at the end', () => {
    const sink = new MemoryFile();
    let written = 0;
    const about = () => ({ written: written++ % 3 === 0 ? 'a long text that becomes short again' : '' });
    const file = new TraceFile({ sink, about, waitingBytes: 200 });
    for (const event of names) file.add(event);
    for (let at = 0; at < 100; at += 1) file.add(slice(at));
    file.flush();
    expect(sink.states.length).toBeGreaterThan(20);
    for (const state of sink.states) expect(() => checkTrace(state)).not.toThrow();
    expect(sink.events).toHaveLength(102);
  });

  it('keeps no more in memory than its limit', () => {
    const sink = new MemoryFile();
    const file = new TraceFile({ sink, about: () => ({}), waitingBytes: 1000 });
    for (const event of names) file.add(event);
    for (let at = 0; at < 1000; at += 1) file.add(slice(at));
    expect(sink.longest).toBeLessThan(1200);
    expect(sink.events.length).toBeGreaterThan(950);
  });

  it('stops growing at its limit, stays valid, and tells how much it left out', () => {
    const sink = new MemoryFile();
    const file = new TraceFile({ sink, about: () => ({}), waitingBytes: 100, mostBytes: 2000 });
    for (const event of names) file.add(event);
    for (let at = 0; at < 1000; at += 1) file.add(slice(at));
    file.flush();
    expect(sink.bytes.length).toBeLessThan(2400);
    const { traceEvents, otherData } = checkTrace(sink.bytes.toString());
    expect(traceEvents.length + (otherData.eventsLeftOut as number)).toBe(1002);
  });

  it('has the description as of the latest write', () => {
    const sink = new MemoryFile();
    let error = 5;
    const file = new TraceFile({ sink, about: () => ({ error }) });
    file.add(names[0] ?? {});
    file.flush();
    error = 1;
    file.add(names[1] ?? {});
    file.flush();
    expect(checkTrace(sink.bytes.toString()).otherData).toEqual({ error: 1 });
  });
});

describe('tracks', () => {
  function draw(act: (tracks: Tracks) => void): TraceEvent[] {
    const sink = new MemoryFile();
    const file = new TraceFile({ sink, about: () => ({}) });
    const tracks = new Tracks(file, 1000);
    tracks.process(1, 'program', 1);
    act(tracks);
    file.flush();
    return sink.events;
  }
  const slices = (events: TraceEvent[]) =>
    events.filter(({ ph }) => ph === 'X').map(({ name, tid, ts, dur }) => [name, tid, ts, dur]);

  it('times are microseconds since the start, to the nanosecond', () => {
    const events = draw((tracks) => {
      const track = tracks.track(1, 1, 'calls');
      tracks.slice(track, 'call', 1000.1234567, 1000.2);
      tracks.counter(1, 'bytes', 1000.5, { up: 1 });
    });
    expect(slices(events)).toEqual([['call', 1, 123.457, 76.543]]);
    expect(events.at(-1)).toMatchObject({ ph: 'C', ts: 500, args: { up: 1 } });
  });

  it('overlapping slices get their own tracks, and a free track is used again', () => {
    const events = draw((tracks) => {
      const group = new ParallelTracks(tracks, 1, 101, 'waits');
      group.slice('a', 1000, 1004);
      group.slice('b', 1001, 1005);
      group.slice('c', 1004, 1006);
      group.slice('d', 1000.5, 1007);
    });
    expect(slices(events)).toEqual([
      ['a', 101, 0, 4000],
      ['b', 102, 1000, 4000],
      ['c', 101, 4000, 2000],
      ['d', 103, 500, 6500],
    ]);
  });

  it('more than 64 overlapping slices are left out and counted', () => {
    const drawn: unknown[] = [];
    draw((tracks) => {
      const group = new ParallelTracks(tracks, 1, 101, 'waits');
      for (let index = 0; index < 70; index += 1) drawn.push(group.slice('a', 1000, 1010 + index));
    });
    expect(drawn.filter((track) => track !== undefined)).toHaveLength(64);
  });

  it('slices stay in order if a clock was set back', () => {
    const events = draw((tracks) => {
      const sequence = new Sequence(tracks, tracks.track(1, 1, 'executor'));
      sequence.slice('a', 1000, 1004);
      sequence.slice('b', 1003, 1005);
      sequence.slice('c', 1001, 1002);
    });
    expect(slices(events)).toEqual([
      ['a', 1, 0, 4000],
      ['b', 1, 4000, 1000],
      ['c', 1, 5000, 0],
    ]);
  });
});

describe('the format check of the tests', () => {
  const document = (events: object[]) => JSON.stringify({ traceEvents: [...names, ...events] });
  const table: [string, object[]][] = [
    ['a slice without a duration', [{ ...slice(0), dur: undefined }]],
    ['a slice without a time', [{ ...slice(0), ts: undefined }]],
    ['a slice without a name', [{ ...slice(0), name: '' }]],
    ['a slice in a track without a name', [{ ...slice(0), tid: 7 }]],
    ['a slice of a process without a name', [{ ...slice(0), pid: 7 }]],
    ['an event of an unknown kind', [{ ...slice(0), ph: 'Z' }]],
    [
      'slices that overlap',
      [
        { ...slice(0), dur: 10 },
        { ...slice(5), dur: 10 },
      ],
    ],
    ['slices that end in another order', [slice(5), slice(0)]],
    ['a counter without numbers', [{ ...slice(0), ph: 'C', args: {} }]],
    [
      'an arrow that begins in no slice',
      [slice(0), { ...slice(5), ph: 's', id: 1 }, { ...slice(5), ph: 'f', id: 1 }],
    ],
    ['an arrow without an end', [slice(0), { ...slice(0), ph: 's', id: 1 }]],
  ];
  it.each(table)('rejects %s', (_what, events) => {
    expect(() => checkTrace(document([slice(0)]))).not.toThrow();
    expect(() => checkTrace(document(events))).toThrow();
  });
});
