import { execFile } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { isPin } from '#farlight/link/address/certificate-pin.js';
import { selfSignedCertificate } from '#farlight/server/trust/certificate.js';
import { clientAuthorities, givenCertificate } from '#farlight/server/trust/given-certificate.js';
import { ownCertificate } from '#farlight/server/trust/host-certificate.js';
import { machineNames, namedForClients } from '#farlight/server/trust/machine-names.js';
import { DAY, folders, makePair } from '../support/trust/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

const NAMES = ['gpu.example', '192.0.2.7', '2001:db8::7'];
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

const isFor = (certificate: X509Certificate, name: string) =>
  (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined;

describe('a certificate', () => {
  it('holds the given content, and is signed by its own key', () => {
    const [notBefore, notAfter] = [Date.UTC(2026, 1, 3, 4, 5, 6), Date.UTC(2051, 0, 2, 3, 4, 5)];
    const content = { commonName: 'test', names: NAMES, key, notBefore, notAfter };
    const made = new X509Certificate(selfSignedCertificate({ ...content, serial: Uint8Array.of(0x81, 2) }));
    expect(made.verify(made.publicKey) && made.checkPrivateKey(key)).toBe(true);
    expect(made.subjectAltName).toBe(
      'DNS:gpu.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7',
    );
    expect([Date.parse(made.validFrom), Date.parse(made.validTo)]).toEqual([notBefore, notAfter]);
    expect(made.ca).toBe(false);
    expect(made.serialNumber).toBe('8102');
    expect(made.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(made.subject).toBe('CN=test');
  });

  it('is read back as it was made, with any names, times and numbers', () => {
    const names = fc.array(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()), { minLength: 1, maxLength: 40 });
    const seconds = fc.integer({ min: Date.UTC(1990, 0) / 1000, max: Date.UTC(2120, 0) / 1000 });
    const serials = fc
      .uint8Array({ minLength: 1, maxLength: 20 })
      .filter((bytes) => bytes.some((byte) => byte));
    fc.assert(
      fc.property(names, seconds, serials, (all, second, serial) => {
        const notAfter = second * 1000;
        const content = { commonName: 'ü', names: all, key, serial, notBefore: 0x1f0000000, notAfter };
        const made = new X509Certificate(selfSignedCertificate(content));
        expect(made.verify(made.publicKey)).toBe(true);
        expect(Date.parse(made.validTo)).toBe(notAfter);
        expect(BigInt(`0x${made.serialNumber}`)).toBe(BigInt(`0x${Buffer.from(serial).toString('hex')}`));
        expect(made.subjectAltName?.split(', ')).toHaveLength(all.length);
        for (const name of all) expect(isFor(made, name), name).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the certificate that a host makes for itself', () => {
  const now = Date.UTC(2026, 5, 1);

  it('is made once, for two years, for all names, in a file that only its owner can read', () => {
    const folder = join(temporary.make(), 'host');
    const made = ownCertificate({ names: NAMES, folder, now });
    expect(ownCertificate({ names: NAMES, folder, now: now + 600 * DAY })).toEqual(made);
    expect(made.expires).toBe(now + 730 * DAY);
    expect(isPin(made.pin)).toBe(true);
    const certificate = new X509Certificate(made.cert);
    for (const name of NAMES) expect(isFor(certificate, name)).toBe(true);
    const [file, ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    expect(statSync(join(folder, String(file))).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it('is valid already where a clock has another time zone, or is a day behind', () => {
    const { cert } = ownCertificate({ names: NAMES, folder: temporary.make(), now });
    expect(Date.parse(new X509Certificate(cert).validFrom)).toBeLessThan(now - DAY - 14 * 60 * 60 * 1000);
  });

  it('is renewed before it expires, or for another name, with the same pin', () => {
    const folder = temporary.make();
    const made = ownCertificate({ names: NAMES, folder, now });
    expect(ownCertificate({ names: NAMES, folder, now: now + 699 * DAY })).toEqual(made);
    const renewed = ownCertificate({ names: NAMES, folder, now: now + 700 * DAY });
    expect(renewed.expires).toBe(now + 1430 * DAY);
    const named = ownCertificate({ names: [...NAMES, '192.0.2.8'], folder, now: now + 700 * DAY });
    expect(new X509Certificate(named.cert).checkIP('192.0.2.8')).toBe('192.0.2.8');
    expect([renewed.pin, named.pin]).toEqual([made.pin, made.pin]);
    expect(new X509Certificate(renewed.cert).serialNumber).not.toBe(
      new X509Certificate(made.cert).serialNumber,
    );
  });

  it('is the same for four hosts that make the first one at once', async () => {
    const folder = join(temporary.make(), 'host');
    const module = new URL('../../dist/server/trust/host-certificate.js', import.meta.url).href;
    const maker = fileURLToPath(new URL('../support/trust/certificate-maker.mjs', import.meta.url));
    const run = promisify(execFile);
    const made = await Promise.all(
      Array.from({ length: 4 }, () => run(process.execPath, [maker, module, folder])),
    );
    const pins = new Set(made.map(({ stdout }) => stdout));
    expect([...pins]).toEqual([ownCertificate({ names: ['localhost'], folder }).pin]);
  });

  it('is refused with a sentence where others may read the folder, or the file is damaged', () => {
    const folder = temporary.make();
    ownCertificate({ names: NAMES, folder, now });
    const file = join(folder, String(readdirSync(folder)[0]));
    const text = readFileSync(file, 'utf8');
    const strange = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const swapped =
      strange.export({ type: 'pkcs8', format: 'pem' }) + text.slice(text.indexOf('-----BEGIN CERT'));
    for (const damaged of ['', text.slice(0, 300), swapped]) {
      writeFileSync(file, damaged);
      expect(() => ownCertificate({ names: NAMES, folder, now })).toThrow(/restore the file, or delete it/);
    }
    chmodSync(folder, 0o755);
    expect(() => ownCertificate({ names: NAMES, folder, now })).toThrow(/chmod 700/);
  });
});

describe('the certificate of the owner', () => {
  function files(texts: Record<string, string>): Record<string, string> {
    const folder = temporary.make();
    return Object.fromEntries(
      Object.entries(texts).map(([name, text]) => {
        writeFileSync(join(folder, name), text);
        return [name, join(folder, name)];
      }),
    );
  }

  it('is read with its pin, and absent where no option names a file', () => {
    const pair = makePair();
    const { cert, key } = files({ cert: pair.cert, key: pair.key });
    expect(givenCertificate({ cert, key })).toMatchObject({ ...pair, selfSigned: true });
    expect(givenCertificate({ cert: undefined, key: undefined })).toBeUndefined();
    expect(clientAuthorities(cert as string)).toBe(pair.cert);
  });

  it('is refused with a sentence where it has no key, cannot be read, is not PEM, is locked, does not match, has expired or is not valid yet', () => {
    const pair = makePair();
    const past = makePair({ notBefore: Date.now() - 9 * DAY, notAfter: Date.now() - DAY });
    const future = makePair({ notBefore: Date.now() + DAY, notAfter: Date.now() + 9 * DAY });
    const locked = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-128-cbc',
      passphrase: 'x',
    });
    const texts = { locked: locked.toString(), junk: 'x', past: past.cert, future: future.cert };
    const { cert, key, ...on } = files({ cert: pair.cert, key: pair.key, ...texts });
    const TABLE: [string | undefined, string | undefined, RegExp][] = [
      [cert, undefined, /--tls-cert needs --tls-key/],
      [undefined, key, /--tls-key needs --tls-cert/],
      ['/no/such/file', key, /--tls-cert .* cannot be read \(ENOENT\)/],
      [cert, '/no/such/file', /--tls-key .* cannot be read \(ENOENT\)/],
      [on.junk, key, /--tls-cert .*holds no certificate/],
      [cert, on.junk, /--tls-key .*holds no private key/],
      [cert, on.locked, /locked with a passphrase/],
      [on.past, key, /--tls-cert .* expired on/],
      [on.future, key, /is not valid before/],
      [cert, files({ other: makePair().key }).other, /is not the key of the certificate/],
    ];
    for (const [certFile, keyFile, words] of TABLE) {
      const act = () => givenCertificate({ cert: certFile, key: keyFile });
      expect(act).toThrow(
        expect.objectContaining({ code: 'BAD_OPTION', message: expect.stringMatching(words) }),
      );
    }
    expect(() => clientAuthorities(on.past as string)).toThrow(/--tls-client-ca .* expired on/);
    expect(() => clientAuthorities(on.junk as string)).toThrow(/--tls-client-ca .* holds no certificate/);
  });
});

describe('the names of a machine', () => {
  const of = (address: string, internal = false) => ({ address, internal }) as never;
  const machine = {
    hostname: 'gpu-box',
    interfaces: {
      lo: [of('127.0.0.1', true), of('::1', true)],
      eth0: [of('fe80::1'), of('2001:db8::7'), of('192.0.2.7')],
    },
  };

  it('are the names that others can reach, and that of --listen', () => {
    const all = ['gpu-box', 'localhost', '127.0.0.1', '::1', '2001:db8::7', '192.0.2.7'];
    expect(machineNames(machine, '0.0.0.0')).toEqual(all);
    expect(machineNames(machine, 'gpu.example')).toEqual(['gpu.example', ...all]);
    expect(machineNames({ ...machine, hostname: 'Görans Mac' }, '::')).not.toContain('Görans Mac');
  });

  it('include one for clients, which is never a wildcard', () => {
    expect(namedForClients(machine, 'gpu.example')).toBe('gpu.example');
    expect(namedForClients(machine, '0.0.0.0')).toBe('192.0.2.7');
    expect(namedForClients({ ...machine, interfaces: {} }, '::')).toBe('gpu-box');
  });
});
