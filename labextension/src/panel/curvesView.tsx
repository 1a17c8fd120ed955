/** The charts of the chosen runs, one a metric, and how they are looked at. */

import * as React from 'react';

import { Run } from '../shapes';
import { counted } from './amounts';
import { Line, Look } from './chart';
import { ChartBox } from './chartBox';
import { usePanel } from './context';
import { Axis, BATCHES, RunPoints, families, family, isValidation } from './curves';
import { decimate } from './decimate';
import { Button } from './parts';
import { smooth } from './smoothing';
import { sentence } from './summary';
import { LETTERS } from './training';

/** Points of a curve that are drawn; more than the pixels of a side panel show nothing more. */
const DRAWN = 900;

interface ICurvesProps {
  runIds: readonly string[];
  listed: readonly Run[];
  points: (runId: string) => RunPoints | undefined;
  paused: boolean;
  onPause: () => void;
}

export function Curves(props: ICurvesProps): JSX.Element {
  const { pool, trans } = usePanel();
  const [axis, setAxis] = React.useState<Axis>('step');
  const [weight, setWeight] = React.useState(0);
  const [log, setLog] = React.useState(false);
  const [table, setTable] = React.useState(false);
  const id = React.useId();

  const names = new Set<string>();
  let count = 0;
  for (const runId of props.runIds) {
    props.points(runId)?.names.forEach(name => names.add(name));
    count += props.points(runId)?.count ?? 0;
  }
  const shown = families(names);
  const long = props.runIds.filter(runId => {
    const points = props.points(runId);
    return points !== undefined && (points.skipped > 0 || points.cut);
  });
  const live = props.runIds.reduce((sum, runId) => sum + (pool.get(runId)?.points.count ?? 0), 0);
  const look = React.useMemo<Look>(() => ({ axis, log }), [axis, log]);
  const nameOf = (runId: string) =>
    pool.get(runId)?.run?.name ?? props.listed.find(run => run.run_id === runId)?.name ?? '';

  // New lines only where something is new, so that a chart is not drawn for nothing.
  const key = [props.runIds.join(), count, axis, weight, [...names].join()].join('|');
  const charts = React.useMemo(
    () =>
      shown.map(metric => {
        const lines: Line[] = [];
        const words: string[] = [];
        props.runIds.forEach((runId, place) => {
          const points = props.points(runId);
          for (const name of points?.names.filter(one => family(one) === metric) ?? []) {
            const raw = (points as RunPoints).curve(name, axis);
            if (raw.x.length === 0) {
              continue;
            }
            const label =
              (props.runIds.length > 1 ? `${LETTERS[place]} ` : '') +
              (isValidation(name) ? trans.__('validation') : trans.__('training'));
            lines.push({
              key: `${runId} ${name}`,
              letter: LETTERS[place],
              colour: place,
              validation: isValidation(name),
              label,
              curve: decimate({ x: raw.x, y: smooth(raw.y, weight) }, DRAWN)
            });
            words.push(sentence(`${label} (${nameOf(runId)})`, raw, axis, trans));
          }
        });
        lines.sort((a, b) => a.colour - b.colour || Number(a.validation) - Number(b.validation));
        return { metric, lines, summary: `${metric}. ${words.join(' ')}` };
      }),
    [key]
  );

  return (
    <>
      <div className="tt-Controls" role="group" aria-label={trans.__('How the curves are drawn')}>
        <span role="radiogroup" aria-label={trans.__('Horizontal axis')}>
          {(['step', 'epoch'] as const).map(one => (
            <label key={one}>
              <input
                type="radio"
                name={`${id}-axis`}
                checked={axis === one}
                onChange={() => setAxis(one)}
              />
              {one === 'step' ? trans.__('Step') : trans.__('Epoch')}
            </label>
          ))}
        </span>
        <label>
          <input type="checkbox" checked={log} onChange={event => setLog(event.target.checked)} />
          {trans.__('Log scale')}
        </label>
        <label>
          <input
            type="checkbox"
            checked={table}
            onChange={event => setTable(event.target.checked)}
          />
          {trans.__('As table')}
        </label>
        <label>
          {trans.__('Smoothing')}
          <input
            type="range"
            min={0}
            max={0.99}
            step={0.01}
            value={weight}
            aria-valuetext={weight === 0 ? trans.__('none') : String(weight)}
            onChange={event => setWeight(Number(event.target.value))}
          />
        </label>
        <Button
          label={props.paused ? trans.__('Resume') : trans.__('Pause')}
          full={props.paused ? trans.__('Resume drawing') : trans.__('Pause drawing')}
          onClick={props.onPause}
        />
        {props.paused && (
          <span className="tt-Hint" role="status">
            {trans.__('Paused; %1 newer points wait.', live - count)}
          </span>
        )}
      </div>
      {[...names].some(isValidation) && (
        <p className="tt-Hint">{trans.__('Solid: training. Dashed: validation.')}</p>
      )}
      {long.length > 0 && (
        <p className="tt-Hint">
          {trans.__(
            'Very long: of %1 every epoch is drawn, and of its steps about the latest %2.',
            long.map(nameOf).join(', '),
            counted(BATCHES)
          )}
        </p>
      )}
      {charts.length === 0 && <p className="tt-Hint">{trans.__('No points yet.')}</p>}
      {charts.map(chart => (
        <ChartBox
          key={chart.metric}
          title={chart.metric}
          summary={chart.summary}
          lines={chart.lines}
          look={look}
          table={table}
        />
      ))}
    </>
  );
}
