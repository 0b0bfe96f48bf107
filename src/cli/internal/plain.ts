/** Text of a model or a guest, made safe for a terminal. */
import { stripVTControlCharacters } from "node:util"

// C0 but tab and newline, DEL, C1, and the marks that turn the direction of text around.
// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

/**
 * Takes terminal escapes and control characters out. Of a sequence that is spread over two pieces of a stream its letters
 * may stay; its escape character never does.
 */
export const plain = (text: string): string => stripVTControlCharacters(text).replace(controls, "")
