/** The rules of one field, to edit: its range or categories, and what stands in for a missing value. */

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Field } from './form';
import { categoriesTyped, categoryNames, numberTyped, Rules, stated } from './rules';

interface IRulesProps {
  field: Field;
  trans: TranslationBundle;
  onEdit: (rules: Rules) => void;
}

export function RulesView(props: IRulesProps): JSX.Element {
  const { field, trans } = props;
  const { rules, varType, name } = field;
  const id = React.useId();
  const names = categoryNames(rules.categories);
  const [categories, setCategories] = React.useState(names.join(', '));
  const edit = (change: Rules) => props.onEdit(stated({ ...rules, ...change }));
  const fills =
    varType === 'STRING'
      ? names.map(one => [one, one] as const)
      : [['true', trans.__('true')] as const, ['false', trans.__('false')] as const];
  const fillOf = (text: string): Rules['fill'] =>
    varType === 'STRING' ? text : varType === 'BOOL' ? text === 'true' : numberTyped(text);
  return (
    <div className="tt-Publish-rules">
      {varType === 'STRING' && (
        <label htmlFor={`${id}-categories`}>
          {trans.__('Categories, in the order of their numbers')}
          <input
            id={`${id}-categories`}
            type="text"
            className="jp-mod-styled"
            placeholder={trans.__('red, green, blue')}
            value={categories}
            onChange={event => {
              setCategories(event.target.value);
              edit({ categories: categoriesTyped(event.target.value, rules.categories) });
            }}
          />
        </label>
      )}
      {(varType === 'INT' || varType === 'FLOAT') && (
        <>
          <Limit
            label={trans.__('At least')}
            full={trans.__('Least value of %1', name)}
            value={rules.min}
            onEdit={min => edit({ min })}
          />
          <Limit
            label={trans.__('At most')}
            full={trans.__('Largest value of %1', name)}
            value={rules.max}
            onEdit={max => edit({ max })}
          />
        </>
      )}
      <label className="tt-Publish-check">
        <input
          type="checkbox"
          checked={!!rules.nullable}
          onChange={event =>
            edit({
              nullable: event.target.checked,
              // `false` is a fill as good as any, so it is not left to `stated`.
              fill: undefined
            })
          }
        />
        {trans.__('May be missing')}
      </label>
      {rules.nullable &&
        (varType === 'STRING' || varType === 'BOOL' ? (
          <label>
            {trans.__('then it is')}
            <select
              className="jp-mod-styled"
              value={rules.fill === undefined ? '' : String(rules.fill)}
              onChange={event =>
                props.onEdit({ ...stated(rules), fill: fillOf(event.target.value) })
              }
            >
              <option value="" disabled>
                {trans.__('choose')}
              </option>
              {fills.map(([value, told]) => (
                <option key={value} value={value}>
                  {told}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <Limit
            label={trans.__('then it is')}
            full={trans.__('What stands for a missing %1', name)}
            value={typeof rules.fill === 'number' ? rules.fill : undefined}
            onEdit={fill => edit({ fill })}
          />
        ))}
    </div>
  );
}

/** A number that may be left out. */
function Limit(props: {
  label: string;
  full: string;
  value: number | undefined;
  onEdit: (value: number | undefined) => void;
}): JSX.Element {
  return (
    <label>
      {props.label}
      <input
        type="number"
        step="any"
        className="jp-mod-styled"
        aria-label={props.full}
        defaultValue={props.value}
        onChange={event => props.onEdit(numberTyped(event.target.value))}
      />
    </label>
  );
}
