import { describe, expect, it } from 'vitest';
import type { HiddenDatasource, PersesObject } from '../api/types';
import { makeDatasourceApi, proxyUrl } from './datasourceApi';

const api = new URL('https://gateway.example/below/perses');
const prometheus = 'PrometheusDatasource';

function source(kind: 'Datasource' | 'GlobalDatasource', name: string, isDefault = false): PersesObject {
  return { kind, metadata: { name, ...(kind === 'Datasource' && { project: 'shop' }) }, spec: { default: isDefault, plugin: { kind: prometheus, spec: {} } } };
}

function hidden(scope: HiddenDatasource['scope'], name: string): HiddenDatasource {
  return { scope, name, reason: 'it names no environment' };
}

describe('proxyUrl', () => {
  it('stays at the gateway, below its path', () => {
    expect(proxyUrl(api, { project: 'shop', name: 'main' })).toBe('https://gateway.example/below/perses/proxy/projects/shop/datasources/main');
    expect(proxyUrl(api, { project: 'shop', dashboard: 'a', name: 'main' })).toBe(
      'https://gateway.example/below/perses/proxy/projects/shop/dashboards/a/datasources/main',
    );
    expect(proxyUrl(api, { name: 'main' })).toBe('https://gateway.example/below/perses/proxy/globaldatasources/main');
  });

  it('takes no name for a path', () => {
    expect(proxyUrl(api, { project: 'a/b', name: '../../x?y#z' })).toBe('https://gateway.example/below/perses/proxy/projects/a%2Fb/datasources/..%2F..%2Fx%3Fy%23z');
  });
});

describe('makeDatasourceApi', () => {
  const offered = {
    datasources: [source('Datasource', 'main', true), source('Datasource', 'other'), source('GlobalDatasource', 'main'), source('GlobalDatasource', 'wide', true)],
    hidden: [hidden('project', 'lost'), hidden('global', 'far'), hidden('dashboard', 'own'), hidden('project', 'wide')],
  };
  const made = makeDatasourceApi(offered, api);

  it('finds by name and by default', async () => {
    expect((await made.getDatasource('shop', { kind: prometheus, name: 'other' }))?.metadata.name).toBe('other');
    expect((await made.getDatasource('shop', { kind: prometheus }))?.metadata.name).toBe('main');
    expect((await made.getGlobalDatasource({ kind: prometheus }))?.metadata.name).toBe('wide');
    expect(await made.getDatasource('shop', { kind: 'TempoDatasource' })).toBeUndefined();
    expect((await made.listDatasources('shop')).length).toBe(2);
    expect((await made.listGlobalDatasources('TempoDatasource')).length).toBe(0);
  });

  it('says why one is hidden', async () => {
    await expect(made.getDatasource('shop', { kind: prometheus, name: 'lost' })).rejects.toThrow('The data source lost cannot be used: It names no environment');
    await expect(made.getDatasource('shop', { kind: prometheus, name: 'own' })).rejects.toThrow('own');
    await expect(made.getGlobalDatasource({ kind: prometheus, name: 'far' })).rejects.toThrow('far');
  });

  it('asks no global one in the place of a hidden one of the project', async () => {
    await expect(made.getDatasource('shop', { kind: prometheus, name: 'wide' })).rejects.toThrow('wide');
  });

  it('says that there is no default, and which are hidden', async () => {
    const none = makeDatasourceApi({ datasources: [], hidden: [hidden('project', 'lost')] }, api);
    expect(await none.getDatasource('shop', { kind: prometheus })).toBeUndefined();
    await expect(none.getGlobalDatasource({ kind: prometheus })).rejects.toThrow(/no default one here\. The data source lost/);
  });
});
