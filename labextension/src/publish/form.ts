/** What is filled in before publishing: how it begins, how it is checked, and the request it becomes. */

import { ExampleVariable, KernelModel, Proposal, PublishRequest, When } from '../kernel/shapes';
import { FieldEntry, ModelSchema } from '../shapes';
import { tagsTyped } from './labels';
import { ruleFault, RuleFault, Rules, rulesOf, VarType, varTypeOf } from './rules';

/** One named number of a vector; `sample` is the example row's, for the eye only. */
export interface Field {
  name: string;
  varType: VarType;
  rules: Rules;
  sample?: unknown;
}

export interface Form {
  identity: string | null;
  name: string;
  /** Whether somebody typed the name: it is then no longer made from the model's. */
  nameTyped: boolean;
  description: string;
  /** An alias that shall mean the version once it is ready; empty for none. */
  alias: string;
  /** As they are typed: `key=value`, with commas between. */
  tags: string;
  example: string | null;
  /** Null for a model that takes tensors, and before the kernel has proposed anything. */
  inputs: Field[] | null;
  /** Null where the outputs come back as a list without names. */
  outputs: Field[] | null;
}

export const EMPTY: Form = {
  identity: null,
  name: '',
  nameTyped: false,
  description: '',
  alias: '',
  tags: '',
  example: null,
  inputs: null,
  outputs: null
};

export type NameFault = 'empty' | 'characters' | 'start' | 'long';
export type FieldFault = 'empty' | 'twice' | RuleFault;

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** What is wrong with a model's name; null where nothing is. */
export function nameFault(name: string): NameFault | null {
  if (NAME.test(name)) {
    return null;
  }
  if (name === '') {
    return 'empty';
  }
  if (!/^[a-z0-9._-]*$/.test(name)) {
    return 'characters';
  }
  return name.length > 63 ? 'long' : 'start';
}

/** A name that can stand in a URL, made of any text; empty where nothing of it can. */
export function cleanName(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[-._]+/, '')
    .slice(0, 63)
    .replace(/[-._]+$/, '');
}

/** What is wrong with the fields, by their index. */
export function fieldFaults(fields: readonly Field[] | null): Map<number, FieldFault> {
  const faults = new Map<number, FieldFault>();
  const seen = new Set<string>();
  (fields ?? []).forEach((field, index) => {
    if (field.name.trim() === '') {
      faults.set(index, 'empty');
    } else if (seen.has(field.name)) {
      faults.set(index, 'twice');
    } else {
      const fault = ruleFault(field.varType, field.rules);
      if (fault) {
        faults.set(index, fault);
      }
    }
    seen.add(field.name);
  });
  return faults;
}

/** The form with another model in it; the name follows unless somebody typed one. */
export function withModel(form: Form, model: KernelModel | null): Form {
  return {
    ...form,
    identity: model?.identity ?? null,
    name: form.nameTyped ? form.name : (model?.suggested_name ?? ''),
    inputs: null,
    outputs: null
  };
}

/** The form with what the kernel proposes. */
export function withProposal(form: Form, proposal: Proposal): Form {
  const row = proposal.example_row ?? {};
  return {
    ...form,
    inputs: fieldsOf(proposal.schema?.input_schema, row),
    outputs: fieldsOf(proposal.schema?.output_schema, {})
  };
}

function fieldsOf(
  side: { [name: string]: FieldEntry } | null | undefined,
  row: { [name: string]: unknown }
): Field[] | null {
  if (!side || Object.keys(side).length === 0) {
    return null;
  }
  return Object.entries(side)
    .sort(([, a], [, b]) => a.index - b.index)
    .map(([name, entry]) => ({
      name,
      varType: varTypeOf(entry),
      rules: rulesOf(entry),
      ...(name in row ? { sample: row[name] } : {})
    }));
}

/** How many numbers the model answers a vector with; null where it has no single output vector. */
export function outputWidth(model: KernelModel | null): number | null {
  const shape = model?.outputs.length === 1 ? model.outputs[0].shape : [];
  const width = shape.length === 2 ? shape[1] : null;
  return width !== null && width > 0 && width <= 1000 ? width : null;
}

/** Names to begin with, for outputs that have none. */
export function namedOutputs(width: number): Field[] {
  return Array.from({ length: width }, (_, index) => ({
    name: width === 1 ? 'output' : `output_${index}`,
    varType: 'FLOAT' as const,
    rules: {}
  }));
}

/** The variable that an example is most likely meant to be: the newest table of the model's width. */
export function likelyExample(
  model: KernelModel | null,
  examples: readonly ExampleVariable[]
): string | null {
  const shape = model?.inputs.length === 1 ? model.inputs[0].shape : null;
  if (!shape) {
    return null;
  }
  const fits = examples.filter(
    ({ shape: own }) =>
      own.length === shape.length &&
      own[0] > 0 &&
      own.every((size, axis) => axis === 0 || shape[axis] === null || shape[axis] === size)
  );
  const named = fits.find(example => example.kind === 'DataFrame') ?? fits[0];
  return named?.variable ?? null;
}

function side(fields: readonly Field[]): { [name: string]: FieldEntry } {
  return Object.fromEntries(
    fields.map((field, index) => [field.name, { ...field.rules, var_type: field.varType, index }])
  );
}

/** The schema to declare; undefined for a model that takes tensors. */
export function schemaOf(form: Form): ModelSchema | undefined {
  if (!form.inputs) {
    return undefined;
  }
  return {
    input_schema: side(form.inputs),
    ...(form.outputs ? { output_schema: side(form.outputs) } : {})
  };
}

/** What the kernel is asked to publish. */
export function requestOf(
  form: Form,
  model: KernelModel,
  session: string,
  when: When,
  ticket: { ticket: string; url: string } | null
): PublishRequest {
  const schema = schemaOf(form);
  const description = form.description.trim();
  const tags = tagsTyped(form.tags);
  return {
    session,
    variable: model.variable,
    identity: model.identity,
    name: form.name,
    when,
    ...(description ? { description } : {}),
    ...(schema ? { schema } : {}),
    ...(form.alias ? { alias: form.alias } : {}),
    ...(typeof tags === 'object' && Object.keys(tags).length > 0 ? { tags } : {}),
    ...(form.example !== null ? { example: form.example } : {}),
    ...(ticket ?? {})
  };
}
