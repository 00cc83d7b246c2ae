/** Dawn's addon crashes on a SharedArrayBuffer, and ONNX Runtime Web's heap is one: bytes are copied out first. */
export function copyOutOfSharedMemory({ GPUQueue }) {
  const { writeBuffer, writeTexture } = GPUQueue.prototype;

  GPUQueue.prototype.writeBuffer = function (buffer, bufferOffset, data, ...range) {
    if (!isShared(data)) return writeBuffer.call(this, buffer, bufferOffset, data, ...range);
    // Offset and size count elements of a typed array, and bytes of anything else.
    const unit = data.BYTES_PER_ELEMENT ?? 1;
    const [from = 0, size = data.byteLength / unit - from] = range;
    const bytes = bytesOf(data).slice(from * unit, (from + size) * unit);
    return writeBuffer.call(this, buffer, bufferOffset, bytes);
  };

  GPUQueue.prototype.writeTexture = function (destination, data, layout, size) {
    return writeTexture.call(this, destination, isShared(data) ? bytesOf(data).slice() : data, layout, size);
  };
}

function isShared(data) {
  return (data?.buffer ?? data) instanceof SharedArrayBuffer;
}

function bytesOf(data) {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
