import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { thrown } from './support.js';

const plain = (message: GPUCompilationMessage) => ({
  type: message.type,
  message: message.message,
  lineNum: message.lineNum,
  linePos: message.linePos,
  offset: message.offset,
  length: message.length,
});

describe('GPUShaderModule', () => {
  parity('a correct module has no messages', async ({ device, globals, valid }) => {
    const code = '@compute @workgroup_size(1) fn main() {}';
    const module = await valid(() => device.createShaderModule({ code, label: 'correct' }));
    expect(module).toBeInstanceOf(globals.GPUShaderModule);
    expect(module.label).toBe('correct');
    const info = await module.getCompilationInfo();
    expect(info).toBeInstanceOf(globals.GPUCompilationInfo);
    expect(Array.isArray(info.messages)).toBe(true);
    expect([...info.messages]).toEqual([]);
  });

  parity('an invalid module is a validation error that tells the place', async ({ device, invalid }) => {
    await invalid(() => device.createShaderModule({ code: 'fn main() { let x = ; }', label: 'broken' }));
  });

  parity(
    'an invalid module has an error message with its place',
    async ({ device, globals, scoped, observe }) => {
      let module: GPUShaderModule | undefined;
      await scoped('validation', () => {
        module = device.createShaderModule({ code: 'fn main() {\n  let x: i32 = wrong;\n}' });
      });
      const info = await (module as GPUShaderModule).getCompilationInfo();
      const [message] = info.messages;
      expect(info.messages.length).toBe(1);
      expect(message).toBeInstanceOf(globals.GPUCompilationMessage);
      expect(message?.type).toBe('error');
      expect([message?.lineNum, message?.linePos]).toEqual([2, 16]);
      expect([message?.offset, message?.length]).toEqual([27, 5]);
      observe('messages', info.messages.map(plain));
    },
  );

  parity('warnings are messages, not errors', async ({ device, valid, observe }) => {
    const code = 'fn f() -> i32 {\n  return 1;\n  let unreachable = 2;\n}';
    const module = await valid(() => device.createShaderModule({ code }));
    const { messages } = await module.getCompilationInfo();
    expect(messages.map((message) => message.type)).toEqual(['warning']);
    observe('messages', messages.map(plain));
  });

  parity('several messages keep their order', async ({ device, scoped, observe }) => {
    let module: GPUShaderModule | undefined;
    await scoped('validation', () => {
      module = device.createShaderModule({
        code: 'fn f() -> i32 {\n return 1;\n let a = 2;\n}\n fn g() { b(); }',
      });
    });
    const { messages } = await (module as GPUShaderModule).getCompilationInfo();
    expect(messages.length).toBeGreaterThan(1);
    observe('messages', messages.map(plain));
  });

  parity('positions in messages count UTF-16 code units', async ({ device, scoped, observe }) => {
    let module: GPUShaderModule | undefined;
    await scoped('validation', () => {
      module = device.createShaderModule({ code: '/* \u{1f600} \u00e9 */ fn f() { wrong; }' });
    });
    const { messages } = await (module as GPUShaderModule).getCompilationInfo();
    expect(messages[0]?.linePos).toBe(26);
    expect(messages[0]?.offset).toBe(25);
    observe('messages', messages.map(plain));
  });

  parity('getCompilationInfo returns the same messages again', async ({ device, scoped }) => {
    let module: GPUShaderModule | undefined;
    await scoped('validation', () => {
      module = device.createShaderModule({ code: 'nonsense' });
    });
    const first = await (module as GPUShaderModule).getCompilationInfo();
    const second = await (module as GPUShaderModule).getCompilationInfo();
    expect(second.messages.map(plain)).toEqual(first.messages.map(plain));
  });

  parity(
    'messages is the same array each time, and frozen',
    async ({ device }) => {
      const info = await device.createShaderModule({ code: '' }).getCompilationInfo();
      const { messages } = info;
      expect(info.messages === messages, 'the same array').toBe(true);
      expect(Object.isFrozen(info.messages), 'frozen').toBe(true);
    },
    { deviation: 'messages is not a frozen array' },
  );

  parity('code may hold any character and have any length', async ({ device, scoped, observe, valid }) => {
    for (const code of [
      '// \u{1f600}\nwrong',
      '\0',
      'a \0 b',
      '\ud800',
      `/*${'x'.repeat(100_000)}*/ wrong`,
    ]) {
      const error = await scoped('validation', () => device.createShaderModule({ code }));
      observe('message', error?.message.slice(0, 400) ?? null);
    }
    const long = `/*${'\u00e9'.repeat(300_000)}*/ @compute @workgroup_size(1) fn main() {}`;
    await valid(() => device.createShaderModule({ code: long }));
  });

  parity('the same invalid code is an error each time', async ({ device, invalid }) => {
    await invalid(() => device.createShaderModule({ code: 'same mistake' }));
    await invalid(() => device.createShaderModule({ code: 'same mistake' }));
  });

  parity('the same code makes a new object each time', ({ device }) => {
    const code = '@compute @workgroup_size(1) fn main() {}';
    expect(device.createShaderModule({ code })).not.toBe(device.createShaderModule({ code }));
  });

  parity('empty code is a valid module', async ({ device, valid }) => {
    await valid(() => device.createShaderModule({ code: '' }));
  });

  parity('an extension that the device lacks is an error', async ({ device, invalid }) => {
    await invalid(() => device.createShaderModule({ code: 'enable subgroups;' }));
  });

  parity('compilation hints are accepted and change nothing', async ({ device, valid }) => {
    const code = '@compute @workgroup_size(1) fn main() {}';
    await valid(() =>
      device.createShaderModule({ code, compilationHints: [{ entryPoint: 'main', layout: 'auto' }] }),
    );
    await valid(() => device.createShaderModule({ code, compilationHints: [{ entryPoint: 'other' }] }));
  });

  parity('code is converted to a string', async ({ device, invalid }) => {
    await invalid(() => device.createShaderModule({ code: 42 as never }));
  });

  parity(
    'code is required',
    ({ device }) => {
      expect(thrown(() => device.createShaderModule({} as never))).toBeInstanceOf(TypeError);
      expect(thrown(() => device.createShaderModule({ code: undefined } as never))).toBeInstanceOf(TypeError);
    },
    { deviation: 'required strings may be missing' },
  );
});
