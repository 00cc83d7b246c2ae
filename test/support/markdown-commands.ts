/** A fenced block of a markdown file. */
export interface Block {
  /** `FILE:LINE` of its first line of text. */
  readonly where: string;
  /** What stands behind the fence. */
  readonly language: string;
  readonly lines: readonly string[];
  /** Why it is not run, where an HTML comment right before it says so: `<!-- not run: REASON -->`. */
  readonly notRun: string | undefined;
}

const FENCE = /^```(\w*)$/;
const MARK = /^<!-- not run:(.*)-->$/;

/** The fenced blocks of a markdown text, in order. Throws where one is not closed. */
export function fencedBlocks(file: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const [, language] = FENCE.exec(lines[at] ?? '') ?? [];
    if (language === undefined) continue;
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`${file}:${at + 1}: the block is not closed`);
    const [, reason] = MARK.exec(lines[at - 1] ?? '') ?? [];
    const where = `${file}:${at + 2}`;
    blocks.push({ where, language, lines: lines.slice(at + 1, end), notRun: reason?.trim() });
    at = end;
  }
  return blocks;
}

/** The commands of a shell block, those over several lines as one, and what a comment line below each says. */
export function commandsOf({ lines }: Block): { command: string; says: string | undefined }[] {
  const commands: { command: string; says: string | undefined }[] = [];
  let open = false;
  for (const line of lines) {
    const last = commands.at(-1);
    if (open && last) last.command += `\n${line}`;
    else if (line.startsWith('#') && last) last.says = line.slice(1).trim();
    else if (line.trim() !== '') commands.push({ command: line, says: undefined });
    open = line.endsWith('\\');
  }
  return commands;
}
