/** That of package.json: not read there, since a bundle lies beside another package's. A test compares them. */
const VERSION = '0.1.0';

/** The farlight package's version, for messages to people. */
export function packageVersion(): string {
  return VERSION;
}
