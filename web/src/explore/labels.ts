export type Labels = Record<string, string>;
export type Label = [name: string, value: string];

const plainName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

function quoted(text: string): string {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}

/** A series in PromQL's notation, without the labels that omit names. */
export function formatLabels(labels: Labels, omit: ReadonlySet<string> = new Set()): string {
  let name = '';
  const parts: string[] = [];
  for (const [label, value] of Object.entries(labels)) {
    if (omit.has(label)) continue;
    if (label !== '__name__') parts.push(`${plainName.test(label) ? label : quoted(label)}=${quoted(value)}`);
    else if (metricName.test(value)) name = value;
    else parts.unshift(quoted(value));
  }
  return parts.length > 0 ? `${name}{${parts.join(', ')}}` : name;
}

/** The labels that all the series have with the same value. One series alone has nothing in common with another. */
export function commonLabels(list: readonly Labels[]): Label[] {
  const [first, ...others] = list;
  if (!first || others.length === 0) return [];
  let common = Object.entries(first);
  for (const labels of others) {
    if (common.length === 0) break;
    common = common.filter(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value);
  }
  return common;
}

/** Every label name, the metric's first, then in alphabetical order. */
export function labelNames(list: readonly Labels[]): string[] {
  const names = new Set<string>();
  for (const labels of list) for (const name of Object.keys(labels)) names.add(name);
  const metric = names.delete('__name__');
  const sorted = [...names].sort();
  return metric ? ['__name__', ...sorted] : sorted;
}
