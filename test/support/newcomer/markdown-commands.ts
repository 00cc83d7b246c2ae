/** A fenced block of a markdown file. */
export interface Block {
  /** `FILE:LINE` of its first line of text. */
  readonly where: string;
  /** The word behind the fence. */
  readonly language: string;
  readonly lines: readonly string[];
}

const FENCE = /^```(\w*)$/;
/** Whatever else opens a block in markdown: behind spaces or a quotation's mark, longer, of tildes, with more words. */
const OTHER_FENCE = /^[\s>*\-\d.]*(```|~~~)/;

/** The fenced blocks of a markdown text, in order. Throws where one is not closed, or begins in any other way. */
export function fencedBlocks(file: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const [, language] = FENCE.exec(lines[at] ?? '') ?? [];
    if (language === undefined) {
      if (OTHER_FENCE.test(lines[at] ?? ''))
        throw new Error(`${file}:${at + 1}: not a fence that is read here`);
      continue;
    }
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`${file}:${at + 1}: the block is not closed`);
    blocks.push({ where: `${file}:${at + 2}`, language, lines: lines.slice(at + 1, end) });
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
