import { expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { firstDashboard } from './firstDashboard';
import { toResource } from './resource';

it('hands out a command whose objects are whole', () => {
  const text = firstDashboard('shop');
  expect(text).toMatch(/^kubectl apply -n shop -f - <<'EOF'\n/);
  // Kubernetes reads a plain y as true.
  expect(text).not.toMatch(/[{ ,]y:/);
  const documents = parseAllDocuments(text.split('\n').slice(1, -2).join('\n'));
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  const [datasource, dashboard] = documents.map((document) => document.toJS());
  expect(datasource.metadata.annotations).toEqual({ 'promgate.io/environment': 'production' });
  const { spec } = toResource({ kind: 'Dashboard', metadata: dashboard.metadata, spec: dashboard.spec.config }, 'shop');
  expect(JSON.stringify(spec.layouts)).toContain('#/spec/panels/up');
});
