import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashContent } from '#farlight/link/machine/hashing.js';
import { type ContentName, contentNameToHex } from '#farlight/proto/content/content.js';

export const HOUR = 3_600_000;

export interface Content {
  name: ContentName;
  bytes: Uint8Array;
}

/** A different content for each `seed`. */
export function content(seed: number, length = 1000): Content {
  const bytes = new Uint8Array(length);
  for (let at = 0, state = seed + 1; at < length; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return { name: hashContent(bytes), bytes };
}

/** Makes temporary folders, and removes them all. */
export function temporaryFolders(): { make(): string; remove(): void } {
  const made: string[] = [];
  return {
    make() {
      const folder = mkdtempSync(join(tmpdir(), 'farlight-contents-'));
      made.push(folder);
      return folder;
    },
    remove() {
      for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const fileOf = (folder: string, { name }: Content) => join(folder, contentNameToHex(name));

/** The files that have a content's name and hold other bytes. */
export function falseFiles(folder: string): string[] {
  return readdirSync(folder).filter(
    (file) =>
      /^[0-9a-f]{64}$/.test(file) && contentNameToHex(hashContent(readFileSync(join(folder, file)))) !== file,
  );
}

export const temporaryFiles = (folder: string) =>
  readdirSync(folder).filter((file) => file.startsWith('new-'));
