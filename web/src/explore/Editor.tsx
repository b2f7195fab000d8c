import Box from '@mui/material/Box';
import { Compartment, EditorState, type Extension } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { useQueryClient } from '@tanstack/react-query';
import { forwardRef, useEffect, useImperativeHandle, useRef } from 'react';
import { markAnswerError } from './answerError';
import { useChartColours } from './colours';
import { editorSetup } from './editorSetup';
import { editorTheme } from './editorTheme';
import { fetchMetric } from './useMetrics';

export interface EditorHandle {
  /** Puts text where the cursor is, and gives it the focus. */
  insert: (text: string) => void;
}

interface EditorProps {
  value: string;
  label: string;
  project: string;
  environment: string;
  /** Where the server found an error in this very text. */
  errorLine?: number;
  errorColumn?: number;
  onChange: (value: string) => void;
  onRun: () => void;
  onFocus: () => void;
  'data-testid': string;
}

function listenTo(latest: { current: EditorProps }): Extension {
  return EditorView.updateListener.of((update) => {
    if (update.docChanged) latest.current.onChange(update.state.doc.toString());
    if (update.focusChanged && update.view.hasFocus) latest.current.onFocus();
  });
}

const styles = { flex: 1, minWidth: 0, '& .cm-scroller': { maxHeight: 240 }, '& .cm-content:focus-visible': { outline: 'none' } };

/** A PromQL editor. CodeMirror owns the text; the value comes in only where it differs. */
export const Editor = forwardRef<EditorHandle, EditorProps>(function Editor(props, ref) {
  const { value, label, project, environment, errorLine, errorColumn } = props;
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>();
  const latest = useRef(props);
  latest.current = props;
  const client = useQueryClient();
  const { dark } = useChartColours();
  const theme = useRef(new Compartment());

  // The theme follows by its own effect, so that the text and its history stay.
  const initialTheme = useRef<Extension>();
  initialTheme.current = theme.current.of(editorTheme(dark));

  useEffect(() => {
    const setup = editorSetup({
      label,
      project,
      environment,
      onRun: () => latest.current.onRun(),
      describe: (name) => fetchMetric(client, project, environment, name),
    });
    const extensions = [setup.extensions, initialTheme.current!, listenTo(latest)];
    const editor = new EditorView({ parent: host.current!, state: EditorState.create({ doc: latest.current.value, extensions }) });
    view.current = editor;
    return () => {
      editor.destroy();
      setup.destroy();
    };
  }, [label, project, environment, client]);

  useEffect(() => view.current?.dispatch({ effects: theme.current.reconfigure(editorTheme(dark)) }), [dark]);
  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== value) editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
  }, [value]);
  useEffect(() => {
    const position = errorLine === undefined || errorColumn === undefined ? undefined : { line: errorLine, column: errorColumn };
    view.current?.dispatch({ effects: markAnswerError.of(position) });
  }, [errorLine, errorColumn, value]);

  useImperativeHandle(ref, () => ({
    insert: (text) => {
      view.current?.dispatch(view.current.state.replaceSelection(text), { scrollIntoView: true });
      view.current?.focus();
    },
  }));
  return <Box ref={host} data-testid={props['data-testid']} sx={styles} />;
});
