import { createRequire } from 'node:module';
import { expect, it, onTestFinished, vi } from 'vitest';
import { grpc, quietGrpc } from '#farlight/link/grpc/grpc.js';

const isLoaded = () =>
  Object.keys(createRequire(import.meta.url).cache).some((path) => path.endsWith('grpc.cjs'));

it('gRPC that is kept from logging is loaded only when it is used, and logs nothing then', () => {
  quietGrpc();
  expect(isLoaded()).toBe(false);
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => printed.mockRestore());
  const { experimental, logVerbosity, setLogVerbosity } = grpc();
  expect(isLoaded()).toBe(true);
  experimental.log(logVerbosity.ERROR, 'heard by nobody');
  expect(printed).not.toHaveBeenCalled();
  setLogVerbosity(logVerbosity.ERROR);
  experimental.log(logVerbosity.ERROR, 'heard');
  expect(printed).toHaveBeenCalledOnce();
});
