// The far end of raw TCP: a connection's first line says what it is for.
//   up BYTES: takes so many bytes, then sends one; again and again
//   down BYTES: sends so many bytes for each one that it gets
//   ping: sends back what it gets
import { createServer } from 'node:net';

const PIECE = Buffer.alloc(64 << 10, 7);

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.once('data', (line) => {
    const [what, bytes] = String(line).trim().split(' ');
    if (what === 'ping') socket.on('data', (data) => socket.write(data));
    else if (what === 'up') take(socket, Number(bytes));
    else socket.on('data', () => send(socket, Number(bytes)));
    // Nothing else may be sent before this.
    socket.write('.');
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));

function take(socket, bytes) {
  let missing = bytes;
  socket.on('data', ({ length }) => {
    missing -= length;
    if (missing > 0) return;
    missing = bytes;
    socket.write('.');
  });
}

function send(socket, bytes) {
  let left = bytes;
  const fill = () => {
    while (left > 0) {
      left -= PIECE.length;
      if (!socket.write(PIECE)) {
        socket.once('drain', fill);
        return;
      }
    }
  };
  fill();
}
