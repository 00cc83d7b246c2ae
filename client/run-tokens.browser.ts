/** Nobody runs a page's program. */
export const takeToken = (_token: string) => false;
