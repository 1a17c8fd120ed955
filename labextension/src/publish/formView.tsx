/** The form: which model, under what name, with which example and schema, to where. */

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Failure } from '../failure';
import { IHealth } from '../health';
import { ExampleVariable } from '../kernel/shapes';
import { Fields } from './fields';
import { cleanName, nameFault, outputWidth } from './form';
import { aliasFault, tagFault, USUAL_ALIASES } from './labels';
import { chosen, Event, PublishState } from './states';
import { Row, TypedRow } from './parts';
import {
  aliasFaultTold,
  aliasTold,
  destinationTold,
  lookupTold,
  modelTold,
  nameFaultTold,
  shapeTold,
  tagFaultTold,
  tensorTold
} from './words';

interface IFormProps {
  state: PublishState;
  send: (event: Event) => void;
  health: IHealth;
  trans: TranslationBundle;
}

export function FormView(props: IFormProps): JSX.Element {
  const { state, send, trans, health } = props;
  const { form, listing, lookup } = state;
  const model = chosen(state);
  if (!listing || !model) {
    return <NoModels state={state} trans={trans} />;
  }
  const fault = nameFault(form.name);
  const proper = fault ? cleanName(form.name) : '';
  return (
    <div className="tt-Publish-form">
      <Row
        id="tt-publish-model"
        label={trans.__('Model')}
        fault={model.reason && !model.training ? model.reason : undefined}
        hint={<ModelHint state={state} trans={trans} />}
      >
        <select
          id="tt-publish-model"
          className="jp-mod-styled"
          aria-describedby="tt-publish-model-hint"
          value={model.identity}
          onChange={event => send({ type: 'pick_model', identity: event.target.value })}
        >
          {listing.models.map(each => (
            <option key={each.identity} value={each.identity}>
              {modelTold(each, trans)}
            </option>
          ))}
        </select>
      </Row>
      <TypedRow
        id="tt-publish-name"
        label={trans.__('Name')}
        value={form.name}
        fault={fault ? nameFaultTold(fault, trans) : undefined}
        hint={lookup && lookupTold(lookup, trans)}
        onType={name => send({ type: 'type_name', name })}
        first
      >
        {proper && proper !== form.name && (
          <button
            type="button"
            className="tt-Publish-link"
            onClick={() => send({ type: 'type_name', name: proper })}
          >
            {trans.__('Use %1', proper)}
          </button>
        )}
      </TypedRow>
      <Row
        id="tt-publish-description"
        label={trans.__('Description')}
        hint={trans.__('What it is for, in a sentence. It may be left out.')}
      >
        <input
          id="tt-publish-description"
          type="text"
          className="jp-mod-styled"
          value={form.description}
          maxLength={1000}
          aria-describedby="tt-publish-description-hint"
          onChange={event => send({ type: 'describe', description: event.target.value })}
        />
      </Row>
      <Labels {...props} />
      <Row
        id="tt-publish-example"
        label={trans.__('Example')}
        fault={state.proposalFailure ? faultTold(state.proposalFailure) : undefined}
        hint={
          form.example === null
            ? trans.__(
                'Choose rows that the model takes: they name the inputs and check the endpoint.'
              )
            : trans.__(
                'Its first rows are sent to the endpoint and to model.predict, and compared.'
              )
        }
      >
        <select
          id="tt-publish-example"
          className="jp-mod-styled"
          aria-describedby="tt-publish-example-hint"
          value={form.example ?? ''}
          onChange={event => send({ type: 'pick_example', example: event.target.value || null })}
        >
          <option value="">{trans.__('None')}</option>
          {listing.examples.map(example => (
            <option key={example.variable} value={example.variable}>
              {exampleTold(example)}
            </option>
          ))}
        </select>
      </Row>
      <Schema {...props} />
      <div className="tt-Publish-row">
        <span>{trans.__('Destination')}</span>
        <div>
          {destinationTold(health.status, trans)}
          {health.trouble && (
            <div className="tt-Publish-fault" role="status">
              {health.trouble}
            </div>
          )}
          {state.hello?.skew && <p>{state.hello.skew}</p>}
          {health.trouble && state.hello?.has_key && state.hello.url && (
            <div className="tt-Publish-hint">
              {trans.__(
                'The kernel has a key of its own, and publishes to %1 with it.',
                state.hello.url
              )}
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

/** The alias and the tags. */
function Labels({ state, send, trans }: IFormProps): JSX.Element {
  const { form, lookup } = state;
  const alias = aliasFault(form.alias);
  const tags = tagFault(form.tags);
  const known = [...new Set([...USUAL_ALIASES, ...(lookup?.aliases ?? []).map(one => one.alias)])];
  return (
    <>
      <TypedRow
        id="tt-publish-alias"
        label={trans.__('Alias')}
        value={form.alias}
        fault={alias ? aliasFaultTold(alias, trans) : undefined}
        hint={aliasTold(form.alias, lookup, trans)}
        onType={typed => send({ type: 'label', change: { alias: typed } })}
        list="tt-publish-aliases"
      >
        <datalist id="tt-publish-aliases">
          {known.map(one => (
            <option key={one} value={one} />
          ))}
        </datalist>
      </TypedRow>
      <TypedRow
        id="tt-publish-tags"
        label={trans.__('Tags')}
        value={form.tags}
        fault={tags ? tagFaultTold(tags, trans) : undefined}
        hint={trans.__('To find it by, such as team=risk, tier=1. They may be left out.')}
        onType={typed => send({ type: 'label', change: { tags: typed } })}
      />
    </>
  );
}

function ModelHint({ state, trans }: { state: PublishState; trans: TranslationBundle }) {
  const model = chosen(state);
  const told = (tensors: { shape: (number | null)[] }[]) =>
    tensors.map(tensor => shapeTold(tensor.shape)).join(', ');
  return (
    <>
      {model && model.inputs.length > 0 && (
        <span>
          {told(model.inputs)} → {model.outputs.length > 0 ? told(model.outputs) : '?'}{' '}
        </span>
      )}
      {model?.training && <strong>{trans.__('It is being trained just now. ')}</strong>}
      {!state.listing?.complete && (
        <span>{trans.__('There are more variables than could be looked at in time.')}</span>
      )}
    </>
  );
}

function Schema({ state, send, trans }: IFormProps): JSX.Element | null {
  const { form } = state;
  const model = chosen(state);
  if (state.proposing) {
    return <p role="status">{trans.__('Working out the schema…')}</p>;
  }
  if (!model || state.proposalFailure) {
    return null;
  }
  if (!form.inputs) {
    return (
      <p className="tt-Publish-hint">
        {trans.__('The model takes tensors, so no fields are named: %1', '')}
        {model.inputs.map(tensorTold).join('; ')}
      </p>
    );
  }
  const width = outputWidth(model);
  return (
    <div className="tt-Publish-schema">
      <Fields
        key={`inputs ${form.identity} ${form.example}`}
        title={trans.__('Inputs')}
        fields={form.inputs}
        trans={trans}
        onEdit={(index, change) => send({ type: 'edit_field', side: 'inputs', index, change })}
      />
      {width !== null && (
        <label className="tt-Publish-check">
          <input
            type="checkbox"
            checked={form.outputs !== null}
            onChange={event => send({ type: 'name_outputs', named: event.target.checked })}
          />
          {width === 1 ? trans.__('Name the output') : trans.__('Name the %1 outputs', width)}
        </label>
      )}
      {form.outputs && (
        <Fields
          key={`outputs ${form.identity}`}
          title={trans.__('Outputs')}
          fields={form.outputs}
          outputs
          trans={trans}
          onEdit={(index, change) => send({ type: 'edit_field', side: 'outputs', index, change })}
        />
      )}
    </div>
  );
}

function NoModels({ state, trans }: { state: PublishState; trans: TranslationBundle }) {
  return (
    <div className="tt-Publish-empty">
      <p>
        {state.busy
          ? trans.__(
              'A cell is running. If it makes a Keras model, the model is listed here as soon as the kernel is idle.'
            )
          : trans.__('No variable of this notebook holds a Keras model yet.')}
      </p>
      <p>{trans.__('Run the cells that make or load one, such as:')}</p>
      <pre>{"import keras\nmodel = keras.models.load_model('model.keras')"}</pre>
      <p>{trans.__('Then press Publish again.')}</p>
    </div>
  );
}

function exampleTold(example: ExampleVariable): string {
  return `${example.variable}: ${example.kind} ${shapeTold(example.shape)}`;
}

function faultTold(failure: Failure): string {
  return [failure.message, ...failure.faults.map(({ message }) => message), failure.action]
    .filter((part, index, all) => part && all.indexOf(part) === index)
    .join(' ');
}
