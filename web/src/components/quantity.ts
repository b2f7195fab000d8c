const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** A size in the largest unit that keeps it at one or above: "32 MiB", "1.5 GiB". */
export function sizeText(bytes: number): string {
  let index = 0;
  let size = bytes;
  while (size >= 1024 && index < sizes.length - 1) {
    size /= 1024;
    index += 1;
  }
  return `${Number(size.toFixed(1))} ${sizes[index]}`;
}

const numbers = new Intl.NumberFormat('en-GB');

/** With separators: "50,000,000". */
export function numberText(value: number): string {
  return numbers.format(value);
}

/** "1 environment", "3 environments". */
export function countText(count: number, noun: string): string {
  return `${numberText(count)} ${noun}${count === 1 ? '' : 's'}`;
}
