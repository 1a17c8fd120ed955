/** The aliases of a model, from one version's page: what means it, and to move, roll back, remove and look back. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import { aliasFault, USUAL_ALIASES } from '../publish/labels';
import { Alias } from '../shapes';
import { Aliasing, meaning } from './aliasing';
import { useAction, useChanged, usePanel } from './context';
import { aliasesOf, ModelDetails, versionName } from './groups';
import { AliasHistory } from './history';
import { Button, Notice } from './parts';

interface IAliasesProps {
  model: ModelDetails;
  /** Is told the version as it stands after a change. */
  onChange: (model: ModelDetails) => void;
}

export function Aliases(props: IAliasesProps): JSX.Element | null {
  const { backend, catalogue, health, trans } = usePanel();
  useChanged(health.changed);
  const { model } = props;
  const aliasing = React.useMemo(() => new Aliasing(backend), [backend]);
  const { busy, failure, run, clear } = useAction();
  const [known, setKnown] = React.useState<readonly Alias[]>([]);
  const [typed, setTyped] = React.useState('');
  const [shown, setShown] = React.useState<string | null>(null);
  const [told, setTold] = React.useState('');
  const id = React.useId();
  const mine = aliasesOf(model);

  const refresh = async () => setKnown(await aliasing.all(model.name));
  React.useEffect(() => {
    void run(refresh);
  }, [model.name, mine.join(' ')]);

  const change = (asked: () => Promise<string>) =>
    run(async () => {
      try {
        setTold(await asked());
      } finally {
        // Refused or not: somebody else may have moved it.
        await refresh();
        props.onChange(await catalogue.refreshWith(model.model_id));
      }
    });

  const move = async (alias: string) => {
    const version = model.version;
    if (version === null) {
      return;
    }
    const now = meaning(known, alias);
    const body =
      now === null
        ? trans.__('%1 will mean version %2.', `${model.name}@${alias}`, version)
        : trans.__(
            '%1 means version %2 now. From then on every program that calls it gets version %3.',
            `${model.name}@${alias}`,
            now,
            version
          );
    const title = trans.__('Let @%1 mean %2?', alias, versionName(model));
    if (await confirmed(title, body, trans.__('Move @%1', alias), trans.__('Leave it'))) {
      setTyped('');
      await change(async () => {
        await aliasing.move(model.name, alias, version, now);
        return trans.__('@%1 means version %2 now.', alias, version);
      });
    }
  };

  const rollback = async (alias: string) => {
    const title = trans.__('Roll @%1 back?', alias);
    const body = trans.__(
      '%1 will mean again what it meant before version %2.',
      `${model.name}@${alias}`,
      model.version ?? '-'
    );
    if (await confirmed(title, body, trans.__('Roll back'), trans.__('Leave it'))) {
      await change(async () => {
        const found = await aliasing.rollback(model.name, alias, model.version ?? 0);
        return trans.__('@%1 means version %2 again.', alias, found.version);
      });
    }
  };

  const remove = async (alias: string) => {
    const title = trans.__('Remove @%1?', alias);
    const body = trans.__(
      'Programs that call %1 get an error from then on. The version and the alias’s history stay.',
      `${model.name}@${alias}`
    );
    if (await confirmed(title, body, trans.__('Remove @%1', alias), trans.__('Keep it'), true)) {
      await change(async () => {
        await aliasing.remove(model.name, alias);
        return trans.__('@%1 is removed.', alias);
      });
    }
  };

  if (model.version === null) {
    return null;
  }
  const fault = aliasFault(typed);
  const reason = !health.usable
    ? health.trouble
    : busy
      ? trans.__('It is being done.')
      : typed === ''
        ? trans.__('Type or choose an alias first.')
        : fault
          ? trans.__('That cannot be an alias.')
          : mine.includes(typed)
            ? trans.__('It means this version already.')
            : undefined;
  const offered = [...new Set([...USUAL_ALIASES, ...known.map(({ alias }) => alias)])].filter(
    alias => !mine.includes(alias)
  );
  return (
    <section className="tt-Aliases" aria-label={trans.__('Aliases')}>
      <h4>{trans.__('Aliases')}</h4>
      {mine.length === 0 && <p className="tt-Hint">{trans.__('No alias means this version.')}</p>}
      <ul className="tt-Chips">
        {mine.map(alias => (
          <li key={alias}>
            <span className="tt-Chip">@{alias}</span>
            <button
              type="button"
              className="tt-Link"
              aria-expanded={shown === alias}
              aria-label={trans.__('History of @%1', alias)}
              onClick={() => setShown(shown === alias ? null : alias)}
            >
              {trans.__('History')}
            </button>
            <button
              type="button"
              className="tt-Link"
              aria-label={trans.__('Roll @%1 back', alias)}
              onClick={() => void rollback(alias)}
            >
              {trans.__('Roll back…')}
            </button>
            <button
              type="button"
              className="tt-Link"
              aria-label={trans.__('Remove @%1', alias)}
              onClick={() => void remove(alias)}
            >
              {trans.__('Remove…')}
            </button>
          </li>
        ))}
      </ul>
      {shown !== null && (
        <AliasHistory
          key={`${shown} ${told}`}
          aliasing={aliasing}
          name={model.name}
          alias={shown}
        />
      )}
      <form
        className="tt-Aliases-new"
        onSubmit={event => {
          event.preventDefault();
          if (!reason) {
            void move(typed);
          }
        }}
      >
        <label htmlFor={`${id}-alias`}>{trans.__('Also call it')}</label>
        <input
          id={`${id}-alias`}
          className="jp-mod-styled"
          list={`${id}-aliases`}
          value={typed}
          placeholder={offered[0]}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={fault ? true : undefined}
          onChange={event => setTyped(event.target.value)}
        />
        <datalist id={`${id}-aliases`}>
          {offered.map(alias => (
            <option key={alias} value={alias} />
          ))}
        </datalist>
        <Button
          label={trans.__('Move here…')}
          full={trans.__('Let this alias mean %1', versionName(model))}
          reason={reason}
          onClick={() => void move(typed)}
        />
      </form>
      <Notice failure={failure} onClose={clear} />
      <div role="status" className="tt-Hint">
        {told}
      </div>
    </section>
  );
}

/** Whether somebody agrees; what changes nothing has the focus. */
async function confirmed(
  title: string,
  body: string,
  yes: string,
  no: string,
  grave = false
): Promise<boolean> {
  const accept = grave ? Dialog.warnButton({ label: yes }) : Dialog.okButton({ label: yes });
  const answer = await showDialog({
    title,
    body,
    buttons: [Dialog.cancelButton({ label: no }), accept],
    defaultButton: grave ? 0 : 1
  });
  return answer.button.accept;
}
