import { autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionStatus } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, syntaxTree } from '@codemirror/language';
import { Prec, type Extension } from '@codemirror/state';
import { drawSelection, EditorView, hoverTooltip, keymap, placeholder, type Tooltip } from '@codemirror/view';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { environmentPath, request } from '../api/client';
import { answerError } from './answerError';
import type { Metric } from './metrics';
import { lookbackSeconds } from './useMetrics';

export interface EditorOptions {
  label: string;
  project: string;
  environment: string;
  onRun: () => void;
  describe: (metric: string) => Promise<Metric | undefined>;
}

/** PromQL with completion from the environment; all requests are the page's own. */
function language(project: string, environment: string): PromQLExtension {
  return new PromQLExtension().setComplete({
    remote: {
      apiPrefix: `${environmentPath(project, environment)}api/v1`,
      fetchFn: (input, init) => request(String(input), init),
      lookbackInterval: lookbackSeconds * 1000,
      httpMethod: 'POST',
    },
    maxMetricsMetadata: 10_000,
  });
}

/** Enter runs, unless it picks a completion; Tab stays what it is everywhere: the way out. */
function keys(onRun: () => void): Extension {
  const run = (view: EditorView) => {
    closeCompletion(view);
    onRun();
    return true;
  };
  const enter = (view: EditorView) => completionStatus(view.state) === 'active' || run(view);
  return [
    Prec.high(
      keymap.of([
        { key: 'Mod-Enter', run },
        { key: 'Enter', run: enter, shift: insertNewlineAndIndent },
      ]),
    ),
    keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap]),
  ];
}

function metricHint(describe: EditorOptions['describe']): Extension {
  return hoverTooltip(async (view, position): Promise<Tooltip | null> => {
    const node = syntaxTree(view.state).resolveInner(position, -1);
    if (node.name !== 'Identifier') return null;
    const metric = await describe(view.state.sliceDoc(node.from, node.to));
    return metric ? { pos: node.from, end: node.to, above: false, create: () => ({ dom: hintElement(metric) }) } : null;
  });
}

/** As text, never as HTML: help texts come from whoever runs a target. */
function hintElement(metric: Metric): HTMLElement {
  const hint = document.createElement('div');
  hint.className = 'cm-metricHint';
  const name = document.createElement('strong');
  name.textContent = metric.type ? `${metric.name} (${metric.type})` : metric.name;
  hint.append(name, metric.help);
  return hint;
}

export interface EditorSetup {
  extensions: Extension;
  /** Stops completion requests that still run. */
  destroy: () => void;
}

export function editorSetup({ label, project, environment, onRun, describe }: EditorOptions): EditorSetup {
  const promql = language(project, environment);
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
  const extensions = [
    EditorView.cspNonce.of(nonce),
    EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', autocapitalize: 'off', autocorrect: 'off' }),
    EditorView.lineWrapping,
    placeholder('Write PromQL, or choose a metric. Enter runs, Shift+Enter is a new line.'),
    history(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    autocompletion({ maxRenderedOptions: 60, icons: false }),
    keys(onRun),
    promql.asExtension(),
    metricHint(describe),
    answerError,
  ];
  return { extensions, destroy: () => promql.destroy() };
}
