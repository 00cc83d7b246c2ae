/** The help texts of options that several commands have. */
export const HOST_HELP =
  'the address that farlight serve printed (or FARLIGHT_HOST); without it, this machine';
export const ADAPTER_HELP =
  'auto (hardware if there is any), software, null (executes nothing), or a part of an adapter name';
