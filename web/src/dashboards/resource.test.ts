import { describe, expect, it } from 'vitest';
import type { PersesObject } from '../api/types';
import { descriptionOf, hiddenOf, titleOf, toResource } from './resource';

function object(spec: Record<string, unknown>): PersesObject {
  return { kind: 'Dashboard', metadata: { name: 'a' }, spec };
}

const panel = { kind: 'Panel', spec: { display: { name: 'One' }, plugin: { kind: 'Markdown', spec: { text: '' } } } };

describe('toResource', () => {
  it('adds whatever is missing', () => {
    expect(toResource(object({}), 'shop')).toEqual({
      kind: 'Dashboard',
      metadata: { name: 'a', project: 'shop' },
      spec: { duration: '1h', refreshInterval: '0s', variables: [], panels: {}, layouts: [], datasources: {} },
    });
  });

  it('leaves what is right as it is', () => {
    const spec = {
      display: { name: 'A' },
      duration: '6h',
      refreshInterval: '30s',
      variables: [{ kind: 'TextVariable', spec: { name: 'x', value: 'y' } }],
      panels: { one: panel },
      layouts: [{ kind: 'Grid', spec: { items: [{ x: 0, y: 0, width: 1, height: 1, content: { $ref: '#/spec/panels/one' } }] } }],
      datasources: { own: { default: true, plugin: { kind: 'PrometheusDatasource', spec: {} } } },
    };
    expect(toResource(object(spec), 'shop').spec).toEqual(spec);
  });

  it('leaves out what would keep the rest from being shown', () => {
    const { spec } = toResource(
      object({
        duration: 'long',
        variables: [{ kind: 'TextVariable' }, 'x', null],
        panels: { one: panel, two: { kind: 'Panel', spec: {} }, three: 'x', four: { kind: 'Panel', spec: { plugin: { kind: 'Table' } } } },
        layouts: [{ kind: 'Grid', spec: { items: [{ content: { $ref: '#/spec/panels/two' } }, { content: { $ref: '#/spec/panels/toString' } }, {}] } }, 7],
        datasources: { own: 'x' },
      }),
      'shop',
    );
    expect(spec.duration).toBe('1h');
    expect(spec.variables).toEqual([]);
    expect(Object.keys(spec.panels)).toEqual(['one', 'four']);
    expect(spec.panels.four).toEqual({ kind: 'Panel', spec: { display: { name: '' }, plugin: { kind: 'Table', spec: {} } } });
    expect(spec.layouts).toEqual([{ kind: 'Grid', spec: { items: [] } }]);
    expect(spec.datasources).toEqual({});
  });
});

describe('what people call it', () => {
  it('is its title, else its name', () => {
    expect(titleOf(object({ display: { name: 'Shop' } }))).toBe('Shop');
    expect(titleOf(object({ display: { name: ' ' } }))).toBe('a');
    expect(titleOf(object({ display: 3 }))).toBe('a');
    expect(descriptionOf(object({ display: { description: 'It is' } }))).toBe('It is');
    expect(descriptionOf(object({}))).toBeUndefined();
  });
});

describe('hiddenOf', () => {
  it('tells of those that the dashboard wants', () => {
    const query = { datasource: { kind: 'PrometheusDatasource', name: 'lost' } };
    const dashboard = object({ panels: { one: { spec: { queries: [{ spec: { plugin: { spec: query } } }] } } } });
    const reason = 'it names no environment';
    const hidden = [
      { scope: 'project' as const, name: 'lost', reason },
      { scope: 'project' as const, name: 'unused', reason },
      { scope: 'dashboard' as const, name: 'own', reason },
    ];
    expect(hiddenOf(dashboard, hidden).map(({ name }) => name)).toEqual(['lost', 'own']);
  });
});
