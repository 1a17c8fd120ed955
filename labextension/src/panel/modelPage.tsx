/** One model version in full: what it is, a form that tries it, and how to be rid of it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import { bytes, counted, moment, plain } from './amounts';
import { useAction, useChanged, usePanel } from './context';
import { Aliases } from './aliases';
import { ModelDetails, aliasesOf, repairsTold, tagsTold, versionName } from './groups';
import { ReceiptView } from './receipt';
import { Button, Facts, Notice } from './parts';
import { TryIt } from './tryIt';

export function ModelPage(props: { modelId: string }): JSX.Element {
  const { catalogue, health, state, trans } = usePanel();
  useChanged(catalogue.changed);
  useChanged(health.changed);
  const { run, failure, clear } = useAction();
  const [asked, setAsked] = React.useState<ModelDetails | null>(null);
  const listed = catalogue.models.find(model => model.model_id === props.modelId);
  const model = listed ?? asked;
  React.useEffect(() => {
    if (!listed) {
      void run(async () => setAsked(await catalogue.find(props.modelId)));
    }
  }, [props.modelId]);

  const remove = async (which: ModelDetails) => {
    const name = versionName(which);
    const aliases = aliasesOf(which).map(alias => `${which.name}@${alias}`);
    const answer = await showDialog({
      title: trans.__('Delete %1?', name),
      body: [
        trans.__(
          'This removes version %1 of “%2” from the backend for good; the other versions stay. Programs that call it by its id get an error from then on.',
          which.version ?? '-',
          which.name
        ),
        ...(aliases.length
          ? [trans.__('It removes what means this version, too: %1.', aliases.join(', '))]
          : [])
      ].join(' '),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Keep it') }),
        Dialog.warnButton({
          label: aliases.length
            ? trans.__('Delete %1 and its aliases', name)
            : trans.__('Delete %1', name)
        })
      ],
      defaultButton: 0
    });
    if (answer.button.accept) {
      await run(async () => {
        await catalogue.remove(which.model_id, aliases.length > 0);
        state.showModel(null);
      });
    }
  };

  return (
    <div className="tt-Page">
      <button className="tt-Link" onClick={() => state.showModel(null)}>
        ‹ {trans.__('All models')}
      </button>
      <Notice failure={failure} onClose={clear} />
      {model && (
        <div className={health.usable ? '' : 'tt-mod-stale'}>
          <h3>{versionName(model)}</h3>
          {model.model_description && <p>{model.model_description}</p>}
          <Details model={model} />
          <ReceiptView model={model} />
          <Aliases model={model} onChange={setAsked} />
          {model.state === 'ready' ? (
            <TryIt model={model} />
          ) : (
            <p className="tt-Hint">
              {trans.__('It can be tried once it is ready; now it is %1.', model.state)}
            </p>
          )}
          <div className="tt-Actions">
            <Button
              label={trans.__('Delete…')}
              full={trans.__('Delete %1', versionName(model))}
              kind="danger"
              reason={health.usable ? undefined : health.trouble}
              onClick={() => void remove(model)}
            />
          </div>
        </div>
      )}
    </div>
  );
}

function Details(props: { model: ModelDetails }): JSX.Element {
  const { state, trans } = usePanel();
  const { model } = props;
  const deviation =
    typeof model.max_deviation === 'number'
      ? trans.__('%1 from model.predict, at most', plain(model.max_deviation))
      : null;
  const parent = model.parent;
  const repairs = repairsTold(model);
  return (
    <>
      <Facts
        facts={[
          [trans.__('Title'), model.model_name],
          [trans.__('State'), model.state],
          [trans.__('Engine'), engineOf(model)],
          [trans.__('Deviation'), deviation],
          [trans.__('Tags'), tagsTold(model)],
          [trans.__('Metrics'), metricsTold(model)],
          [trans.__('Author'), model.author],
          [trans.__('Notebook'), model.notebook],
          [trans.__('Commit'), model.git_commit && <code>{model.git_commit.slice(0, 12)}</code>],
          [
            trans.__('Trained from'),
            parent && (
              <button className="tt-Link" onClick={() => state.open('models', parent.model_id)}>
                {`${model.name}/${parent.version}`}
              </button>
            )
          ],
          [trans.__('Size'), bytes(model.size)],
          [
            trans.__('Parameters'),
            typeof model.parameters === 'number' ? counted(model.parameters) : null
          ],
          [trans.__('Format'), model.format ?? null],
          [trans.__('Created'), moment(model.created)],
          [trans.__('Id'), <code>{model.model_id}</code>],
          [trans.__('Repaired'), repairs.join('; ')]
        ]}
      />
      {!!model.report?.faults?.length && (
        <div className="tt-Notice">
          <ul>
            {model.report.faults.map((fault, index) => (
              <li key={index}>
                {fault.loc && <code>{[fault.loc].flat().join('.')}</code>} {fault.message}
                {fault.remedy && <div>{fault.remedy}</div>}
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}

function metricsTold(model: ModelDetails): string {
  return Object.entries(model.metrics ?? {})
    .slice(0, 6)
    .map(([name, value]) => `${name} ${plain(value)}`)
    .join(', ');
}

function engineOf(model: ModelDetails): string | null {
  if (!model.engine) {
    return null;
  }
  return model.engine_reason ? `${model.engine} (${model.engine_reason})` : model.engine;
}
