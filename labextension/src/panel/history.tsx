/** What became of an alias: which version it meant, since when, and by whom. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { AliasMove } from '../shapes';
import { Aliasing } from './aliasing';
import { moment } from './amounts';
import { useAction, usePanel } from './context';
import { Notice } from './parts';

export function AliasHistory(props: {
  aliasing: Aliasing;
  name: string;
  alias: string;
}): JSX.Element {
  const { trans } = usePanel();
  const { aliasing, name, alias } = props;
  const { failure, run, clear } = useAction();
  const [moves, setMoves] = React.useState<readonly AliasMove[] | null>(null);
  React.useEffect(() => {
    void run(async () => setMoves(await aliasing.history(name, alias)));
  }, [name, alias]);
  return (
    <div className="tt-History">
      <Notice failure={failure} onClose={clear} />
      {moves && (
        <table>
          <caption>{trans.__('History of %1', `${name}@${alias}`)}</caption>
          <thead>
            <tr>
              <th scope="col">{trans.__('What')}</th>
              <th scope="col">{trans.__('When')}</th>
              <th scope="col">{trans.__('By')}</th>
            </tr>
          </thead>
          <tbody>
            {moves.map((move, index) => (
              <tr key={index}>
                <td>{moveTold(move, trans)}</td>
                <td>{moment(move.moved)}</td>
                <td>{move.moved_by}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

/** One change in words. */
export function moveTold(move: AliasMove, trans: Pick<TranslationBundle, '__'>): string {
  const from = move.previous_version;
  const to = move.version;
  if (to === null) {
    return trans.__('removed from %1', from ?? '-');
  }
  switch (move.action) {
    case 'published':
      return trans.__('published as %1', to);
    case 'rolled_back':
      return trans.__('rolled back from %1 to %2', from ?? '-', to);
    default:
      return from === null
        ? trans.__('given to %1', to)
        : trans.__('moved from %1 to %2', from, to);
  }
}
