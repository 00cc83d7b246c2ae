/** The version in package.json. It is not read from there: beside a bundle lies another package's. A test compares them. */
const VERSION = '0.1.0';

/** The farlight package's version, for messages to people. */
export function packageVersion(): string {
  return VERSION;
}
