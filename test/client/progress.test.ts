import { describe, expect, it } from 'vitest';
import { Progress } from '#farlight/client/observers/progress/progress.js';
import { StatusLine } from '#farlight/client/observers/progress/status-line.js';

const MIB = 1 << 20;
const idle = { pipelinesAsked: 0, pipelinesDone: 0, bytesGiven: 0, bytesTaken: 0 };

describe('progress', () => {
  it('shows nothing for work of less than a second', () => {
    const progress = new Progress();
    expect(progress.at(0, { ...idle, pipelinesAsked: 40 })).toBeUndefined();
    expect(progress.at(999, { ...idle, pipelinesAsked: 40, pipelinesDone: 12 })).toBeUndefined();
    expect(progress.at(1500, { ...idle, pipelinesAsked: 40, pipelinesDone: 40 })).toBeUndefined();
    expect(progress.at(9999, { ...idle, pipelinesAsked: 41, pipelinesDone: 40 })).toBeUndefined();
  });

  it('counts the pipelines of the current stretch, from the one that is compiling', () => {
    const progress = new Progress();
    progress.at(0, { ...idle, pipelinesAsked: 5, pipelinesDone: 5 });
    progress.at(100, { ...idle, pipelinesAsked: 10, pipelinesDone: 5 });
    const state = { ...idle, pipelinesAsked: 45, pipelinesDone: 16 };
    expect(progress.at(1100, state)).toBe('farlight: compiling pipeline 12 of 40');
  });

  it('shows how much of an upload has arrived, and ignores the bytes of an ordinary step', () => {
    const progress = new Progress();
    const upload = (given: number, taken: number) => ({ ...idle, bytesGiven: given, bytesTaken: taken });
    for (let now = 0; now < 5000; now += 100)
      expect(progress.at(now, upload(now * 1000 + 200_000, now * 1000))).toBeUndefined();
    progress.at(5000, upload(10 * MIB, MIB));
    expect(progress.at(6000, upload(11 * MIB, 3.5 * MIB))).toBe('farlight: uploading 2.5 of 10.0 MiB');
    expect(progress.at(7000, upload(11 * MIB, 11 * MIB))).toBeUndefined();
  });

  it('goes on when a session that did much has ended', () => {
    const progress = new Progress();
    progress.at(0, { ...idle, pipelinesAsked: 22, pipelinesDone: 20 });
    progress.at(900, { ...idle, pipelinesAsked: 22, pipelinesDone: 21 });
    const state = { ...idle, pipelinesAsked: 4, pipelinesDone: 3 };
    expect(progress.at(1000, state)).toBe('farlight: compiling pipeline 1 of 1');
  });

  it('shows compiling and uploading at the same time', () => {
    const progress = new Progress();
    const both = { pipelinesAsked: 2, pipelinesDone: 0, bytesGiven: 2 * MIB, bytesTaken: 0 };
    progress.at(0, both);
    expect(progress.at(2000, both)).toBe('farlight: compiling pipeline 1 of 2, uploading 0.0 of 2.0 MiB');
  });
});

describe('the status line', () => {
  /** A terminal as a person sees it: the text of its lines. */
  class Screen {
    lines = [''];
    #column = 0;
    codes = '';
    columns = 80;

    write = (chunk: unknown): boolean => {
      for (const letter of String(chunk)) {
        this.codes += letter;
        const line = this.lines.at(-1) as string;
        if (letter === '\r') this.#column = 0;
        else if (letter === '\n') {
          this.lines.push('');
          this.#column = 0;
        } else {
          this.lines[this.lines.length - 1] =
            line.padEnd(this.#column).slice(0, this.#column) + letter + line.slice(this.#column + 1);
          this.#column += 1;
        }
      }
      return true;
    };

    get text(): string[] {
      return this.lines.map((line) => line.trimEnd());
    }
  }

  function open() {
    const screen = new Screen();
    const stdout = { write: screen.write };
    const stderr = { write: screen.write, columns: 80 };
    return { screen, stdout, stderr, line: new StatusLine(stderr, [stdout, stderr]) };
  }

  it('the status line disappears before the program writes, and comes back on the next line', () => {
    const { screen, stdout, stderr, line } = open();
    line.show('farlight: compiling pipeline 1 of 40');
    expect(screen.text).toEqual(['farlight: compiling pipeline 1 of 40']);
    stdout.write('result: 7\n');
    expect(screen.text).toEqual(['result: 7', '']);
    line.show('farlight: compiling pipeline 2 of 40');
    stderr.write(Buffer.from('a warning\n'));
    line.show('farlight: compiling pipeline 3 of 40');
    line.clear();
    expect(screen.text).toEqual(['result: 7', 'a warning', '']);
  });

  it('the status line does not appear while the program is within a line', () => {
    const { screen, stdout, line } = open();
    stdout.write('working ');
    line.show('farlight: compiling pipeline 1 of 40');
    stdout.write('... done\n');
    expect(screen.text).toEqual(['working ... done', '']);
    line.show('farlight: uploading');
    expect(screen.text).toEqual(['working ... done', 'farlight: uploading']);
  });

  it('the status line erases a longer text, fits the terminal, and uses no escapes', () => {
    const { screen, stderr, line } = open();
    line.show('farlight: a long text');
    line.show('farlight: short');
    expect(screen.text).toEqual(['farlight: short']);
    stderr.columns = 10;
    line.show('farlight: something');
    expect(screen.text).toEqual(['farlight:']);
    line.show(undefined);
    expect(screen.text).toEqual(['']);
    expect(screen.codes).not.toContain('\x1b');
    expect(screen.codes).not.toContain('\n');
  });
});
