export interface Metadata {
  type: string;
  help: string;
}

export type MetadataByName = Record<string, Metadata[]>;

export interface Metric {
  name: string;
  type: string;
  help: string;
}

const derived = /_(count|sum|bucket|total)$/;

export function describeMetric(name: string, metadata: MetadataByName | undefined): Metric {
  const own = lookUp(metadata, name) ?? lookUp(metadata, name.replace(derived, ''));
  return { name, type: own?.type ?? '', help: own?.help ?? '' };
}

function lookUp(metadata: MetadataByName | undefined, name: string): Metadata | undefined {
  return metadata && Object.hasOwn(metadata, name) ? metadata[name]?.[0] : undefined;
}

export function searchMetrics(metrics: Metric[], text: string): Metric[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return metrics.filter(({ name, help }) => words.every((word) => name.toLowerCase().includes(word) || help.toLowerCase().includes(word)));
}

export interface Example {
  expr: string;
  says: string;
}

/** Queries to begin with, as far as the environment has what they ask for; all that always work where nobody knows. */
export function examplesFor(names: string[] | undefined, metadata: MetadataByName | undefined): Example[] {
  const known = new Set(names);
  const has = (name: string) => names === undefined || known.has(name);
  const examples: Example[] = [];
  if (has('up')) examples.push({ expr: 'up', says: 'Which targets answer' });
  if (has('scrape_samples_scraped')) examples.push({ expr: 'topk(5, scrape_samples_scraped)', says: 'The targets with the most samples' });
  const counter = pick(names, (name) => name.endsWith('_total') && describeMetric(name, metadata).type === 'counter');
  if (counter) examples.push({ expr: `sum by (job) (rate(${counter}[5m]))`, says: 'How fast a counter grows, for each job' });
  const buckets = pick(names, (name) => name.endsWith('_bucket'));
  if (buckets) examples.push({ expr: `histogram_quantile(0.95, sum by (le) (rate(${buckets}[5m])))`, says: 'What 95 of 100 stay below' });
  return examples;
}

/** The first that fits; what every process exports about itself only where nothing else does. */
function pick(names: string[] | undefined, fits: (name: string) => boolean): string | undefined {
  const fitting = (names ?? []).filter(fits);
  return fitting.find((name) => !/^(go|process|prometheus|promhttp|net_conntrack)_/.test(name)) ?? fitting[0];
}
