/** A chart that can be read without seeing it: a summary, a cursor for the arrow keys, a table on demand. */

import * as React from 'react';

import { plain } from './amounts';
import { Chart, Line, Look } from './chart';
import { usePanel } from './context';
import { align } from './curves';
import { reading } from './summary';

interface IChartProps {
  title: string;
  summary: string;
  lines: readonly Line[];
  look: Look;
  table: boolean;
}

/** Rows of a table beyond which it says that it was cut. */
const MOST_ROWS = 200;

export function ChartBox(props: IChartProps): JSX.Element {
  const { themed, trans } = usePanel();
  const { lines, look } = props;
  const host = React.useRef<HTMLDivElement>(null);
  const chart = React.useRef<Chart | null>(null);
  const [at, setAt] = React.useState<number | null>(null);
  const [keyed, setKeyed] = React.useState(false);

  React.useEffect(() => {
    const made = new Chart(host.current as HTMLDivElement, setAt);
    chart.current = made;
    const restyle = () => made.restyle();
    themed.connect(restyle);
    return () => {
      themed.disconnect(restyle);
      made.dispose();
      chart.current = null;
    };
  }, [themed]);
  React.useEffect(() => {
    chart.current?.update(lines, look);
  }, [lines, look]);

  const go = (event: React.KeyboardEvent) => {
    const far = event.shiftKey ? 10 : 1;
    const steps: { [key: string]: number } = {
      ArrowRight: far,
      ArrowLeft: -far,
      Home: -Infinity,
      End: Infinity
    };
    if (event.key === 'Escape') {
      chart.current?.leave();
    } else if (event.key in steps) {
      event.preventDefault();
      setKeyed(true);
      chart.current?.step(steps[event.key]);
    }
  };

  const unit = look.axis === 'step' ? trans.__('step') : trans.__('epoch');
  const values = lines
    .map(line => ({ line, value: at === null ? undefined : reading(line.curve, at) }))
    .filter(({ value }) => value !== undefined)
    .map(({ line, value }) => `${line.label} ${plain(value)}`);
  const read = at === null ? '' : `${unit} ${at}: ${values.join(', ')}`;
  return (
    <div className="tt-Chart">
      <h4>{props.title}</h4>
      <div
        ref={host}
        role="figure"
        tabIndex={0}
        aria-label={`${props.summary} ${trans.__('Arrow keys read single points.')}`}
        onKeyDown={go}
        onPointerMove={() => keyed && setKeyed(false)}
        onBlur={() => chart.current?.leave()}
      />
      <div className="tt-Reading" aria-hidden="true">
        {read}
      </div>
      {/* Only what the keyboard asked for is said aloud. */}
      <div className="tt-Unseen" aria-live="polite">
        {keyed ? read : ''}
      </div>
      {props.table && <Table title={props.title} lines={lines} unit={unit} />}
    </div>
  );
}

function Table(props: { title: string; lines: readonly Line[]; unit: string }): JSX.Element {
  const { trans } = usePanel();
  const { lines } = props;
  const [x, ...columns] = align(lines.map(line => line.curve));
  const from = Math.max(0, x.length - MOST_ROWS);
  return (
    <div className="tt-TableBox" tabIndex={0} role="region" aria-label={props.title}>
      <table>
        <caption>
          {from > 0
            ? trans.__('%1: the latest %2 of %3 points', props.title, MOST_ROWS, x.length)
            : props.title}
        </caption>
        <thead>
          <tr>
            <th scope="col">{props.unit}</th>
            {lines.map(line => (
              <th scope="col" key={line.key}>
                {line.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {x.slice(from).map((place, index) => (
            <tr key={place}>
              <th scope="row">{place}</th>
              {columns.map((column, number) => (
                <td key={lines[number].key}>
                  {column[from + index] === undefined ? '' : plain(column[from + index])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
