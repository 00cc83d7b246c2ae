import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { hostService } from '#farlight/link/host-service.js';
import { type ClientMessage, decodeFrame, encodeFrame, type HostMessage } from '#farlight/proto/envelope.js';
import { REPOSITORY } from '../support/session-client.js';

const root = protobuf.loadSync(`${REPOSITORY}/proto/farlight.proto`);
const types = {
  commands: root.lookupType('farlight.v1.ClientMessage'),
  replies: root.lookupType('farlight.v1.HostMessage'),
};
const LENGTHS = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152];

describe('the hand-written envelope', () => {
  for (const field of ['commands', 'replies'] as const) {
    it(`of ${field} is what protobufjs writes, byte for byte`, () => {
      for (const length of LENGTHS) {
        const frame = new Uint8Array(length).fill(0xa5);
        const theirs = types[field].encode({ [field]: frame }).finish();
        expect(Buffer.compare(encodeFrame(frame), theirs), `${length} bytes`).toBe(0);
        expect(Buffer.compare(decodeFrame(theirs) ?? Buffer.alloc(0), frame), `${length} bytes`).toBe(0);
      }
    });
  }

  it('hands a frame on as a view of the message', () => {
    const message = encodeFrame(new Uint8Array(1000));
    expect(decodeFrame(message)?.buffer).toBe(message.buffer);
  });

  it('leaves every other message to the general decoder', () => {
    const hello = types.commands.encode({ hello: { protocolMin: 1 } }).finish();
    expect(decodeFrame(hello)).toBeUndefined();
    expect(decodeFrame(new Uint8Array(0))).toBeUndefined();
    // A length that is cut off, too long a spelling of one, and one that does not fit its message.
    expect(decodeFrame(Uint8Array.from([0x12]))).toBeUndefined();
    expect(decodeFrame(Uint8Array.from([0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]))).toBeUndefined();
    expect(decodeFrame(Uint8Array.from([0x12, 5, 1, 2]))).toBeUndefined();
    expect(decodeFrame(Uint8Array.from([0x12, 1, 1, 2]))).toBeUndefined();
  });
});

describe('the service', () => {
  const { Session } = hostService();

  it('carries every client message there and back', () => {
    const hello = { protocolMin: 1, protocolMax: 2, version: '1.2.3', program: 'app.mjs' };
    for (const message of [{ hello }, { commands: Buffer.from([1, 2]) }] satisfies ClientMessage[]) {
      expect(Session.requestDeserialize(Session.requestSerialize(message))).toMatchObject(message);
    }
  });

  it('carries every host message there and back', () => {
    const adapter = { name: 'a', vendor: 'b', architecture: 'c', software: true, driver: 'd' };
    const welcome = { protocol: 1, version: '1', sessionId: 's', adapter, wgslLanguageFeatures: ['x', 'y'] };
    const end = { code: 'EXECUTOR_LOST', message: 'gone' } as const;
    for (const message of [{ welcome }, { end }, { replies: Buffer.from([3]) }] satisfies HostMessage[]) {
      expect(Session.responseDeserialize(Session.responseSerialize(message))).toMatchObject(message);
    }
  });

  it('refuses bytes that are no message', () => {
    expect(() => Session.requestDeserialize(Buffer.from([0x12, 5, 1]))).toThrow();
  });
});
