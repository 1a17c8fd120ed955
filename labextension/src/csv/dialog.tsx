/** Which model scores a CSV file, and which of its columns feed which of the model's inputs. */

import { Dialog, ReactWidget, showDialog } from '@jupyterlab/apputils';
import { HTMLSelect } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IBackend } from '../client';
import { Failure, asFailure } from '../failure';
import { ModelDetails, versionName } from '../panel/groups';
import { bytes } from '../panel/amounts';
import { CsvPreview } from '../shapes';
import {
  Mapping,
  doubled,
  fieldsOf,
  fitting,
  missing,
  offered,
  shared,
  suggested
} from './mapping';
import { nameOf } from './telling';

/** What was chosen: a version by its name, and a column a field. */
export interface Choice {
  model: string;
  columns: Mapping;
}

interface IQuestion {
  backend: IBackend;
  trans: TranslationBundle;
  path: string;
}

/** Ask; null where it was given up. */
export async function askChoice(question: IQuestion): Promise<Choice | null> {
  const { trans } = question;
  const body = new Body(question);
  const result = await showDialog<Choice | null>({
    title: trans.__('Score %1', nameOf(question.path)),
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Start') })
    ],
    focusNodeSelector: 'select'
  });
  return result.button.accept ? result.value : null;
}

class Body extends ReactWidget implements Dialog.IBodyWidget<Choice | null> {
  constructor(private readonly question: IQuestion) {
    super();
    this.addClass('tt-CsvDialog');
  }

  getValue(): Choice | null {
    return this.choice;
  }

  protected render(): JSX.Element {
    return (
      <Form
        {...this.question}
        onChoice={(choice, reason) => {
          this.choice = choice;
          this.allow(choice !== null, reason);
        }}
      />
    );
  }

  /** The dialog's own Start button, which says why it cannot be pressed. */
  private allow(may: boolean, reason: string): void {
    const dialog = this.node.closest('.jp-Dialog');
    const start = dialog?.querySelector<HTMLButtonElement>('button.jp-mod-accept');
    if (start) {
      start.disabled = !may;
      start.title = may ? '' : reason;
    }
  }

  private choice: Choice | null = null;
}

interface IFormProps extends IQuestion {
  onChoice: (choice: Choice | null, reason: string) => void;
}

function Form(props: IFormProps): JSX.Element {
  const { backend, path, trans } = props;
  const [models, setModels] = React.useState<ModelDetails[] | null>(null);
  const [preview, setPreview] = React.useState<CsvPreview | null>(null);
  const [failure, setFailure] = React.useState<Failure | null>(null);
  const [picked, setPicked] = React.useState('');
  const [mappings, setMappings] = React.useState<{ [modelId: string]: Mapping }>({});
  const id = React.useId();

  React.useEffect(() => {
    const fail = (error: unknown) => setFailure(asFailure(error));
    backend
      .ask<{ models: ModelDetails[] }>('GET', 'models?limit=200&state=ready')
      .then(answer => setModels(answer.models))
      .catch(fail);
    backend.askExtension<CsvPreview>('POST', 'csv/preview', { path }).then(setPreview).catch(fail);
  }, [backend, path]);

  const chosen = picked || (models && preview && fitting(models, preview.columns)?.model_id) || '';
  const options = offered(models ?? []);
  const option = options.find(one => one.key === chosen) ?? null;
  const model = option?.model ?? null;
  const fields = model ? fieldsOf(model) : null;
  const mapping = mappings[chosen] ?? (fields && preview ? suggested(fields, preview.columns) : {});
  const lacking = fields ? missing(fields, mapping) : [];
  const twice = fields ? shared(fields, mapping) : [];
  const alike = preview ? doubled(preview.columns) : [];

  let reason = '';
  if (failure) {
    reason = failure.message;
  } else if (models === null || preview === null) {
    reason = trans.__('The file and the models are still being read.');
  } else if (!model) {
    reason = trans.__('There is no model yet: publish one from a notebook first.');
  } else if (fields === null) {
    reason = trans.__(
      '%1 takes tensors, not columns of numbers: run it from a notebook instead.',
      versionName(model)
    );
  } else if (lacking.length) {
    reason = trans.__('No column is chosen for: %1.', lacking.join(', '));
  } else if (twice.length) {
    reason = trans.__('Chosen for more than one input: %1.', twice.join(', '));
  }
  const choice: Choice | null =
    reason === '' && option ? { model: option.reference, columns: mapping } : null;
  React.useEffect(() => {
    props.onChoice(choice, reason);
  });

  return (
    <>
      {failure && (
        <div role="alert" className="tt-Notice">
          {failure.message} {failure.action}
        </div>
      )}
      <label htmlFor={`${id}-model`}>{trans.__('Model')}</label>
      <HTMLSelect
        id={`${id}-model`}
        value={chosen}
        onChange={event => setPicked(event.target.value)}
      >
        {options.map(({ key, reference, model: one }) => (
          <option key={key} value={key}>
            {one.model_name && one.model_name !== one.name
              ? `${reference} (${one.model_name})`
              : reference}
          </option>
        ))}
      </HTMLSelect>
      {preview && <Preview preview={preview} trans={trans} />}
      {alike.length > 0 && (
        <p className="tt-Hint">
          {trans.__(
            'More than one column has this name, so it cannot be chosen: %1.',
            alike.join(', ')
          )}
        </p>
      )}
      {preview && fields && (
        <fieldset>
          <legend>{trans.__('Which column feeds which input')}</legend>
          <div className="tt-Mapping">
            {fields.map((field, index) => (
              <React.Fragment key={field}>
                <label htmlFor={`${id}-${index}`}>{field}</label>
                <HTMLSelect
                  id={`${id}-${index}`}
                  value={mapping[field]}
                  aria-invalid={!mapping[field]}
                  onChange={event =>
                    setMappings({
                      ...mappings,
                      [chosen]: { ...mapping, [field]: event.target.value }
                    })
                  }
                >
                  <option value="">{trans.__('choose a column')}</option>
                  {preview.columns
                    .filter(column => !alike.includes(column))
                    .map(column => (
                      <option key={column} value={column}>
                        {column}
                      </option>
                    ))}
                </HTMLSelect>
              </React.Fragment>
            ))}
          </div>
        </fieldset>
      )}
      <p role="status" className={lacking.length || twice.length ? 'tt-Wrong' : 'tt-Hint'}>
        {reason ||
          trans.__(
            'The result is written beside the file, with all of its columns; nothing is overwritten.'
          )}
      </p>
    </>
  );
}

function Preview(props: { preview: CsvPreview; trans: TranslationBundle }): JSX.Element {
  const { preview, trans } = props;
  return (
    <div
      className="tt-TableBox"
      tabIndex={0}
      role="region"
      aria-label={trans.__('First rows of the file')}
    >
      <table>
        <caption>{trans.__('First rows, of %1', bytes(preview.size))}</caption>
        <thead>
          <tr>
            {preview.columns.map((column, index) => (
              <th scope="col" key={index}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {preview.rows.slice(0, 5).map((row, index) => (
            <tr key={index}>
              {row.map((cell, place) => (
                <td key={place}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
