import { describe, expect, it } from 'vitest';
import { parseWebAddress } from '#farlight/client/browser/web-address.js';

const PAGE = 'https://app.example/index.html';
const TOKEN = `flt_${'Ab1_-'.repeat(8)}xyz`;

const urlOf = (text: string | undefined, page = PAGE) => parseWebAddress(text, page).url;
const problem = (text: string | undefined, page = PAGE) => {
  try {
    parseWebAddress(text, page);
  } catch (error) {
    return error as Error & { code: string };
  }
  throw new Error(`${text} was taken`);
};

describe('the address of a host for pages', () => {
  it('accepts wss: anywhere, and ws: on this machine', () => {
    expect(urlOf('wss://gpu.example')).toBe('wss://gpu.example/session');
    expect(urlOf('wss://gpu.example:7071/')).toBe('wss://gpu.example:7071/session');
    expect(urlOf('ws://127.0.0.1:7071')).toBe('ws://127.0.0.1:7071/session');
    expect(urlOf('ws://localhost:7071')).toBe('ws://localhost:7071/session');
    expect(urlOf('ws://[::1]:7071')).toBe('ws://[::1]:7071/session');
    expect(problem('ws://gpu.example:7071')).toMatchObject({
      code: 'BAD_URL',
      message: expect.stringMatching(/plaintext across the network; write wss:\/\/TOKEN@gpu.example:7071/),
    });
  });

  it('accepts a path, as a proxy may need it', () => {
    expect(urlOf('wss://example.org/gpu/one')).toBe('wss://example.org/gpu/one');
  });

  it('defaults to the server that the page came from', () => {
    expect(urlOf(undefined)).toBe('wss://app.example/session');
    expect(urlOf('', 'http://127.0.0.1:7071/')).toBe('ws://127.0.0.1:7071/session');
    expect(problem(undefined, 'file:///home/me/page.html').code).toBe('BAD_URL');
    // The origin of a page without one.
    expect(problem(undefined, 'null').code).toBe('BAD_URL');
    expect(problem(undefined, 'http://192.0.2.1/').code).toBe('BAD_URL');
  });

  it('shows the token in no property, no JSON, and never sends it in plaintext', () => {
    const address = parseWebAddress(`wss://${TOKEN}@gpu.example`, PAGE);
    expect(address.token).toBe(TOKEN);
    expect(address.url).toBe('wss://gpu.example/session');
    expect(JSON.stringify(address)).not.toContain(TOKEN);
    expect(problem(`ws://${TOKEN}@127.0.0.1:7071`).message).toMatch(/plaintext; write wss:\/\/TOKEN@/);
  });

  it.each([
    `wss://${TOKEN.slice(0, 20)}@gpu.example`,
    `ws://${TOKEN}@127.0.0.1:7071`,
    `wss://${TOKEN}@gpu.example?ca=x`,
    `grpcs://${TOKEN}@gpu.example:7070`,
    `${TOKEN}@gpu.example`,
    `http://${TOKEN}@gpu.example`,
  ])('rejects %s with a sentence that quotes no token', (text) => {
    const { code, message } = problem(text);
    expect(code).toBe('BAD_URL');
    expect(message).not.toContain(TOKEN.slice(4, 16));
  });

  it('rejects the address for other programs, and names the one for pages', () => {
    expect(problem('grpc://127.0.0.1:7070').message).toMatch(/a page cannot speak grpc:\/\/; write wss:/);
  });
});
