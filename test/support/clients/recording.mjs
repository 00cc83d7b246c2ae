export function recording(transport, frames) {
  return {
    target: transport.target,
    open(hello, events) {
      let after = 0;
      const link = transport.open(hello, {
        ...events,
        onWelcome: (welcome) => events.onWelcome(welcome),
        onFrame(frame) {
          after += 1;
          events.onFrame(frame);
        },
        onDrain: () => events.onDrain(),
        onClose: (reason) => events.onClose(reason),
      });
      return {
        send(frame) {
          frames.push({ bytes: frame.slice(), after });
          return link.send(frame);
        },
        close: () => link.close(),
        ref: () => link.ref(),
        unref: () => link.unref(),
      };
    },
  };
}
