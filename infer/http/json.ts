import { InferenceError, invalid } from '../service/service.js';

/** Deeper than any tensor with its request around it. */
const DEEPEST = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true });

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Reads JSON from a client. Deeply nested JSON is refused before it is parsed: the parser keeps a frame for each level,
 * many times as large as the one character that it stands for.
 *
 * @param what the name of these bytes, for the message.
 * @throws InferenceError invalid
 */
export function readJson(bytes: Uint8Array, what: string): unknown {
  const text = textOf(bytes, what);
  if (isDeep(bytes)) {
    throw invalid(`${what} is nested more than ${DEEPEST} levels deep`);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InferenceError('invalid', `${what} is not JSON: ${firstLine(cause)}`, { cause });
  }
}

/** Reads JSON that `readJson` has read before, with integers of 16 digits and more as strings: the parser rounds them. */
export function readJsonWithLongIntegers(bytes: Uint8Array, what: string): unknown {
  return JSON.parse(quoteLongIntegers(textOf(bytes, what)));
}

function textOf(bytes: Uint8Array, what: string): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new InferenceError('invalid', `${what} is not JSON: it is no UTF-8`, { cause });
  }
}

function isDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    switch (bytes[at]) {
      case QUOTE:
        at = endOfString(bytes, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        if (depth > DEEPEST) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth -= 1;
        break;
    }
  }
  return false;
}

/** The place of the quote that ends the string that begins here; the end of the bytes where none does. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    at = bytes.indexOf(QUOTE, at + 1);
    if (at < 0) return bytes.length;
    let backslashes = 0;
    while (bytes[at - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
}

/** A string, or a number. Both are short enough for the engine's matcher, since neither alternative nests. */
const TOKENS = /"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function quoteLongIntegers(text: string): string {
  let quotedText = '';
  let copied = 0;
  TOKENS.lastIndex = 0;
  for (let token = TOKENS.exec(text); token; token = TOKENS.exec(text)) {
    const [found] = token;
    if (found === '"') {
      TOKENS.lastIndex = endOfText(text, token.index) + 1;
    } else if (/^-?\d{16,}$/.test(found)) {
      quotedText += `${text.slice(copied, token.index)}"${found}"`;
      copied = token.index + found.length;
    }
  }
  return quotedText + text.slice(copied);
}

/** The place of the quote that ends the string that begins here. */
function endOfText(text: string, start: number): number {
  let at = start;
  for (;;) {
    at = text.indexOf('"', at + 1);
    let backslashes = 0;
    while (text[at - 1 - backslashes] === '\\') backslashes += 1;
    if (at < 0) return text.length;
    if (backslashes % 2 === 0) return at;
  }
}

/** The parser's message, without its quotation from a long text. */
function firstLine(error: unknown): string {
  const [line = ''] = (error as Error).message.split('\n');
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}
