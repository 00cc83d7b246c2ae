/**
 * Texts of a peer on their way to a terminal. A host chooses its error messages and the name of its GPU. A client
 * chooses the name of its program and its labels. A terminal obeys the control characters in a text. So all code that
 * shows a peer's text passes it through one of these functions first. A FarlightError does so itself (errors.ts).
 */

/** Control characters (C0, DEL, C1), characters without a width, and characters that reverse the line. */
const OBEYED =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: this function removes control characters.
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** The text in one line: line breaks become spaces. */
export function harmless(text: string): string {
  return text.replace(/[\t\n\r]+/g, ' ').replace(OBEYED, '�');
}

/** The text in its own lines, such as a stack or a shader compiler's message. */
export function harmlessLines(text: string): string {
  return text.replace(OBEYED, (each) => (each === '\n' || each === '\t' ? each : '�'));
}

/** JSON with the same meaning. JSON.stringify does not escape DEL, C1 and the characters that reverse a line. */
export function harmlessJson(json: string): string {
  return json.replace(OBEYED, (each) => {
    // This one is between the values: inside a value JSON writes it as \n.
    if (each === '\n') return each;
    return `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
