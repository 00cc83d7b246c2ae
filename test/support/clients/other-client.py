"""A Farlight client that shares no code with Farlight: written from proto/farlight.proto, docs/protocol.md and
docs/operations-table.md.

It asks for a device, writes bytes into a buffer, copies them into another, and reads them back.

    python3 -m grpc_tools.protoc -I proto --python_out OUT --grpc_python_out OUT proto/farlight.proto
    PYTHONPATH=OUT python3 other-client.py HOST:PORT operations-table.md
"""

import json
import queue
import re
import struct
import sys

import grpc
from farlight_pb2 import Bye, ClientMessage, Hello, Pong
from farlight_pb2_grpc import SessionsStub

WHOLE, PART, LAST = 0, 1, 2
ONCE = 4
SETTLED, UNCAPTURED, LOST, HELD, REPLY_PART = 0, 1, 2, 4, 5

# WebGPU's own constants.
MAP_READ, COPY_SRC, COPY_DST = 0x0001, 0x0004, 0x0008
MODE_READ = 0x0001


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise ValueError("a flush of replies is cut off")
        self.at += count
        return part

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def bytes(self):
        return self.take(self.varint())

    def string(self):
        return self.take(self.varint() - 1).decode()

    def sequence(self, read):
        return [read() for _ in range(self.varint())]

    def double(self):
        return struct.unpack("<d", self.take(8))[0]


class Session:
    def __init__(self, target, opcodes):
        self.opcodes = opcodes
        self.objects = 0  # the number of the newest one; 0 is the GPU
        self.serials = 0
        self.frames = 0  # how many of the host's were taken
        self.awaited = {}  # how to read what the host answers, by serial
        self.replies = {}
        self.parts = {}
        self.arriving = bytearray()
        self.commands = bytearray()
        self.outgoing = queue.Queue()
        self.stream = SessionsStub(grpc.insecure_channel(target)).Open(iter(self.outgoing.get, None))
        self.send(hello=Hello(protocol_min=3, protocol_max=3, version="0.0.0", program="other-client.py"))
        first = next(self.stream)
        if first.WhichOneof("message") != "welcome":
            raise ValueError(f"refused: {first.end.message}")
        self.welcome = first.welcome

    def send(self, **member):
        self.outgoing.put(ClientMessage(**member))

    def command(self, name, operands, shape=b"", payloads=(), creates=False, answer=None):
        """
        Records a command in full, of which nothing is kept. The receiver is the first operand; `answer` reads what
        the host answers. Returns the number of the object that it creates, or its serial.
        """
        shape = bytes([self.opcodes[name]]) + shape
        item = varint(0 * 8 + ONCE) + varint(len(shape)) + shape
        item += varint(len(operands)) + b"".join(varint(self.objects - each + 1) for each in operands)
        item += varint(len(payloads)) + b"".join(varint(len(each) * 4) + each for each in payloads)
        self.commands += item
        if answer:
            self.serials += 1
            self.awaited[self.serials] = answer
        if creates:
            self.objects += 1
        return self.objects if creates else self.serials

    def flush(self):
        self.send(frame=bytes([WHOLE]) + bytes(self.commands))
        self.commands.clear()

    def answer(self):
        """What the host answers to the newest awaited command."""
        serial = self.serials
        self.flush()
        while serial not in self.replies:
            message = next(self.stream)
            kind = message.WhichOneof("message")
            if kind == "frame":
                self.frames += 1
                self.send(ack=self.frames)
                self.frame(message.frame)
            elif kind == "ping":
                self.send(pong=Pong())
            elif kind == "end":
                raise ValueError(f"the host ended the session: {message.end.message}")
        parts, reply = self.replies.pop(serial)
        return reply if parts is None else parts + reply

    def frame(self, frame):
        self.arriving += frame[1:]
        if frame[0] == PART:
            return
        reader = Reader(bytes(self.arriving))
        self.arriving.clear()
        while reader.at < len(reader.data):
            self.record(reader)

    def record(self, reader):
        kind = reader.byte()
        if kind == SETTLED:
            serial = reader.varint()
            if reader.byte() == 1:
                raise ValueError(f"{reader.string()}: {reader.string()}")
            self.replies[serial] = self.parts.pop(serial, None), self.awaited.pop(serial)(reader)
        elif kind == REPLY_PART:
            serial = reader.varint()
            self.parts[serial] = self.parts.get(serial, b"") + reader.bytes()
        elif kind == UNCAPTURED:
            device, error = reader.varint(), reader.varint()
            raise ValueError(f"error {error} of device {device}: {reader.string()}")
        elif kind == LOST:
            raise ValueError(f"device {reader.varint()} was lost: {reader.string()}, {reader.string()}")
        elif kind == HELD:
            reader.bytes()
        else:
            raise ValueError(f"a record of kind {kind}")


