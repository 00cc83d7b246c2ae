import { createHash, type X509Certificate } from 'node:crypto';

const PIN = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/**
 * The pin that an address names as `ca`: the SHA-256 of the certificate's public key (its SubjectPublicKeyInfo in DER,
 * as RFC 7469 pins it) in base64url, 43 letters. It stays when the certificate is renewed with the same key.
 */
export function pinOf(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64url');
}

/** Whether a text is 32 bytes in base64url, spelled in the one way that there is. */
export function isPin(text: string): boolean {
  return PIN.test(text);
}
