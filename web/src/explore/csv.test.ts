import { describe, expect, it } from 'vitest';
import { graphCsv, tableCsv, textCell, valueCell, type CsvRow } from './csv';
import type { Answer } from './result';

const answer = (result: unknown): Answer => ({ resultType: 'matrix', result, warnings: [], infos: [] });

describe('cells', () => {
  it.each([
    ['plain', 'plain'], ['a,b', '"a,b"'], ['say "hi"', '"say ""hi"""'], ['two\nlines', '"two\nlines"'], ['=1+1', "'=1+1"], ['+1', "'+1"], ['-1', "'-1"], ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t=1"], ['\r=1', '"\'\r=1"'], ['=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'], ['a=1', 'a=1'], ['', ''], ['<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
  ])('text %j is %j', (text, cell) => {
    expect(textCell(text)).toBe(cell);
  });
  it.each(['-1.5', '+Inf', '-Inf', 'NaN', '1e-07', '1.7976931348623157e+308', '0', ''])('the value %s stays as it is', (value) => {
    expect(valueCell(value)).toBe(value);
  });
  it.each([['=1', "'=1"], ['-1+cmd', "'-1+cmd"], ['a,b', '"a,b"']])('the string %s is text', (value, cell) => {
    expect(valueCell(value)).toBe(cell);
  });
});

describe('the graph', () => {
  const grid = { start: 60, step: 30, points: 3 };
  it('has a row for each time, and leaves gaps empty', () => {
    const csv = graphCsv(
      [{ answer: answer([{ metric: { __name__: 'up', a: '=x' }, values: [[60, '-1.50'], [120, 'NaN']] }, { metric: {}, values: [[90, '2']] }]), prefix: '', expr: 'sum(up)' }],
      grid,
    );
    expect(csv.split('\r\n')).toEqual([
      'time,"up{a=""=x""}",sum(up)',
      '1970-01-01T00:01:00.000Z,-1.50,',
      '1970-01-01T00:01:30.000Z,,2',
      '1970-01-01T00:02:00.000Z,NaN,',
      '',
    ]);
  });
  it('has two columns for a native histogram', () => {
    const parts = [{ answer: answer([{ metric: { __name__: 'h' }, histograms: [[90, { count: '3', sum: '4.5', buckets: [] }]] }]), prefix: 'B: ', expr: 'h' }];
    expect(graphCsv(parts, grid).split('\r\n').slice(0, 3)).toEqual(['time,B: h count,B: h sum', '1970-01-01T00:01:00.000Z,,', '1970-01-01T00:01:30.000Z,3,4.5']);
  });
});

describe('the table', () => {
  it('has a column for each label', () => {
    const rows: CsvRow[] = [
      { query: 'A', labels: { __name__: 'x', cmd: '=1+1' }, samples: [{ time: 1.5, value: '-3' }] },
      { query: 'A', labels: { z: '@a', __proto__x: '1' }, samples: [{ time: 2, value: '+Inf' }] },
    ];
    expect(tableCsv(rows, false).split('\r\n')).toEqual([
      '__name__,__proto__x,cmd,z,time,value',
      "x,,'=1+1,,1970-01-01T00:00:01.500Z,-3",
      ",1,,'@a,1970-01-01T00:00:02.000Z,+Inf",
      '',
    ]);
  });
  it('names the query where there are several, and has the sum of histograms', () => {
    const rows = [{ query: 'B', labels: {}, samples: [{ time: 0, value: '3', histogram: { count: '3', sum: '4', buckets: [] } }] }];
    expect(tableCsv(rows, true)).toBe('query,time,value,sum\r\nB,1970-01-01T00:00:00.000Z,3,4\r\n');
  });
});
