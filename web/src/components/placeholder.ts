export interface Piece {
  text: string;
  /** Whether the piece stands where the token belongs. */
  isToken: boolean;
}

/** Cuts a snippet at each place where the token belongs, and puts the token there once there is one. */
export function fillPlaceholder(text: string, placeholder: string, secret?: string): Piece[] {
  if (placeholder === '') return [{ text, isToken: false }];
  const pieces: Piece[] = [];
  text.split(placeholder).forEach((between, index) => {
    if (index > 0) pieces.push({ text: secret ?? placeholder, isToken: true });
    if (between !== '') pieces.push({ text: between, isToken: false });
  });
  return pieces;
}

export function joinPieces(pieces: readonly Piece[]): string {
  return pieces.map(({ text }) => text).join('');
}
