/** `farlight run` does not start pages, so they have no tokens. */
export const takeToken = (_token: string) => false;
