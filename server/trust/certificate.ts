import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { ipBytes } from '../../link/address/ip-bytes.js';
import * as der from './der.js';

export interface CertificateContent {
  /** The common name of subject and issuer, up to 64 characters. */
  commonName: string;
  /** The host names and IP addresses that the certificate covers. */
  names: readonly string[];
  /** An elliptic curve's private key. It signs the certificate of its own public half. */
  key: KeyObject;
  /** A number of up to 20 bytes, unique among this issuer's certificates. */
  serial: Uint8Array;
  /** Milliseconds since 1970; the certificate stores whole seconds. */
  notBefore: number;
  notAfter: number;
  /** Whether the holder is the server of a connection, or its client. Default: server. */
  role?: 'server' | 'client';
}

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAltName: '2.5.29.17',
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
} as const;

/** Makes a self-signed certificate (RFC 5280), version 3, as PEM. */
export function selfSignedCertificate(content: CertificateContent): string {
  const { commonName, names, key, serial, notBefore, notAfter, role = 'server' } = content;
  const algorithm = der.sequence(der.objectId(OID.ecdsaWithSha256));
  const name = der.sequence(der.set(der.sequence(der.objectId(OID.commonName), der.utf8String(commonName))));
  const signed = der.sequence(
    der.explicit(0, der.integer(Uint8Array.of(2))),
    der.integer(serial),
    algorithm,
    name,
    der.sequence(der.time(notBefore), der.time(notAfter)),
    name,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der.explicit(
      3,
      der.sequence(
        // Not an authority: this key cannot sign other certificates.
        extension(OID.basicConstraints, true, der.sequence()),
        // Only the first bit: digitalSignature.
        extension(OID.keyUsage, true, der.bitString(Uint8Array.of(0x80), 7)),
        extension(OID.extendedKeyUsage, false, der.sequence(der.objectId(OID[role]))),
        ...(names.length ? [extension(OID.subjectAltName, false, der.sequence(...names.map(altName)))] : []),
      ),
    ),
  );
  const signature = sign('sha256', signed, { key, dsaEncoding: 'der' });
  return pem(der.sequence(signed, algorithm, der.bitString(signature)));
}

function extension(id: string, critical: boolean, value: Uint8Array): Uint8Array {
  // DER omits FALSE, the default.
  const flag = critical ? [der.boolean(true)] : [];
  return der.sequence(der.objectId(id), ...flag, der.octetString(value));
}

function altName(name: string): Uint8Array {
  const address = ipBytes(name);
  return address ? der.implicit(7, address) : der.implicit(2, new TextEncoder().encode(name));
}

function pem(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
