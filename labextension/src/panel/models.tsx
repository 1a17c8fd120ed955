/** The tab of models: names with their versions, a search, and one version in full. */

import * as React from 'react';

import { plain } from './amounts';
import { useAction, useChanged, usePanel } from './context';
import { Group, ModelDetails, aliasesOf, found, grouped, labelsOf, versionName } from './groups';
import { ModelPage } from './modelPage';
import { Button, Empty, LongList, Notice } from './parts';

const ROW = 44;

type Row = { kind: 'group'; group: Group } | { kind: 'version'; model: ModelDetails };

export function Models(): JSX.Element {
  const { state, catalogue } = usePanel();
  useChanged(state.changed);
  useChanged(catalogue.changed);
  // They stay while a version's page is open.
  const [search, setSearch] = React.useState('');
  const [open, setOpen] = React.useState<ReadonlySet<string>>(new Set());
  const scrolled = React.useRef(0);
  if (state.modelId !== null) {
    return <ModelPage key={state.modelId} modelId={state.modelId} />;
  }
  return (
    <List search={search} onSearch={setSearch} open={open} onOpen={setOpen} scrolled={scrolled} />
  );
}

interface IListProps {
  search: string;
  onSearch: (search: string) => void;
  /** Names whose versions are listed. */
  open: ReadonlySet<string>;
  onOpen: (open: ReadonlySet<string>) => void;
  scrolled: React.MutableRefObject<number>;
}

function List(props: IListProps): JSX.Element {
  const { search, open } = props;
  const { catalogue, health, state, trans } = usePanel();
  useChanged(health.changed);
  const older = useAction();

  const groups = React.useMemo(
    () => grouped(found(catalogue.models, search)),
    [catalogue.models, search]
  );
  const labels = React.useMemo(() => labelsOf(catalogue.models), [catalogue.models]);
  const rows: Row[] = groups.flatMap(group => [
    { kind: 'group' as const, group },
    ...(open.has(group.name) ? group.versions : []).map(model => ({
      kind: 'version' as const,
      model
    }))
  ]);
  const toggle = (name: string) => {
    const next = new Set(open);
    if (!next.delete(name)) {
      next.add(name);
    }
    props.onOpen(next);
  };

  if (catalogue.loaded && catalogue.models.length === 0) {
    return (
      <Empty title={trans.__('No models yet')}>
        <p>{trans.__('Publish a Keras model from a notebook cell:')}</p>
        <pre>{'import tensortrigger_lab as tt\ntt.publish(model, "churn")'}</pre>
        <p>
          {trans.__(
            'Or press “Publish” in the toolbar of a notebook that holds one in memory. It then answers at a URL and is listed here.'
          )}
        </p>
      </Empty>
    );
  }
  return (
    <>
      <div className="tt-Search">
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Search models')}
          aria-label={trans.__('Search models')}
          value={search}
          onChange={event => props.onSearch(event.target.value)}
        />
        {labels.length > 0 && (
          <select
            className="jp-mod-styled"
            aria-label={trans.__('Alias or tag')}
            value={labels.includes(search) ? search : ''}
            onChange={event => props.onSearch(event.target.value)}
          >
            <option value="">{trans.__('all')}</option>
            {labels.map(label => (
              <option key={label} value={label}>
                {label}
              </option>
            ))}
          </select>
        )}
      </div>
      <Notice failure={older.failure} onClose={older.clear} />
      {!catalogue.loaded && health.usable && !catalogue.failure && (
        <p className="tt-Hint">{trans.__('Asking for the models…')}</p>
      )}
      <LongList
        label={trans.__('Models')}
        entries={rows}
        row={ROW}
        memory={props.scrolled}
        stale={!health.usable}
        idOf={row => (row.kind === 'group' ? `name ${row.group.name}` : row.model.model_id)}
        render={row =>
          row.kind === 'group' ? (
            <GroupRow
              group={row.group}
              open={open.has(row.group.name)}
              onToggle={() => toggle(row.group.name)}
              onShow={id => state.showModel(id)}
            />
          ) : (
            <VersionRow model={row.model} onShow={id => state.showModel(id)} />
          )
        }
        foot={
          <div className="tt-Foot">
            {search && groups.length === 0 && (
              <p className="tt-Hint">{trans.__('No loaded model matches “%1”.', search)}</p>
            )}
            {catalogue.more && (
              <Button
                label={older.busy ? trans.__('Asking…') : trans.__('Show older versions')}
                onClick={() => void older.run(() => catalogue.older())}
              />
            )}
          </div>
        }
      />
    </>
  );
}

function GroupRow(props: {
  group: Group;
  open: boolean;
  onToggle: () => void;
  onShow: (id: string) => void;
}): JSX.Element {
  const { trans } = usePanel();
  const { group, open } = props;
  const newest = group.versions[0];
  return (
    <div className="tt-Row">
      <button
        className="tt-Row-main"
        data-main
        onClick={() => props.onShow(newest.model_id)}
        title={newest.model_description || undefined}
      >
        <span className="tt-Row-title">
          {group.name}
          {group.versions.flatMap(model =>
            aliasesOf(model).map(alias => (
              <Chip
                key={alias}
                label={group.versions.length > 1 ? `@${alias} ${model.version}` : `@${alias}`}
              />
            ))
          )}
        </span>
        <span className="tt-Row-note">
          {noteOf(newest, trans.__('version %1', newest.version ?? '-'))}
        </span>
      </button>
      {group.versions.length > 1 && (
        <button
          className="tt-Link"
          aria-expanded={open}
          aria-label={trans.__('%1 versions of %2', group.versions.length, group.name)}
          onClick={props.onToggle}
        >
          {open ? '▾' : '▸'} {group.versions.length}
        </button>
      )}
    </div>
  );
}

function VersionRow(props: { model: ModelDetails; onShow: (id: string) => void }): JSX.Element {
  const { trans } = usePanel();
  const { model } = props;
  return (
    <div className="tt-Row tt-mod-inner">
      <button className="tt-Row-main" data-main onClick={() => props.onShow(model.model_id)}>
        <span className="tt-Row-title">
          {versionName(model)}
          {aliasesOf(model).map(alias => (
            <Chip key={alias} label={`@${alias}`} />
          ))}
        </span>
        <span className="tt-Row-note">{noteOf(model, trans.__('published'))}</span>
      </button>
    </div>
  );
}

function Chip(props: { label: string }): JSX.Element {
  return <span className="tt-Chip">{props.label}</span>;
}

function noteOf(model: ModelDetails, lead: string): string {
  const parts = [lead];
  if (model.state !== 'ready') {
    parts.push(model.state);
  } else if (model.engine) {
    parts.push(model.engine);
  }
  if (typeof model.max_deviation === 'number') {
    parts.push(`±${plain(model.max_deviation)}`);
  }
  return parts.join(' · ');
}
