/** How it goes and how it ended: stages, the comparison, faults and how to mend them. */

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Failure, Fault } from '../failure';
import { aliasesOf, receiptTold, repairsTold, tagsTold } from '../panel/groups';
import { PublishState } from './states';
import { checkTold, stageTold, STAGES } from './words';

interface IOutcomeProps {
  state: PublishState;
  trans: TranslationBundle;
}

/** The stages, each done, going on or to come. */
export function Stages({ state, trans }: IOutcomeProps): JSX.Element {
  const now = state.progress?.state ?? 'saving';
  const at = STAGES.indexOf(now);
  return (
    <ol className="tt-Publish-stages">
      {now === 'waiting_for_epoch' && (
        <li aria-current="step">{stageTold('waiting_for_epoch', trans)}</li>
      )}
      {STAGES.map((stage, index) => (
        <li
          key={stage}
          className={index < at ? 'tt-mod-done' : undefined}
          aria-current={index === at && now === stage ? 'step' : undefined}
        >
          {stageTold(stage, trans)}
          {stage === 'uploading' && now === stage && arrivedTold(state)}
        </li>
      ))}
    </ol>
  );
}

/** How much of a large file has arrived. */
function arrivedTold(state: PublishState): string {
  const uploaded = state.progress?.uploaded;
  return uploaded ? ` (${Math.floor((100 * uploaded.done) / uploaded.total)} %)` : '';
}

/** What was published, and whether it answers as the notebook does. */
export function Ready({ state, trans }: IOutcomeProps): JSX.Element {
  const { progress } = state;
  const check = progress?.check;
  const model = progress?.model;
  const kind = !check || check.matched === null ? 'unchecked' : check.matched ? 'good' : 'bad';
  const facts: [string, string | null | undefined][] = [
    [trans.__('Model id'), model?.model_id],
    [trans.__('Engine'), model?.engine],
    [
      trans.__('Aliases'),
      model &&
        aliasesOf(model)
          .map(alias => `${model.name}@${alias}`)
          .join(', ')
    ],
    [trans.__('Tags'), model && tagsTold(model)],
    [trans.__('Receipt'), model?.receipt && receiptTold(model.receipt, trans)]
  ];
  return (
    <>
      <p
        className={`tt-Publish-comparison tt-mod-${kind}`}
        role={kind === 'bad' ? 'alert' : undefined}
      >
        {check
          ? checkTold(check, trans)
          : trans.__('Not compared with model.predict: no example was given.')}
      </p>
      {kind === 'bad' && (
        <p>
          {trans.__(
            'Do not use this version before you know why: look for randomness in the model, and for an example whose values lose precision as 32-bit numbers.'
          )}
        </p>
      )}
      {progress?.remark && <p>{progress.remark}</p>}
      <dl className="tt-Publish-facts">
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <React.Fragment key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </React.Fragment>
          ))}
      </dl>
      <List title={trans.__('Repaired so that it loads')} entries={repairsTold(model)} />
      <List title={trans.__('What was checked')} entries={model?.checks ?? []} folded />
      {progress?.curl && <pre aria-label={trans.__('A request with curl')}>{progress.curl}</pre>}
    </>
  );
}

/** Sentences under a title, folded where nobody needs to read them. */
function List(props: { title: string; entries: readonly string[]; folded?: boolean }) {
  if (props.entries.length === 0) {
    return null;
  }
  return (
    <details className="tt-Publish-list" open={!props.folded}>
      <summary>{props.title}</summary>
      <ul>
        {props.entries.map((entry, index) => (
          <li key={index}>{entry}</li>
        ))}
      </ul>
    </details>
  );
}

/** What went wrong: the sentence, what to do, and each single fault with its remedy. */
export function Failed(props: IOutcomeProps & { failure: Failure }): JSX.Element {
  const { failure, trans, state } = props;
  const command = state.progress?.command;
  return (
    <>
      <p className="tt-Publish-message">{failure.message}</p>
      {failure.action && <p>{failure.action}</p>}
      {failure.faults.length > 0 && (
        <ul className="tt-Publish-faults" aria-label={trans.__('Faults')}>
          {failure.faults.map((fault, index) => (
            <FaultLine key={index} fault={fault} trans={trans} />
          ))}
        </ul>
      )}
      {command && (
        <>
          <p>{trans.__('Or publish from the notebook, once its kernel can reach a backend:')}</p>
          <pre>{command}</pre>
        </>
      )}
    </>
  );
}

function FaultLine(props: { fault: Fault; trans: TranslationBundle }): JSX.Element {
  const { fault, trans } = props;
  const place = Array.isArray(fault.loc) ? fault.loc.join('.') : fault.loc;
  const known = (value: unknown) => value !== undefined && value !== null && value !== '';
  return (
    <li>
      {place && <code>{place}</code>} {fault.message}
      {known(fault.expected) && ` ${trans.__('Expected: %1.', String(fault.expected))}`}
      {known(fault.got) && ` ${trans.__('Got: %1.', String(fault.got))}`}
      {fault.remedy && <div className="tt-Publish-remedy">{fault.remedy}</div>}
    </li>
  );
}
