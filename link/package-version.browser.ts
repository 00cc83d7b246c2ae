/** Put in by the build. */
declare const FARLIGHT_VERSION: string;

/** The farlight package's version, for messages to people. */
export function packageVersion(): string {
  return FARLIGHT_VERSION;
}
