import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { pinOf } from '../../link/address/certificate-pin.js';
import { wallClock } from '../../link/machine/clock.js';
import { codeOf } from '../../proto/errors.js';
import { selfSignedCertificate } from './certificate.js';
import { checkPrivate, hostFolder, replaceFile, unusable, writeFirst } from './private-folder.js';

/** A host's certificate and its private key. `key` and `cert` are PEM, as node:tls takes them. */
export interface HostCertificate {
  readonly key: string;
  /** The certificate, followed by its chain where there is one. */
  readonly cert: string;
  /** The value of `ca` in the host's address. */
  readonly pin: string;
  /** Whether clients need the pin, since no authority signed the certificate. */
  readonly selfSigned: boolean;
  /** When it expires, in milliseconds since 1970. */
  readonly expires: number;
}

export interface OwnCertificateOptions {
  /** Host names and IP addresses that the certificate must cover. */
  names: readonly string[];
  /** Milliseconds since 1970. Default: now. */
  now?: number;
  /** Default: `host` in Farlight's folder of the user's configuration. */
  folder?: string;
}

const FILE = 'identity.pem';
const DAY = 24 * 60 * 60 * 1000;
const VALID_DAYS = 730;
/** How long before it expires a certificate is renewed. */
const RENEW_DAYS = 30;
/**
 * How far a client's clock may be behind. The wrong time zone is up to 14 hours off, and a clock that was set by hand
 * may show the wrong day. Only clients without a pin check the dates.
 */
const BACKDATED_MS = 2 * DAY;

/**
 * The certificate that a host makes for itself. The first call makes it. A later call renews it when it expires soon or
 * lacks one of the names. The key stays the same, and so does the pin in clients' addresses. All hosts of a user share
 * it.
 *
 * @throws FarlightError TRUST_UNUSABLE where the folder or the file in it cannot be used.
 */
export function ownCertificate(options: OwnCertificateOptions): HostCertificate {
  const { names, now = wallClock(), folder = hostFolder() } = options;
  checkPrivate(folder);
  const found = read(folder);
  if (found && stillGood(found.certificate, names, now)) return describe(found);
  if (found) {
    replaceFile(folder, FILE, identity(found.key, names, now));
  } else {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    // If another process was first, the host uses that key.
    writeFirst(folder, FILE, identity(privateKey, names, now));
  }
  const made = read(folder);
  if (!made)
    throw unusable(`${join(folder, FILE)} disappeared right after farlight made it; start the host again`);
  return describe(made);
}

interface Identity {
  readonly text: string;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}

function identity(key: KeyObject, names: readonly string[], now: number): string {
  const certificate = selfSignedCertificate({
    commonName: 'farlight host',
    names,
    key,
    // The first bit is 0 and the second is 1: the number is positive and has no leading zeros.
    serial: randomBytes(16).map((byte, at) => (at === 0 ? (byte & 0x7f) | 0x40 : byte)),
    notBefore: now - BACKDATED_MS,
    notAfter: now + VALID_DAYS * DAY,
  });
  // One file, so that no process reads one key with another key's certificate.
  return `${key.export({ type: 'pkcs8', format: 'pem' })}${certificate}`;
}

function read(folder: string): Identity | undefined {
  const path = join(folder, FILE);
  try {
    const text = readFileSync(path, 'utf8');
    const found = { text, key: createPrivateKey(text), certificate: new X509Certificate(text) };
    if (found.certificate.checkPrivateKey(found.key)) return found;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw damaged(path, error);
  }
  throw damaged(path);
}

function damaged(path: string, cause?: unknown): Error {
  return unusable(
    `${path} does not hold a key and its certificate; restore the file, or delete it and give clients the new address`,
    cause,
  );
}

function stillGood(certificate: X509Certificate, names: readonly string[], now: number): boolean {
  const until = Date.parse(certificate.validTo) - RENEW_DAYS * DAY;
  if (now >= until || now < Date.parse(certificate.validFrom)) return false;
  return names.every((name) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)));
}

function describe({ text, certificate }: Identity): HostCertificate {
  const start = text.indexOf('-----BEGIN CERTIFICATE-----');
  return {
    key: text.slice(0, start),
    cert: text.slice(start),
    pin: pinOf(certificate),
    selfSigned: true,
    expires: Date.parse(certificate.validTo),
  };
}
