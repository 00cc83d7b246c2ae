import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { thrown } from './support.js';

describe('GPUError and its subclasses', () => {
  parity('a program can construct errors with a message', ({ globals }) => {
    for (const name of ['GPUValidationError', 'GPUOutOfMemoryError', 'GPUInternalError'] as const) {
      const error = new globals[name]('what happened');
      expect(error.message).toBe('what happened');
      expect(error).toBeInstanceOf(globals.GPUError);
      expect(error).toBeInstanceOf(globals[name]);
      expect(Object.prototype.toString.call(error)).toBe(`[object ${name}]`);
      expect(error).not.toBeInstanceOf(Error);
    }
  });

  parity('the message of an error is converted to a string', ({ globals }) => {
    expect(new globals.GPUValidationError(5 as never).message).toBe('5');
    expect(new globals.GPUInternalError(null as never).message).toBe('null');
  });

  parity(
    'the message of an error is required',
    ({ globals }) => {
      const Bare = globals.GPUValidationError as unknown as new () => GPUError;
      expect(thrown(() => new Bare())).toBeInstanceOf(TypeError);
    },
    { deviation: 'required strings may be missing' },
  );

  parity('GPUError itself cannot be constructed', ({ globals }) => {
    const Bare = globals.GPUError as unknown as new (message: string) => GPUError;
    expect(thrown(() => new Bare('x'))).toBeInstanceOf(TypeError);
  });
});

describe('GPUPipelineError', () => {
  parity('a GPUPipelineError is a DOMException with a reason', ({ globals }) => {
    const error = new globals.GPUPipelineError('went wrong', { reason: 'internal' });
    expect(error).toBeInstanceOf(DOMException);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('GPUPipelineError');
    expect(error.message).toBe('went wrong');
    expect(error.reason).toBe('internal');
  });

  parity('a GPUPipelineError without a message has an empty one', ({ globals }) => {
    expect(new globals.GPUPipelineError(undefined, { reason: 'validation' }).message).toBe('');
  });

  parity('the reason of a GPUPipelineError is required', ({ globals }) => {
    expect(thrown(() => new globals.GPUPipelineError('x', {} as never))).toBeInstanceOf(TypeError);
    const Bare = globals.GPUPipelineError as unknown as new (message: string) => GPUPipelineError;
    expect(thrown(() => new Bare('x'))).toBeInstanceOf(TypeError);
  });

  parity(
    'the reason of a GPUPipelineError has one of two values',
    ({ globals }) => {
      const reason = 'weather' as never;
      expect(thrown(() => new globals.GPUPipelineError('x', { reason }))).toBeInstanceOf(TypeError);
    },
    { deviation: 'constructors take any value' },
  );

  parity(
    'a GPUPipelineError is tagged with its name',
    ({ globals }) => {
      const error = new globals.GPUPipelineError('x', { reason: 'internal' });
      expect(Object.prototype.toString.call(error)).toBe('[object GPUPipelineError]');
    },
    { deviation: 'GPUPipelineError is tagged as a DOMException' },
  );
});

describe('GPUUncapturedErrorEvent', () => {
  parity('a GPUUncapturedErrorEvent is an Event with its error', ({ globals }) => {
    const error = new globals.GPUOutOfMemoryError('full');
    const init = { error, cancelable: true };
    const event = new globals.GPUUncapturedErrorEvent('uncapturederror', init);
    expect(event).toBeInstanceOf(Event);
    expect(event.type).toBe('uncapturederror');
    expect(event.error).toBe(error);
    expect(event.cancelable).toBe(true);
    expect(event.bubbles).toBe(false);
  });

  parity('the error of a GPUUncapturedErrorEvent is required', ({ globals }) => {
    expect(thrown(() => new globals.GPUUncapturedErrorEvent('x', {} as never))).toBeInstanceOf(TypeError);
    const Bare = globals.GPUUncapturedErrorEvent as unknown as new (type: string) => Event;
    expect(thrown(() => new Bare('x'))).toBeInstanceOf(TypeError);
  });

  parity(
    'the error of a GPUUncapturedErrorEvent must be a GPUError',
    ({ globals }) => {
      const error = {} as GPUError;
      expect(thrown(() => new globals.GPUUncapturedErrorEvent('x', { error }))).toBeInstanceOf(TypeError);
    },
    { deviation: 'constructors take any value' },
  );
});
