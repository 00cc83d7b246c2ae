/**
 * Texts of a peer on their way to a terminal. A host chooses the words of its errors and its GPU's name, a client its
 * program's name and its labels, and a terminal obeys what it is sent: so whatever shows such a text shows it through
 * one of these, and an error for a person is made of such text alone (errors.ts).
 */

/** Control characters (C0, DEL, C1), and those that have no width or turn the line around. */
const OBEYED =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be taken out.
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** In one line: what would begin another is a space. */
export function harmless(text: string): string {
  return text.replace(/[\t\n\r]+/g, ' ').replace(OBEYED, '�');
}

/** As many lines as there are, such as a stack or a shader compiler's message. */
export function harmlessLines(text: string): string {
  return text.replace(OBEYED, (each) => (each === '\n' || each === '\t' ? each : '�'));
}

/** JSON that says the same: JSON.stringify leaves DEL, C1 and what turns a line around as they are. */
export function harmlessJson(json: string): string {
  return json.replace(OBEYED, (each) => {
    // Between the values: in them it is written as \n.
    if (each === '\n') return each;
    return `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
