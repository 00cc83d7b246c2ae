/**
 * A sample needs at least so many bytes. The peer takes longer to process fewer bytes than the link takes to carry
 * them. A shaped link also lets tens of kilobytes through in one burst.
 */
export const SAMPLE_BYTES: number = 128 << 10;
/** The link counts as idle while no more bytes than this are under way. */
const IDLE_BYTES = 16 << 10;
/** How long a sample counts, in milliseconds. The last sample counts until another one comes. */
const WINDOW_MS = 10_000;
/** The least share of an interval that remains without its round trip, which may have been measured too long. */
const LEAST_SHARE = 1 / 16;
/** The shortest interval, in milliseconds. A shorter one would measure the clock and the event loop. */
const LEAST_MS = 0.1;

interface Sent {
  bytes: number;
  at: number;
  /** The bytes delivered when this was sent, the time of their acknowledgement, and the time when the last one was sent. */
  delivered: number;
  deliveredAt: number;
  deliveredSentAt: number;
  /** The link was idle, so the interval up to the acknowledgement contains a round trip. */
  first: boolean;
  /** The sender had paused while bytes were under way, so the interval may contain that pause. */
  limited: boolean;
}

/**
 * Estimates a link's bandwidth from acknowledgements, as BBR does (delivery rate estimation). A sample is the number of
 * bytes delivered between two acknowledgements, divided by a time. That is the time between the acknowledgements, or the
 * time that sending took if it is longer. The estimate is the largest sample of the last 10 seconds. A busy peer
 * makes samples too low, and nothing makes them much too high. A sample with a pause of the sender can only raise the
 * estimate.
 *
 * All times are in milliseconds of one clock. Bytes are counted as on the wire.
 */
export class DeliveryRate {
  readonly #sent: Sent[] = [];
  #underWay = 0;
  #delivered = 0;
  #deliveredAt = 0;
  #deliveredSentAt = 0;
  #limited = false;
  #roundTrip: number | undefined;
  /** Rates fall, and times rise. */
  readonly #samples: { at: number; rate: number }[] = [];

  /** In bytes per millisecond; undefined before the first sample. */
  get bytesPerMs(): number | undefined {
    return this.#samples[0]?.rate;
  }

  /** Whether there is no sample yet, and enough bytes for one are under way. */
  get unsure(): boolean {
    return this.bytesPerMs === undefined && this.#underWay >= SAMPLE_BYTES;
  }

  /** A bound on the estimate before the first sample: the first frame under way has not arrived yet. */
  most(now: number): number | undefined {
    const [first] = this.#sent;
    if (!first || !this.unsure) return undefined;
    const elapsed = now - first.at - (this.#roundTrip ?? 0);
    return elapsed > 0 ? first.bytes / elapsed : undefined;
  }

  /** How long the bytes under way still take to leave, in milliseconds. 0 if it is unknown. */
  queueMs(now: number): number {
    const [first] = this.#sent;
    if (!first || this.bytesPerMs === undefined) return 0;
    const gone = now - Math.max(first.at, this.#deliveredAt);
    return Math.max(0, this.#underWay / this.bytesPerMs - gone - (this.#roundTrip ?? 0));
  }

  /** Whether the link is idle now. */
  get idle(): boolean {
    return this.#underWay <= IDLE_BYTES;
  }

  /** Takes the time of a small message there and back. The shortest one counts. */
  roundTrip(ms: number): void {
    this.#roundTrip = Math.min(ms, this.#roundTrip ?? ms);
  }

  /** Bytes were sent. `paused` says that the link had room before, and there was nothing to send. */
  sent(now: number, bytes: number, paused: boolean): void {
    const first = this.idle;
    if (first) {
      this.#deliveredAt = now;
      this.#deliveredSentAt = now;
    }
    this.#limited = !first && (this.#limited || paused);
    this.#sent.push({
      bytes,
      at: now,
      delivered: this.#delivered,
      deliveredAt: this.#deliveredAt,
      deliveredSentAt: this.#deliveredSentAt,
      first,
      limited: this.#limited,
    });
    this.#underWay += bytes;
  }

  /** The peer has taken the first `count` frames of those under way. */
  acknowledged(now: number, count: number): void {
    const taken = this.#sent.splice(0, count);
    const last = taken.at(-1);
    if (!last) return;
    for (const { bytes } of taken) {
      this.#delivered += bytes;
      this.#underWay -= bytes;
    }
    this.#deliveredAt = now;
    this.#deliveredSentAt = last.at;
    const bytes = this.#delivered - last.delivered;
    const acknowledging = now - last.deliveredAt;
    const trip = last.first ? (this.#roundTrip ?? 0) : 0;
    const corrected = Math.max(acknowledging - trip, acknowledging * LEAST_SHARE);
    const interval = Math.max(corrected, last.at - last.deliveredSentAt, LEAST_MS);
    if (bytes >= SAMPLE_BYTES) this.#take(now, bytes / interval, last.limited);
  }

  #take(now: number, rate: number, limited: boolean): void {
    if (limited && rate <= (this.bytesPerMs ?? Number.POSITIVE_INFINITY)) return;
    while ((this.#samples.at(-1)?.rate ?? Number.POSITIVE_INFINITY) <= rate) this.#samples.pop();
    this.#samples.push({ at: now, rate });
    while (this.#samples.length > 1 && now - (this.#samples[0]?.at ?? now) > WINDOW_MS) this.#samples.shift();
  }
}
