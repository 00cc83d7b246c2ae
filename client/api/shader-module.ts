import { type FarlightCompilationMessage, OPERATIONS } from '../../proto/gen/operations.js';
import { awaitedCall, defineInterface, defineObjectBase, INTERNAL, illegal, promising } from './interface.js';

/** https://gpuweb.github.io/gpuweb/#gpucompilationmessage */
export class GPUCompilationMessage {
  readonly #message: FarlightCompilationMessage<never>;

  constructor(token?: unknown, message?: FarlightCompilationMessage<never>) {
    if (token !== INTERNAL || message === undefined) illegal();
    this.#message = message;
  }

  get message(): string {
    return this.#message.message;
  }

  get type(): GPUCompilationMessageType {
    return this.#message.type;
  }

  get lineNum(): number {
    return this.#message.lineNum;
  }

  get linePos(): number {
    return this.#message.linePos;
  }

  get offset(): number {
    return this.#message.offset;
  }

  get length(): number {
    return this.#message.length;
  }
}

/** https://gpuweb.github.io/gpuweb/#gpucompilationinfo */
export class GPUCompilationInfo {
  readonly #messages: readonly GPUCompilationMessage[];

  constructor(token?: unknown, messages?: readonly GPUCompilationMessage[]) {
    if (token !== INTERNAL || messages === undefined) illegal();
    this.#messages = messages;
  }

  get messages(): readonly GPUCompilationMessage[] {
    return this.#messages;
  }
}

/** https://gpuweb.github.io/gpuweb/#gpushadermodule */
export class GPUShaderModule {
  declare label: string;

  constructor() {
    illegal();
  }

  getCompilationInfo(): Promise<GPUCompilationInfo> {
    return promising(() => {
      const resource = awaitedCall(this, 'GPUShaderModule', 'getCompilationInfo');
      return resource.session.request(OPERATIONS.GPUShaderModule.getCompilationInfo, resource, [], {
        fulfilled: (messages) => {
          const all = messages.map((each) => new GPUCompilationMessage(INTERNAL, each));
          return new GPUCompilationInfo(INTERNAL, Object.freeze(all));
        },
      });
    });
  }
}

defineInterface('GPUCompilationMessage', GPUCompilationMessage);
defineInterface('GPUCompilationInfo', GPUCompilationInfo);
defineObjectBase(GPUShaderModule, 'GPUShaderModule');
defineInterface('GPUShaderModule', GPUShaderModule);
