import { describe, expect, it } from 'vitest';
import { NamedContents } from '#farlight/client/reuse/named-contents.js';
import { UploadPolicy } from '#farlight/client/reuse/upload-policy.js';
import { emptyStats } from '#farlight/client/session/stats.js';
import { hashContent } from '#farlight/link/machine/hashing.js';
import { ContentFilter } from '#farlight/proto/content/content-filter.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { ITEM, ITEM_KINDS, PAYLOAD, PAYLOAD_MODES } from '#farlight/proto/wire/template.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { Line, text, USE } from '../support/random/encoder-to-decoder.js';

describe('a payload that is worth a name', () => {
  const big = (fill: number, length = 3000) => new Uint8Array(length).fill(fill);
  const nameOf = (bytes: Uint8Array) => hashContent(bytes);

  /** A line to a host that has these contents already. */
  function lineTo(...held: Uint8Array[]) {
    const line = new Line();
    const stats = emptyStats();
    const filter = ContentFilter.of(held.map(nameOf)).encode();
    let serial = 1;
    const policy = new UploadPolicy({ largestBytes: 1 << 20, leastBytes: 2000 });
    const contents = new NamedContents(
      { filter, largestBytes: 1 << 20 },
      { stats, policy, nextSerial: () => serial, copyBytes: 8000 },
    );
    line.encoder.contents = contents;
    const answer = () => contents.answered(serial++);
    return { line, contents, stats, answer };
  }

  it('a payload comes with its name if the host does not have it, and as its name alone if it does', () => {
    const { line, stats } = lineTo(big(1));
    const buffer = line.create();
    line.use(buffer, { numbers: [0], bytes: [big(1)] });
    line.use(buffer, { numbers: [1], bytes: [big(2)] });
    line.use(buffer, { numbers: [2], bytes: [big(2)] });
    line.use(buffer, { numbers: [3], bytes: [big(3, 1500)] });
    expect(line.send()).toBeLessThan(3000 + 1500 + 200);
    const [one, two] = [big(1), big(2)].map((bytes) => text(nameOf(bytes)));
    expect(line.stored).toEqual([[two, text(big(2))]]);
    expect(line.arrived.slice(1).map(({ payloads }) => payloads)).toEqual([
      [`3000 bytes named ${one}`],
      [text(big(2))],
      [`3000 bytes named ${two}`],
      [text(big(3, 1500))],
    ]);
    expect(stats).toMatchObject({ contentsNamed: 2, bytesNotSent: 6000 });
  });

  it('a payload of a repeated command may be a name each time, whatever was sent the time before', () => {
    const { line, answer } = lineTo(big(1));
    const step = (fill: number) => {
      const buffer = line.create();
      line.use(buffer, { bytes: [big(fill)] });
      line.wait();
      line.send();
      answer();
      return line.arrived.at(-2)?.payloads[0];
    };
    const named = (fill: number) => `3000 bytes named ${text(nameOf(big(fill)))}`;
    expect([1, 2, 2, 1, 3, 3].map(step)).toEqual([
      named(1),
      text(big(2)),
      named(2),
      named(1),
      text(big(3)),
      named(3),
    ]);
  });

  it('a missing payload can be supplied with its bytes at the call, until the host has answered a later command', () => {
    const { line, contents, stats, answer } = lineTo(big(1), big(2));
    const bytes = big(1);
    line.use(line.create(), { numbers: [0], bytes: [bytes] });
    bytes.fill(9);
    line.send();
    for (const frame of contents.supply(nameOf(big(1)))) line.receive(frame);
    expect(line.supplied).toEqual([[text(nameOf(big(1))), text(big(1))]]);
    expect(stats).toMatchObject({ contentsNamed: 0, bytesNotSent: 0 });
    answer();
    expect(() => contents.supply(nameOf(big(1)))).toThrow(ProtocolError);
    expect(() => contents.supply(nameOf(big(2)))).toThrow(ProtocolError);
  });

  it('a payload is sent as bytes if the client has no room to keep it for the host', () => {
    const held = [1, 2, 3].map((fill) => big(fill));
    const { line, answer } = lineTo(...held);
    const use = (bytes: Uint8Array) => {
      line.use(line.create(), { bytes: [bytes] });
      line.send();
      return line.arrived.at(-1)?.payloads[0];
    };
    const [one, two, three] = held as [Uint8Array, Uint8Array, Uint8Array];
    expect([use(one), use(two)].every((payload) => payload?.includes('named'))).toBe(true);
    expect(use(three)).toBe(text(three));
    answer();
    expect(use(three)).toMatch(/named/);
  });

  it('no payload is named after the host has missed a content that it had received', () => {
    const { line, contents } = lineTo();
    const use = (fill: number) => {
      line.use(line.create(), { bytes: [big(fill)] });
      line.send();
      return line.arrived.at(-1)?.payloads[0];
    };
    expect(use(1)).toBe(text(big(1)));
    expect(use(1)).toMatch(/named/);
    contents.supply(nameOf(big(1)));
    expect([use(1), use(2)]).toEqual([text(big(1)), text(big(2))]);
    expect(line.stored.length).toBe(1);
  });

  it('a payload has its bytes at the call, even if another thread writes to them later', () => {
    const { line } = lineTo();
    const shared = new Uint8Array(new SharedArrayBuffer(3000)).fill(5);
    line.use(line.create(), { bytes: [shared] });
    shared.fill(6);
    line.send();
    expect(line.stored).toEqual([[text(nameOf(big(5))), text(big(5))]]);
  });

  it.each<[string, (w: Writer) => void]>([
    ['a name cut short', (w) => payload(w, 3, 10, new Uint8Array(31))],
    ['a content cut short', (w) => payload(w, 2, 10, new Uint8Array(41))],
    ['a content longer than any', (w) => payload(w, 3, LIMITS.transferBytes + 1, new Uint8Array(32))],
    ['a supply cut short', (w) => supply(w, 10, new Uint8Array(41))],
    [
      'a payload to be kept where nothing is defined',
      (w) => {
        payload(w, 0, 2, new Uint8Array(2));
        w.u64(head(ITEM.jump, 0));
        w.u64(head(ITEM.correct, 0));
        w.u64(2 * PAYLOAD_MODES + PAYLOAD.kept);
        w.append(new Uint8Array(2));
      },
    ],
  ])('a named payload is refused as %s', (_what, write) => {
    const line = new Line();
    const w = new Writer();
    write(w);
    expect(() => line.receive(w.take()[0] as Uint8Array)).toThrow(ProtocolError);
  });

  const head = (kind: number, value: number) => value * ITEM_KINDS + kind;

  /** The definition of a command without operands and with one payload. */
  function payload(w: Writer, mode: number, length: number, rest: Uint8Array): void {
    w.u64(head(ITEM.define, 0));
    w.bytes(Uint8Array.of(USE.opcode));
    w.u32(0);
    w.u32(1);
    w.u64(length * PAYLOAD_MODES + mode);
    w.append(rest);
  }

  function supply(w: Writer, length: number, rest: Uint8Array): void {
    w.u64(head(ITEM.content, length));
    w.append(rest);
  }
});
