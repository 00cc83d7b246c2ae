import { InvalidArgumentError, Option } from 'commander';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Parses a number of bytes, with or without a unit. */
export function parseSize(text: string): number {
  const [, number, unit = ''] = /^(\d{1,12})\s*([KMGT]iB)?$/.exec(text) ?? [];
  if (number === undefined)
    throw new InvalidArgumentError('Give a number of bytes, or one of KiB, MiB, GiB or TiB.');
  return Number(number) * (UNITS[unit] as number);
}

/** A number of bytes as `parseSize` reads it, in the largest unit that gives a whole number. */
export function formatSize(bytes: number): string {
  const [unit, size] = Object.entries(UNITS).findLast(([, each]) => bytes % each === 0) ?? ['', 1];
  return `${bytes / size}${unit}`;
}

const TIMES: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 };

/** Parses a time that fits a timer, in seconds or with a unit. @returns seconds. */
export function parseTime(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6}(?:\.\d+)?)\s*([smh])?$/.exec(text) ?? [];
  const seconds = Number(number) * (TIMES[unit] as number);
  if (number === undefined || seconds > LONGEST_SECONDS)
    throw new InvalidArgumentError('Give a time of at most 24 days, such as 90s, 10m or 24h.');
  return seconds;
}

/** The longest time of a timer. */
const LONGEST_SECONDS = 24 * 24 * 3600;

/** An option with a time, whose default the help gives as a person types it. */
export function timeOption(flags: string, help: string, seconds: number): Option {
  const [unit = 's', size = 1] = Object.entries(TIMES).findLast(([, each]) => seconds % each === 0) ?? [];
  const typed = seconds === 0 ? '0' : `${seconds / size}${unit}`;
  return new Option(flags, help).argParser(parseTime).default(seconds, typed);
}

/** An option with a number of bytes, whose default the help gives as a person types it. */
export function sizeOption(flags: string, help: string, bytes: number): Option {
  return new Option(flags, help).argParser(parseSize).default(bytes, formatSize(bytes));
}

/** Makes a parser of whole numbers from `least` to `most`. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d{1,9}$/.test(text) || number < least || number > most)
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    return number;
  };
}
