import { describe, expect, it } from 'vitest';
import { readInferMessage } from '#farlight/infer/http/infer-message.js';
import { classified } from '#farlight/infer/protocol/classification.js';
import { answer } from '#farlight/infer/protocol/request.js';
import { elements } from '#farlight/infer/service/tensor.js';
import { FakeService } from './fake-service.js';

const x = { name: 'x', datatype: 'INT32', shape: [1], data: new Uint8Array(4) } as const;
const seen = { asked() {}, onSpan() {}, done() {}, failed() {}, end() {} };

it('a request whose deadline is over has expired, and is not wrong', async () => {
  const service = new FakeService();
  const asked = answer(
    service,
    { model: 'echo-INT32', version: undefined, id: undefined, parameters: {}, inputs: [x], outputs: [] },
    { tenant: '', share: 1, deadline: 0, signal: new AbortController().signal, seen },
  );
  await expect(asked).rejects.toMatchObject({ code: 'expired' });
  expect(service.asked).toEqual([]);
});

it('whole numbers of many digits are taken as floats, beside an INT64 beyond 2^53', () => {
  const body = `{"inputs": [
    {"name": "a", "datatype": "FP64", "shape": [2], "data": [100000000000000000, -12345678901234567890]},
    {"name": "b", "datatype": "INT64", "shape": [1], "data": [9007199254740993]}
  ]}`;
  const names = { model: 'm', version: undefined };
  const { request } = readInferMessage(new FakeService(), names, Buffer.from(body), undefined);
  const [a, b] = request.inputs.map(({ datatype, data }) => [...elements(datatype, data as Uint8Array)]);
  expect(a).toEqual([1e17, Number('-12345678901234567890')]);
  expect(b).toEqual([9007199254740993n]);
});

describe('the greatest elements', () => {
  const top = (numbers: Float32Array, count: number) => {
    const tensor = {
      name: 'y',
      datatype: 'FP32',
      shape: [1, numbers.length],
      data: new Uint8Array(numbers.buffer),
    } as const;
    const { data } = classified(tensor, { count, batched: true });
    return (data as readonly Uint8Array[]).map((each) => Number(Buffer.from(each).toString().split(':')[1]));
  };

  it('are the first ones of all in order, with equal ones by their places and NaN last', () => {
    let state = 7;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state;
    };
    for (let length = 1; length < 60; length += 1) {
      const numbers = Float32Array.from({ length }, () => (random() % 9 === 0 ? Number.NaN : random() % 12));
      const rank = (index: number) => (Number.isNaN(numbers[index]) ? -1 : (numbers[index] as number));
      const inOrder = [...numbers.keys()].sort((a, b) => rank(b) - rank(a) || a - b);
      for (const count of [1, 2, 5, length, length + 3])
        expect(top(numbers, count)).toEqual(inOrder.slice(0, count));
    }
  });
});
