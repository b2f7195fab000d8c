/** The server's sentence with a capital, unless it begins with what is no word, such as "system:anonymous" or an address. */
export function sentenceCase(text: string): string {
  return text.replace(/^\p{Ll}(?=[\p{L}'-]*(?:[\s,;]|: |$))/u, (letter) => letter.toUpperCase());
}
