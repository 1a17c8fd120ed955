/** The tab of trainings: which runs there are, and the curves of those chosen, live. */

import * as React from 'react';

import { Run } from '../shapes';
import { plain } from './amounts';
import { useChanged, usePanel } from './context';
import { RunPoints } from './curves';
import { Curves } from './curvesView';
import { usePages } from './older';
import { colourOf } from './palette';
import { Button, Empty, LongList, Notice } from './parts';
import { Pulse } from './pulse';
import { RunCards } from './runCards';
import { MOST_RUNS } from './state';

const ROW = 44;
const idOf = (run: Run) => run.run_id;
const active = (run: Run) => run.state === 'running';

export const LETTERS = 'ABCDEF';

export function Training(): JSX.Element {
  const { activity, health, history, pool, state, trans } = usePanel();
  useChanged(state.changed);
  useChanged(activity.changed);
  useChanged(health.changed);
  const older = usePages(history.runs);
  const runs = React.useMemo(() => runningFirst(older.entries), [older.entries]);
  const [paused, setPaused] = React.useState<Map<string, RunPoints> | null>(null);
  const [, beat] = React.useReducer((count: number) => count + 1, 0);

  const chosen = state.runIds;
  const first = runs[0];
  React.useEffect(() => {
    if (first !== undefined) {
      state.offer(first);
    }
  }, [first?.run_id]);

  const seen = state.seen;
  React.useEffect(() => {
    pool.follow(chosen, seen);
  }, [pool, chosen, seen]);
  React.useEffect(() => () => pool.follow(state.runIds, false), [pool]);
  React.useEffect(() => {
    const hurry = () => health.usable && pool.hurry();
    health.changed.connect(hurry);
    return () => {
      health.changed.disconnect(hurry);
    };
  }, [health, pool]);
  React.useEffect(() => {
    const pulse = new Pulse(beat, () => state.seen && !document.hidden);
    const request = () => pulse.request();
    pool.changed.connect(request);
    return () => {
      pool.changed.disconnect(request);
      pulse.dispose();
    };
  }, [pool, state]);

  if (activity.loaded && runs.length === 0 && chosen.length === 0) {
    return (
      <Empty title={trans.__('No trainings yet')}>
        <p>{trans.__('Give fit our callback, and its curves grow here while it runs:')}</p>
        <pre>
          {
            'import tensortrigger_lab as tt\nmodel.fit(x, y, epochs=20,\n    callbacks=[tt.callback("churn")])'
          }
        </pre>
        <p>{trans.__('Or train a published model further in the backend:')}</p>
        <pre>{'tt.train("churn", x, y, epochs=20)'}</pre>
      </Empty>
    );
  }
  const toggle = (runId: string) => {
    state.chooseRuns(
      chosen.includes(runId) ? chosen.filter(id => id !== runId) : [...chosen, runId]
    );
  };
  const pause = () =>
    setPaused(
      paused
        ? null
        : new Map(chosen.map(id => [id, pool.get(id)?.points.copy() ?? new RunPoints()] as const))
    );
  const points = (runId: string) => paused?.get(runId) ?? pool.get(runId)?.points;
  return (
    <>
      <Notice failure={older.failure} />
      <LongList
        className="tt-mod-runs"
        style={{
          height: `min(32%, ${runs.length * ROW + (older.more || older.busy ? 40 : 14)}px)`
        }}
        label={trans.__('Trainings')}
        entries={runs}
        row={ROW}
        stale={!health.usable}
        idOf={idOf}
        render={run => (
          <RunRow
            run={run}
            place={chosen.indexOf(run.run_id)}
            full={chosen.length >= MOST_RUNS}
            onToggle={() => toggle(run.run_id)}
          />
        )}
        foot={
          <div className="tt-Foot">
            {(older.more || older.busy) && (
              <Button
                label={older.busy ? trans.__('Asking…') : trans.__('Show older trainings')}
                onClick={() => older.more?.()}
              />
            )}
          </div>
        }
      />
      <div className="tt-Watched">
        <RunCards runIds={chosen} listed={runs} />
        {chosen.length > 0 ? (
          <Curves
            runIds={chosen}
            listed={runs}
            points={points}
            paused={paused !== null}
            onPause={pause}
          />
        ) : (
          <p className="tt-Hint">{trans.__('Choose one or more trainings to see their curves.')}</p>
        )}
      </div>
    </>
  );
}

function RunRow(props: {
  run: Run;
  place: number;
  full: boolean;
  onToggle: () => void;
}): JSX.Element {
  const { trans } = usePanel();
  const { run, place } = props;
  const reason =
    place < 0 && props.full
      ? trans.__('At most %1 trainings are shown together: leave one out first.', MOST_RUNS)
      : '';
  const loss = run.metrics.loss;
  const notes = [
    run.epoch !== null
      ? run.epochs
        ? trans.__('epoch %1 of %2', run.epoch, run.epochs)
        : trans.__('epoch %1', run.epoch)
      : trans.__('not begun'),
    loss === undefined ? '' : trans.__('loss %1', plain(loss)),
    run.source === 'backend' ? trans.__('backend') : trans.__('notebook')
  ];
  return (
    <label className="tt-Row" title={reason || undefined}>
      <input
        type="checkbox"
        data-main
        checked={place >= 0}
        aria-disabled={reason ? true : undefined}
        aria-label={`${run.name}, ${run.state}. ${reason}`}
        onChange={() => {
          if (!reason) {
            props.onToggle();
          }
        }}
      />
      <span className="tt-Letter" style={{ color: place >= 0 ? colourOf(place) : undefined }}>
        {place >= 0 ? LETTERS[place] : ''}
      </span>
      <span className="tt-Row-main">
        <span className="tt-Row-title">{run.name}</span>
        <span className="tt-Row-note">{notes.filter(Boolean).join(' · ')}</span>
      </span>
      <span className={`tt-State tt-mod-${run.state}`}>{run.state}</span>
    </label>
  );
}

function runningFirst(runs: readonly Run[]): Run[] {
  return [...runs.filter(active), ...runs.filter(run => !active(run))];
}
