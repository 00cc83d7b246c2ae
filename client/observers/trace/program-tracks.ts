import type { Wait } from '../../session/observer.js';
import { type Details, ParallelTracks, type Track, type Tracks } from './tracks.js';

const CALLS = 1;
const WAITS = 101;

/** The program's own tracks, for all of its sessions: its calls, and its waits. */
export class ProgramTracks {
  readonly #tracks: Tracks;
  readonly #pid: number;
  readonly #calls: Track;
  readonly #waits: ParallelTracks;
  #open = 0;
  #objects = 0;
  #leftOut = 0;

  constructor(tracks: Tracks, pid: number, name: string) {
    this.#tracks = tracks;
    this.#pid = pid;
    tracks.process(pid, name, pid);
    this.#calls = tracks.track(pid, CALLS, 'WebGPU calls');
    this.#waits = new ParallelTracks(tracks, pid, WAITS, 'waits');
  }

  /** Waits that found no track. */
  get leftOut(): number {
    return this.#leftOut;
  }

  call(name: string, start: number, end: number, label: string): void {
    this.#tracks.slice(this.#calls, name, start, end, label ? { label } : undefined);
  }

  flush(start: number, end: number, details: Details): void {
    this.#tracks.slice(this.#calls, 'send flush', start, end, details);
  }

  /** A wait begins. Returns a function to call when it is settled. */
  wait({ operation, label }: Wait, start: number, now: () => number): (error?: Error) => void {
    this.#count(start, 1);
    return (error) => {
      const end = now();
      const name = `${operation.interface}.${operation.member}`;
      const details = { ...(label && { label }), ...(error && { error: error.message }) };
      if (!this.#waits.slice(name, start, end, details)) this.#leftOut += 1;
      this.#count(end, -1);
    };
  }

  objects(time: number, count: number): void {
    if (count === this.#objects) return;
    this.#objects = count;
    this.#tracks.counter(this.#pid, 'objects', time, { alive: count });
  }

  #count(time: number, by: number): void {
    this.#open += by;
    this.#tracks.counter(this.#pid, 'waits', time, { open: this.#open });
  }
}
