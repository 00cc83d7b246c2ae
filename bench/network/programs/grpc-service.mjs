// The smallest gRPC service: bytes there, the same bytes back.
const bytes = (value) => value;
const method = (path, stream) => ({
  path: `/farlight.bench.Ping/${path}`,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

export const PING = { unary: method('Unary', false), stream: method('Stream', true) };
