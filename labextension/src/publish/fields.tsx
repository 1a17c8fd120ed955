/** The schema as it will be declared: names and types to edit, beside the example's first row. */

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Field, fieldFaults } from './form';
import { rulesFor, VAR_TYPES, VarType } from './rules';
import { RulesView } from './rulesView';
import { fieldFaultTold, rulesTold } from './words';

/** Rows that are made at first, and with each further press: a picture has thousands of inputs. */
const PAGE = 40;

interface IFieldsProps {
  title: string;
  fields: readonly Field[];
  trans: TranslationBundle;
  onEdit: (index: number, change: Partial<Field>) => void;
  /** The types to choose from; outputs are numbers always, and have no rules. */
  outputs?: boolean;
  children?: React.ReactNode;
}

export function Fields(props: IFieldsProps): JSX.Element {
  const { fields, trans, onEdit, title } = props;
  const [shown, setShown] = React.useState(PAGE);
  const faults = fieldFaults(fields);
  const sampled = fields.some(field => field.sample !== undefined);
  const rest = fields.length - shown;
  const types = props.outputs ? VAR_TYPES.slice(0, 2) : VAR_TYPES;
  const [opened, setOpened] = React.useState<ReadonlySet<number>>(new Set());
  const open = (index: number, isOpen: boolean) => {
    const next = new Set(opened);
    if (isOpen) {
      next.add(index);
    } else {
      next.delete(index);
    }
    setOpened(next);
  };
  return (
    <fieldset className="tt-Publish-fields">
      <legend>{title}</legend>
      {props.children}
      <table>
        <thead>
          <tr>
            <th scope="col">{trans.__('Name')}</th>
            <th scope="col">{trans.__('Type')}</th>
            {sampled && <th scope="col">{trans.__('Example row')}</th>}
            {!props.outputs && <th scope="col">{trans.__('Rules')}</th>}
          </tr>
        </thead>
        <tbody>
          {fields.slice(0, shown).map((field, index) => {
            const fault = faults.get(index);
            const told = fault && fieldFaultTold(fault, trans);
            return (
              <React.Fragment key={index}>
                <tr>
                  <td>
                    <input
                      type="text"
                      className="jp-mod-styled"
                      value={field.name}
                      spellCheck={false}
                      aria-label={trans.__('Name of field %1', index + 1)}
                      aria-invalid={fault ? true : undefined}
                      title={told}
                      onChange={event => onEdit(index, { name: event.target.value })}
                    />
                    {told && <div className="tt-Publish-fault">{told}</div>}
                  </td>
                  <td>
                    <select
                      className="jp-mod-styled"
                      value={field.varType}
                      aria-label={trans.__('Type of %1', field.name)}
                      onChange={event => {
                        const varType = event.target.value as VarType;
                        onEdit(index, { varType, rules: rulesFor(varType, field.rules) });
                        open(index, varType === 'STRING' || opened.has(index));
                      }}
                    >
                      {types.map(type => (
                        <option key={type} value={type}>
                          {type}
                        </option>
                      ))}
                    </select>
                  </td>
                  {sampled && <td className="tt-Publish-sample">{sampleTold(field.sample)}</td>}
                  {!props.outputs && (
                    <td>
                      <button
                        type="button"
                        className="tt-Publish-link"
                        aria-expanded={opened.has(index)}
                        aria-label={trans.__('Rules of %1', field.name)}
                        onClick={() => open(index, !opened.has(index))}
                      >
                        {rulesTold(field, trans)}
                      </button>
                    </td>
                  )}
                </tr>
                {opened.has(index) && (
                  <tr>
                    <td colSpan={sampled ? 4 : 3}>
                      <RulesView
                        key={field.varType}
                        field={field}
                        trans={trans}
                        onEdit={rules => onEdit(index, { rules })}
                      />
                    </td>
                  </tr>
                )}
              </React.Fragment>
            );
          })}
        </tbody>
      </table>
      {rest > 0 && (
        <button
          type="button"
          className="tt-Publish-link"
          onClick={() => setShown(shown + 5 * PAGE)}
        >
          {trans.__('Show more (%1 of %2 are shown)', shown, fields.length)}
        </button>
      )}
    </fieldset>
  );
}

function sampleTold(value: unknown): string {
  if (value === undefined) {
    return '';
  }
  return typeof value === 'number' && !Number.isInteger(value)
    ? String(Number(value.toPrecision(6)))
    : String(value);
}
