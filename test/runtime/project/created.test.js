import { close, create, FarlightError, globals } from 'farlight';
import { compute } from './compute.js';

test('a GPU that was created computes, and what it gives is of this realm', async () => {
  Object.assign(globalThis, globals);
  const gpu = create();
  expect(await compute(gpu)).toEqual({ sum: 42, isArrayBuffer: true, refused: 'AbortError' });
  close(gpu);
});

test('a host that is not there is said to refuse connections', async () => {
  const gpu = create({ host: 'grpc://127.0.0.1:1' });
  const error = await gpu.requestAdapter().catch((error) => error);
  expect(error).toBeInstanceOf(FarlightError);
  expect(error).toMatchObject({ code: 'UNREACHABLE', message: expect.stringMatching(/ECONNREFUSED/) });
});