def adapter(reader):
    """FarlightAdapter?"""
    if reader.byte() == 0:
        return None
    features = reader.sequence(reader.string)
    info = {}
    for name in ("architecture", "description", "device"):
        info[name] = reader.string()
    info["isFallbackAdapter"] = reader.byte() == 1
    info["subgroupMaxSize"], info["subgroupMinSize"] = reader.varint(), reader.varint()
    info["vendor"] = reader.string()
    return {"features": features, "info": info, "limits": reader.sequence(reader.double)}


def device(reader):
    """FarlightDevice"""
    return {"features": reader.sequence(reader.string), "limits": reader.sequence(reader.double)}


def read_opcodes(file):
    with open(file, encoding="utf-8") as lines:
        rows = (re.match(r"\| (\d+) \| `(\w+\.\w+)` \|", line) for line in lines)
        return {row[2]: int(row[1]) for row in rows if row}


def main(target, table):
    session = Session(target, read_opcodes(table))
    gpu = 0
    absent = varint(0)  # the mask of a dictionary whose members all have their defaults

    adapter_id = session.command("GPU.requestAdapter", [gpu], absent, creates=True, answer=adapter)
    found = session.answer()
    device_id = session.command("GPUAdapter.requestDevice", [adapter_id], absent + absent, creates=True, answer=device)
    opened = session.answer()

    # From here on nothing is waited for, until the bytes are read.
    data = bytes(at * 7 % 256 for at in range(1 << 20))
    gpu_queue = session.command("GPUDevice.getQueue", [device_id], creates=True)

    def create_buffer(usage):
        shape = absent + varint(len(data)) + varint(usage)
        return session.command("GPUDevice.createBuffer", [device_id], shape, creates=True)

    source = create_buffer(COPY_SRC | COPY_DST)
    target = create_buffer(MAP_READ | COPY_DST)
    half = len(data) // 2
    for start in (0, half):
        session.command("GPUQueue.writeBuffer", [gpu_queue, source], varint(start), [data[start : start + half]])
        session.flush()
    encoder = session.command("GPUDevice.createCommandEncoder", [device_id], absent, creates=True)
    session.command("GPUCommandEncoder.copyBufferToBuffer", [encoder, source, target], varint(0) + varint(0) + b"\0")
    commands = session.command("GPUCommandEncoder.finish", [encoder], absent, creates=True)
    session.command("GPUQueue.submit", [gpu_queue, commands], varint(1))
    session.command("GPUBuffer.mapAsync", [target], varint(MODE_READ) + varint(0) + b"\0", answer=Reader.bytes)
    back = session.answer()
    session.command("GPUBuffer.unmap", [target], varint(0))
    session.command("GPUDevice.destroy", [device_id])
    session.flush()

    session.send(bye=Bye())
    for _ in session.stream:
        pass
    session.outgoing.put(None)
    report = {
        "adapter": found["info"]["description"] or found["info"]["vendor"],
        "limits": len(opened["limits"]),
        "host": session.welcome.adapter.name,
        "bytes": len(back),
        "same": back == data,
    }
    print(json.dumps(report))


main(*sys.argv[1:])
