/** What --adapter takes, for every command that has it. */
export const ADAPTER_HELP =
  'auto (hardware if there is any), software, null (executes nothing), or a part of an adapter name';
