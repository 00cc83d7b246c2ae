import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pinOf } from '../../link/address/certificate-pin.js';
import { wallClock } from '../../link/machine/clock.js';
import { codeOf, FarlightError } from '../../proto/errors.js';
import type { HostCertificate } from './host-certificate.js';

/** The files of --tls-cert and --tls-key. */
export interface GivenFiles {
  cert: string | undefined;
  key: string | undefined;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Reads the owner's own certificate; undefined where the options name no file.
 *
 * @param now milliseconds since 1970.
 * @throws FarlightError BAD_OPTION unless the files hold a key and a certificate of it that is valid now.
 */
export function givenCertificate({ cert, key }: GivenFiles, now = wallClock()): HostCertificate | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw bad('--tls-key needs --tls-cert beside it: the certificate for that key');
  if (key === undefined)
    throw bad('--tls-cert needs --tls-key beside it: the private key of that certificate');
  const [leaf] = certificatesOf('--tls-cert', cert);
  const certificate = leaf as X509Certificate;
  checkDates('--tls-cert', cert, certificate, now);
  const keyText = textOf('--tls-key', key);
  if (!certificate.checkPrivateKey(privateKey(key, keyText)))
    throw bad(
      `--tls-key ${key} is not the key of the certificate ${cert}; name the two that belong together`,
    );
  return {
    key: keyText,
    cert: textOf('--tls-cert', cert),
    pin: pinOf(certificate),
    selfSigned: certificate.verify(certificate.publicKey),
    expires: Date.parse(certificate.validTo),
  };
}

/**
 * Reads the certificates of --tls-client-ca, as PEM: the authorities that must have signed a client's certificate.
 *
 * @param now milliseconds since 1970.
 * @throws FarlightError BAD_OPTION unless the file holds a certificate that is valid now.
 */
export function clientAuthorities(file: string, now = wallClock()): string {
  const found = certificatesOf('--tls-client-ca', file);
  const valid = found.find((each) => Date.parse(each.validTo) > now) ?? (found[0] as X509Certificate);
  checkDates('--tls-client-ca', file, valid, now);
  return found.map((each) => each.toString()).join('');
}

function certificatesOf(option: string, file: string): X509Certificate[] {
  const texts = textOf(option, file).match(PEM_CERTIFICATE) ?? [];
  try {
    const found = texts.map((text) => new X509Certificate(text));
    if (found.length > 0) return found;
  } catch {
    // The error below covers this too.
  }
  throw bad(
    `${option} ${file} holds no certificate in PEM form; name a file with -----BEGIN CERTIFICATE-----`,
  );
}

function privateKey(file: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    const encrypted = codeOf(error) === 'ERR_MISSING_PASSPHRASE' || /ENCRYPTED/.test(text);
    throw bad(
      encrypted
        ? `--tls-key ${file} is locked with a passphrase; name a file without one (openssl pkey -in ${file} -out NEW)`
        : `--tls-key ${file} holds no private key in PEM form; name a file with -----BEGIN PRIVATE KEY-----`,
    );
  }
}

function checkDates(option: string, file: string, certificate: X509Certificate, now: number): void {
  const { validFrom, validTo } = certificate;
  if (now >= Date.parse(validTo))
    throw bad(`${option} ${file} expired on ${validTo}; name one that is valid`);
  if (now < Date.parse(validFrom))
    throw bad(`${option} ${file} is not valid before ${validFrom}; check the clock of this machine`);
}

function textOf(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw bad(`${option} ${file} cannot be read (${codeOf(error)}); name a file that this user may read`);
  }
}

function bad(sentence: string): FarlightError {
  return new FarlightError('BAD_OPTION', sentence);
}
