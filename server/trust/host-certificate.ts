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
import { selfSignedCertificate } from './certificate.js';
import { checkPrivate, codeOf, hostFolder, replaceFile, unusable, writeFirst } from './private-folder.js';

/** What a host shows its clients, and what makes it able to. `key` and `cert` are PEM, as node:tls takes them. */
export interface HostCertificate {
  readonly key: string;
  /** The certificate, with what leads to its authority where there is one. */
  readonly cert: string;
  /** What clients write as `ca` in the host's address. */
  readonly pin: string;
  /** Whether clients need the pin: nobody but the key itself signed the certificate. */
  readonly selfSigned: boolean;
  /** When it ends, in milliseconds since 1970. */
  readonly expires: number;
}

export interface OwnCertificateOptions {
  /** Host names and IP addresses that the certificate must be for. */
  names: readonly string[];
  /** Milliseconds since 1970. Default: now. */
  now?: number;
  /** Default: `host` in Farlight's folder of the user's configuration. */
  folder?: string;
}

const FILE = 'identity.pem';
const DAY = 24 * 60 * 60 * 1000;
const VALID_DAYS = 730;
/** So long before its end a certificate is made anew. */
const RENEW_DAYS = 30;
/**
 * Clocks of clients may be so much behind: one that is set to another zone's time is off by 14 hours at most, and one that
 * was set by hand may have the wrong day. Only clients without a pin look at it.
 */
const BACKDATED_MS = 2 * DAY;

/**
 * The certificate that a host makes for itself: made when it is first asked for, and made anew, for the same key,
 * when it nears its end or lacks one of the names. So the pin that clients were given stays. May be asked again
 * at any time; another host of this user gets the same.
 *
 * @throws FarlightError TRUST_UNUSABLE where the folder or what is in it cannot be used.
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
    // Where another process was first, its key is the host's.
    writeFirst(folder, FILE, identity(privateKey, names, now));
  }
  const made = read(folder);
  if (!made) throw unusable(`${join(folder, FILE)} went away as it was made; start the host again`);
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
    // The first bit is 0 and the second is 1: positive, and no leading zeros.
    serial: randomBytes(16).map((byte, at) => (at === 0 ? (byte & 0x7f) | 0x40 : byte)),
    notBefore: now - BACKDATED_MS,
    notAfter: now + VALID_DAYS * DAY,
  });
  // One file, so that no process ever sees the key of one with the certificate of another.
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
    `${path} does not hold this host's key and certificate; restore it, or delete it and give clients the new address`,
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
