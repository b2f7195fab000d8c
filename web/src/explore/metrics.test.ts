import { describe, expect, it } from 'vitest';
import { describeMetric, examplesFor, searchMetrics } from './metrics';

const metadata = {
  go_requests_total: [{ type: 'counter', help: 'go' }],
  http_requests_total: [{ type: 'counter', help: 'Requests <b>served</b>' }],
  latency_seconds: [{ type: 'histogram', help: 'How long' }],
};

it('describes a histogram by its base name', () => {
  expect(describeMetric('latency_seconds_bucket', metadata)).toEqual({ name: 'latency_seconds_bucket', type: 'histogram', help: 'How long' });
  expect(describeMetric('constructor', metadata)).toEqual({ name: 'constructor', type: '', help: '' });
  expect(describeMetric('up', undefined).type).toBe('');
});

it('finds by words of name and help', () => {
  const metrics = Object.keys(metadata).map((name) => describeMetric(name, metadata));
  expect(searchMetrics(metrics, 'HTTP served').map(({ name }) => name)).toEqual(['http_requests_total']);
  expect(searchMetrics(metrics, ' ')).toHaveLength(3);
});

describe('examples', () => {
  it('fit what the environment has', () => {
    const exprs = examplesFor(['up', 'go_requests_total', 'http_requests_total', 'latency_seconds_bucket'], metadata).map(({ expr }) => expr);
    expect(exprs).toEqual(['up', 'sum by (job) (rate(http_requests_total[5m]))', 'histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m])))']);
  });
  it('are few where nothing is known', () => {
    expect(examplesFor(undefined, undefined).map(({ expr }) => expr)).toEqual(['up', 'topk(5, scrape_samples_scraped)']);
    expect(examplesFor([], {})).toEqual([]);
  });
});
