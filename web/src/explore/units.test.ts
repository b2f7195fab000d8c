import { describe, expect, it } from 'vitest';
import { formatTick, formatValue, isUnit, units, type Unit } from './units';

describe('values', () => {
  it.each<[Unit, number, string]>([
    ['none', 0, '0'], ['none', -0, '0'], ['none', 1, '1'], ['none', 891_485, '891,485'], ['none', 1_234_567.891, '1,234,568'], ['none', -12.5, '-12.5'],
    ['none', 0.000130203, '0.000130203'], ['none', 1e-9, '1e-9'], ['none', 1.5e300, '1.5e+300'], ['none', 1e15, '1e+15'], ['none', 1 / 3, '0.333333'], ['none', 36.71931234, '36.7193'],
    ['none/s', 12, '12/s'],
    ['short', 0, '0'], ['short', 999, '999'], ['short', 1000, '1 k'], ['short', -1_234_567, '-1.235 M'], ['short', 2.5e9, '2.5 G'], ['short', 0.05, '0.05'], ['short/s', 1500, '1.5 k/s'],
    ['bytes', 0, '0 B'], ['bytes', 1023, '1,023 B'], ['bytes', 1024, '1 KiB'], ['bytes', -1536, '-1.5 KiB'], ['bytes', 5 * 2 ** 30, '5 GiB'], ['bytes', 0.5, '0.5 B'], ['bytes/s', 2048, '2 KiB/s'],
    ['bytes', 1e300, '8.674e+281 EiB'],
    ['seconds', 0, '0 s'], ['seconds', 0.0035, '3.5 ms'], ['seconds', 4.2e-7, '420 ns'], ['seconds', 1e-12, '0.001 ns'], ['seconds', 90, '1.5 min'], ['seconds', -7200, '-2 h'], ['seconds', 172_800, '2 d'],
    ['percent', 12.345, '12.35%'], ['percent', 0, '0%'], ['ratio', 0.5, '50%'], ['ratio', -0.012345, '-1.235%'],
  ])('%s of %d is %s', (unit, value, text) => {
    expect(formatValue(unit, value)).toBe(text);
  });
  it('shows what is no number as it is, in each unit', () => {
    for (const { unit } of units) {
      expect([NaN, Infinity, -Infinity].map((value) => formatValue(unit, value))).toEqual(['NaN', '+Inf', '-Inf']);
    }
  });
  it('has a short text for every number', () => {
    for (const { unit } of units) {
      for (let exponent = -320; exponent <= 308; exponent += 7) {
        for (const sign of [1, -1]) expect(formatValue(unit, sign * Number(`1.23456789e${exponent}`)).length).toBeLessThan(25);
      }
    }
  });
});

describe('ticks', () => {
  it.each<[Unit, number, number, string]>([
    ['none', 10, 10, '10'], ['none', 0.5, 0.5, '0.5'], ['none', 1, 0.25, '1'], ['none', 1.25, 0.25, '1.25'], ['none', 100_000.002, 0.001, '100,000.002'], ['none', -0.0000001, 1, '0'],
    ['bytes', 2 ** 20 * 1.5, 2 ** 19, '1.5 MiB'], ['short', 1500, 500, '1.5 k'], ['seconds', 0.002, 0.001, '2 ms'], ['ratio', 0.125, 0.025, '12.5%'], ['none', 1e20, 1e19, '1e+20'],
  ])('%s: %d with an increment of %d is %s', (unit, value, increment, text) => {
    expect(formatTick(unit, value, increment)).toBe(text);
  });
  it('tells neighbours apart', () => {
    for (const { unit } of units) {
      for (const increment of [0.001, 0.25, 1, 50]) {
        const texts = [0, 1, 2, 3].map((at) => formatTick(unit, at * increment, increment));
        expect(new Set(texts).size).toBe(4);
      }
    }
  });
});

it('knows its units, and nothing else', () => {
  expect(isUnit('bytes/s')).toBe(true);
  expect(isUnit('constructor')).toBe(false);
});
