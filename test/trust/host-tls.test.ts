import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsOptions } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { HostTls } from '#farlight/server/trust/host-tls.js';
import { until } from '../support/machine/processes.js';
import { DAY, folders, makePair, type Pair } from '../support/trust/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

/** A valid key that is too short for OpenSSL. */
const weak = () =>
  makePair({ privateKey: generateKeyPairSync('ec', { namedCurve: 'secp112r1' }).privateKey });
const expired = () => makePair({ notBefore: Date.now() - 9 * DAY, notAfter: Date.now() - DAY });

/** A host's certificate, in files that can be replaced. */
function files(first: Pair) {
  const folder = temporary.make();
  const paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const put = (pair: Pair) => {
    writeFileSync(paths.cert, pair.cert);
    writeFileSync(paths.key, pair.key);
  };
  put(first);
  const told: string[] = [];
  const make = () => new HostTls({ listen: '127.0.0.1', files: paths, warn: (why) => told.push(why) });
  return { paths, put, told, make };
}

describe('the certificate of a host', () => {
  it('is refused with one sentence at the start where OpenSSL rejects it', () => {
    const { paths, make } = files(weak());
    expect(make).toThrow(
      `OpenSSL refuses --tls-cert ${paths.cert}, --tls-key ${paths.key} (ee key too small); name a certificate`,
    );
  });

  it('stays the last good one while a new one is unusable, and the owner is warned once', async () => {
    const good = makePair();
    const { put, told, make } = files(good);
    const shown: TlsOptions[] = [];
    const tls = make();
    const end = tls.watch(5, (options) => shown.push(options));
    put(weak());
    await until(() => told.length > 0);
    // It is read a few more times.
    await new Promise((resolve) => setTimeout(resolve, 60));
    put(expired());
    await until(() => told.length > 1);
    expect(tls.pin).toBe(good.pin);
    expect(shown).toEqual([]);
    const next = makePair();
    put(next);
    await until(() => shown.length > 0);
    end();
    expect(tls.pin).toBe(next.pin);
    expect(shown).toEqual([expect.objectContaining({ cert: next.cert })]);
    expect(told).toEqual([
      expect.stringMatching(/^OpenSSL refuses .*ee key too small/),
      expect.stringMatching(/cert\.pem expired on /),
    ]);
  });

  it('is read again after an error while showing a new one', async () => {
    const { put, told, make } = files(makePair());
    const tls = make();
    let calls = 0;
    const end = tls.watch(5, () => {
      calls += 1;
      if (calls === 1) throw new Error('not now');
    });
    put(makePair());
    await until(() => calls === 2);
    end();
    expect(told).toEqual(['not now']);
  });
});
