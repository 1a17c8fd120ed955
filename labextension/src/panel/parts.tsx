/** Small pieces that several tabs are made of: notices, empty states, facts, a list that makes only what is seen. */

import * as React from 'react';

import { Failure } from '../failure';
import { usePanel } from './context';
import { visible } from './windowing';

/** What went wrong with what was just done. */
export function Notice(props: { failure: Failure | null; onClose?: () => void }): JSX.Element {
  const { trans } = usePanel();
  const { failure } = props;
  // The region stands before it is filled, so that screen readers announce what comes in.
  return (
    <div role="alert">
      {failure && (
        <div className="tt-Notice">
          <div>
            {failure.message} {failure.action}
            {failure.faults.length > 1 && (
              <ul>
                {failure.faults.slice(0, 8).map((fault, index) => (
                  <li key={index}>{fault.message}</li>
                ))}
              </ul>
            )}
          </div>
          {props.onClose && (
            <button className="tt-Link" onClick={props.onClose}>
              {trans.__('Close')}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

/** What to do where there is nothing to show. */
export function Empty(props: { title: string; children: React.ReactNode }): JSX.Element {
  return (
    <div className="tt-Empty">
      <h3>{props.title}</h3>
      {props.children}
    </div>
  );
}

/** A list of names and values. Entries without a value are left out. */
export function Facts(props: { facts: [string, React.ReactNode][] }): JSX.Element {
  const shown = props.facts.filter(
    ([, value]) => value !== null && value !== undefined && value !== ''
  );
  return (
    <dl className="tt-Facts">
      {shown.map(([name, value]) => (
        <React.Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}

interface IButtonProps {
  label: string;
  /** Read in place of the label where that needs its row to be understood. */
  full?: string;
  onClick: () => void;
  /** Why it cannot be used now; it stays focusable, so that the reason can be read. */
  reason?: string;
  kind?: 'danger';
}

export function Button(props: IButtonProps): JSX.Element {
  const { reason, kind } = props;
  return (
    <button
      type="button"
      className={`tt-Button${kind ? ` tt-mod-${kind}` : ''}`}
      aria-label={reason ? `${props.full ?? props.label}. ${reason}` : props.full}
      aria-disabled={reason ? true : undefined}
      title={reason || undefined}
      onClick={event => {
        event.stopPropagation();
        if (!reason) {
          props.onClick();
        }
      }}
    >
      {props.label}
    </button>
  );
}

interface IListProps<T> {
  label: string;
  entries: readonly T[];
  /** Pixels a row; every row has this height. */
  row: number;
  idOf: (entry: T) => string;
  render: (entry: T) => JSX.Element;
  /** What stands after the last row. */
  foot?: React.ReactNode;
  stale: boolean;
  className?: string;
  style?: React.CSSProperties;
  /** Remembers how far it was scrolled, for when it comes back after a page of details. */
  memory?: React.MutableRefObject<number>;
}

/**
 * A long list: only the rows in view exist. Arrow up and down, Home and End go between the elements that
 * rows mark with `data-main`.
 */
export function LongList<T>(props: IListProps<T>): JSX.Element {
  const { entries, row, idOf, memory } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const [place, setPlace] = React.useState({ scroll: memory?.current ?? 0, height: 600 });
  const wanted = React.useRef<number | null>(null);

  const measure = React.useCallback(() => {
    const node = box.current;
    if (node && node.clientHeight) {
      if (memory) {
        memory.current = node.scrollTop;
      }
      setPlace(old =>
        old.scroll === node.scrollTop && old.height === node.clientHeight
          ? old
          : { scroll: node.scrollTop, height: node.clientHeight }
      );
    }
  }, [memory]);
  React.useLayoutEffect(() => {
    if (box.current && memory?.current) {
      box.current.scrollTop = memory.current;
      measure();
    }
  }, []);
  React.useEffect(() => {
    const observer = new ResizeObserver(measure);
    if (box.current) {
      observer.observe(box.current);
    }
    return () => observer.disconnect();
  }, [measure]);
  React.useEffect(() => {
    if (wanted.current !== null) {
      const main = box.current?.querySelector<HTMLElement>(
        `[data-row="${wanted.current}"] [data-main]`
      );
      if (main) {
        wanted.current = null;
        main.focus({ preventScroll: true });
      }
    }
  });

  const go = (event: React.KeyboardEvent) => {
    const target = event.target as HTMLElement;
    const from = target.closest('[data-row]')?.getAttribute('data-row');
    const node = box.current;
    if (!from || !node || !target.hasAttribute('data-main')) {
      return;
    }
    const steps: { [key: string]: number } = {
      ArrowDown: Number(from) + 1,
      ArrowUp: Number(from) - 1,
      Home: 0,
      End: entries.length - 1
    };
    const to = steps[event.key];
    if (to === undefined || to < 0 || to >= entries.length) {
      return;
    }
    event.preventDefault();
    wanted.current = to;
    if (to * row < node.scrollTop) {
      node.scrollTop = to * row;
    } else if ((to + 1) * row > node.scrollTop + node.clientHeight) {
      node.scrollTop = (to + 1) * row - node.clientHeight;
    }
    setPlace({ scroll: node.scrollTop, height: node.clientHeight });
  };

  const slice = visible(entries.length, place.scroll, place.height, row);
  return (
    <div
      ref={box}
      className={`tt-LongList ${props.className ?? ''}${props.stale ? ' tt-mod-stale' : ''}`}
      style={props.style}
      onScroll={measure}
      onKeyDown={go}
    >
      <div
        role="list"
        aria-label={props.label}
        style={{ paddingTop: slice.above, paddingBottom: slice.below }}
      >
        {entries.slice(slice.start, slice.end).map((entry, index) => (
          <div
            key={idOf(entry)}
            role="listitem"
            aria-setsize={entries.length}
            aria-posinset={slice.start + index + 1}
            data-row={slice.start + index}
            style={{ height: row }}
            className="tt-LongList-row"
          >
            {props.render(entry)}
          </div>
        ))}
      </div>
      {props.foot}
    </div>
  );
}

/** How far something is. */
export function Bar(props: { label: string; share: number | null; state: string }): JSX.Element {
  const percent = props.share === null ? undefined : Math.round(props.share * 100);
  return (
    <div
      className={`tt-Bar tt-mod-${props.state}`}
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
    >
      <div style={{ width: `${percent ?? 0}%` }} />
    </div>
  );
}

/** A table that scrolls in a box of its own, by the keyboard too; its children are the rows. */
export function Table(props: {
  label: string;
  heads: string[];
  children: React.ReactNode;
}): JSX.Element {
  return (
    <div className="tt-TableBox" tabIndex={0} role="region" aria-label={props.label}>
      <table>
        <thead>
          <tr>
            {props.heads.map(head => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}
