/** The form that sends one row to a model and shows what it answers. */

import { Notification } from '@jupyterlab/apputils';
import * as React from 'react';

import { copy as copyText } from '../clipboard';
import { Failure, asFailure } from '../failure';
import { plain } from './amounts';
import { useChanged, usePanel } from './context';
import { Field, Parsed, Wrong, bodyOfFields, bodyOfJson, curlOf, formOf, outputRows } from './form';
import { ModelDetails, aliasesOf, versionName } from './groups';
import { Button, Notice } from './parts';

type Texts = { [name: string]: string };

interface Answer {
  output: unknown;
  non_finite?: unknown;
}

/** What was typed for each model, for as long as the page lives. */
const typed = new Map<string, Texts>();

export function TryIt(props: { model: ModelDetails }): JSX.Element {
  const { backend, health, trans } = usePanel();
  useChanged(health.changed);
  const { model } = props;
  const form = React.useMemo(() => formOf(model), [model.model_id]);
  const [texts, setTexts] = React.useState<Texts>(
    () => typed.get(model.model_id) ?? (form.kind === 'json' ? { '': form.example } : {})
  );
  const [wrong, setWrong] = React.useState<Wrong>({});
  const [answer, setAnswer] = React.useState<{ output: unknown; ms: number } | null>(null);
  const [failure, setFailure] = React.useState<Failure | null>(null);
  const [busy, setBusy] = React.useState(false);

  const references = aliasesOf(model).map(alias => `${model.name}@${alias}`);
  const [reference, setReference] = React.useState('');
  // An alias may be moved away while the page is open.
  const asked = references.includes(reference)
    ? { model: reference }
    : { model_id: model.model_id };

  const type = (name: string, text: string) => {
    const next = { ...texts, [name]: text };
    typed.set(model.model_id, next);
    setTexts(next);
    if (wrong[name]) {
      setWrong({ ...wrong, [name]: '' });
    }
  };
  const parse = (): Parsed =>
    form.kind === 'fields'
      ? bodyOfFields(form.fields, texts, trans)
      : bodyOfJson(form.member, texts[''] ?? '', trans);

  const send = async (event: React.FormEvent) => {
    event.preventDefault();
    if (busy || !health.usable) {
      return;
    }
    const parsed = parse();
    setWrong(parsed.ok ? {} : parsed.wrong);
    if (!parsed.ok) {
      const first = Object.keys(parsed.wrong)[0];
      document.getElementById(fieldId(model, first))?.focus();
      return;
    }
    setBusy(true);
    setFailure(null);
    const began = performance.now();
    try {
      const body = { ...asked, ...parsed.body };
      const said = await backend.ask<Answer>('POST', 'tensor/run', body);
      setAnswer({ output: said.output, ms: performance.now() - began });
    } catch (error) {
      const fault = asFailure(error);
      setAnswer(null);
      setFailure(fault);
      setWrong(wrongOf(fault));
    }
    setBusy(false);
  };

  const copy = () => {
    const parsed = parse();
    if (!parsed.ok) {
      setWrong(parsed.wrong);
      return;
    }
    const status = health.status;
    const url = status?.url ?? '$TENSORTRIGGER_URL';
    const body = { ...asked, ...parsed.body };
    // The embedded backend always wants a key; of another one that cannot be told from here.
    copyText(curlOf(url, body, status?.embedded ?? false));
    Notification.info(
      trans.__('The curl line is copied. It takes a key from $TENSORTRIGGER_API_KEY.'),
      { autoClose: 4000 }
    );
  };

  return (
    <form className="tt-TryIt" onSubmit={event => void send(event)} noValidate>
      <h4>{trans.__('Try it')}</h4>
      {references.length > 0 && (
        <div className="tt-Field">
          <label htmlFor={fieldId(model, ' as')}>{trans.__('Ask for')}</label>
          <select
            id={fieldId(model, ' as')}
            className="jp-mod-styled"
            value={references.includes(reference) ? reference : ''}
            onChange={event => setReference(event.target.value)}
          >
            <option value="">{versionName(model)}</option>
            {references.map(one => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </div>
      )}
      {form.kind === 'fields' ? (
        form.fields.map(field => (
          <div className="tt-Field" key={field.name}>
            <label htmlFor={fieldId(model, field.name)}>{field.name}</label>
            <FieldInput
              field={field}
              id={fieldId(model, field.name)}
              value={texts[field.name] ?? ''}
              wrong={!!wrong[field.name]}
              onType={text => type(field.name, text)}
            />
            {wrong[field.name] && (
              <span id={`${fieldId(model, field.name)}-wrong`} className="tt-Wrong">
                {wrong[field.name]}
              </span>
            )}
          </div>
        ))
      ) : (
        <div className="tt-Field tt-mod-wide">
          <label htmlFor={fieldId(model, '')}>
            {form.member === 'inputs'
              ? trans.__('Input as JSON, with the batch axis: %1', shapesOf(model))
              : trans.__('Input as JSON: each name with its number')}
          </label>
          <textarea
            id={fieldId(model, '')}
            className="jp-mod-styled"
            rows={5}
            spellCheck={false}
            value={texts[''] ?? ''}
            aria-invalid={!!wrong['']}
            onChange={event => type('', event.target.value)}
          />
          {wrong[''] && <span className="tt-Wrong">{wrong['']}</span>}
        </div>
      )}
      <div className="tt-Actions">
        <button
          type="submit"
          className="jp-mod-styled jp-mod-accept"
          aria-disabled={busy || !health.usable || undefined}
          title={health.usable ? undefined : health.trouble}
        >
          {busy ? trans.__('Asking…') : trans.__('Run')}
        </button>
        <Button label={trans.__('Copy curl')} onClick={copy} />
      </div>
      <Notice failure={failure} onClose={() => setFailure(null)} />
      <div role="status">{answer && <Output output={answer.output} ms={answer.ms} />}</div>
    </form>
  );
}

function FieldInput(props: {
  field: Field;
  id: string;
  value: string;
  wrong: boolean;
  onType: (text: string) => void;
}): JSX.Element {
  const { trans } = usePanel();
  const { field, id, value, wrong, onType } = props;
  const common = {
    id,
    className: 'jp-mod-styled',
    value,
    'aria-invalid': wrong,
    'aria-describedby': wrong ? `${id}-wrong` : undefined,
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLSelectElement>) =>
      onType(event.target.value)
  };
  if (field.options.length > 0) {
    return (
      <select {...common}>
        <option value="">{field.nullable ? trans.__('missing') : trans.__('choose')}</option>
        {field.options.map(option => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
    );
  }
  const placeholder = field.nullable ? trans.__('missing') : undefined;
  return field.kind === 'category' ? (
    <input {...common} type="text" placeholder={placeholder} />
  ) : (
    <input
      {...common}
      type="number"
      step={field.kind === 'integer' ? 1 : 'any'}
      placeholder={placeholder}
    />
  );
}

function Output(props: { output: unknown; ms: number }): JSX.Element {
  const { trans } = usePanel();
  const rows = outputRows(props.output);
  const text = rows ? '' : JSON.stringify(props.output);
  return (
    <div className="tt-Answer">
      <h4>{trans.__('Answer')}</h4>
      {rows ? (
        <table>
          <tbody>
            {rows.map(row => (
              <tr key={row.name}>
                <th scope="row">{row.name}</th>
                <td title={row.value === null ? undefined : String(row.value)}>
                  {plain(row.value)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <pre>{text.length > 2000 ? `${text.slice(0, 2000)}…` : text}</pre>
      )}
      <span className="tt-Hint">{trans.__('in %1 ms', Math.round(props.ms))}</span>
    </div>
  );
}

function fieldId(model: ModelDetails, name: string): string {
  return `tt-try-${model.model_id}-${name}`;
}

/** The faults that name a field, by that field. */
function wrongOf(failure: Failure): Wrong {
  const wrong: Wrong = {};
  for (const fault of failure.faults) {
    const loc = Array.isArray(fault.loc) ? fault.loc : [];
    const name = loc[loc.length - 1];
    if (name !== undefined) {
      wrong[String(name)] = fault.message;
    }
  }
  return wrong;
}

function shapesOf(model: ModelDetails): string {
  const specs = model.signature?.inputs ?? [];
  const shape = (sizes: (number | null)[]) => `[${sizes.map(size => size ?? '?').join(', ')}]`;
  return specs.map(spec => `${spec.name} ${spec.dtype} ${shape(spec.shape)}`).join('; ');
}
