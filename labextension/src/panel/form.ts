/** The form that tries a model: its fields from the schema, and the request from what was typed. */

import { categoryNames, VarType, varTypeOf } from '../publish/rules';
import { FieldEntry, Model, TensorSpec } from '../shapes';
import { Words } from './words';

export type FieldKind = 'integer' | 'number' | 'boolean' | 'category';

export interface Field {
  name: string;
  kind: FieldKind;
  /** Whether it may be left empty. */
  nullable: boolean;
  /** The texts that a category may be; empty where any text may be typed. */
  options: readonly string[];
}

/** Fields in a row of inputs, or JSON where the model takes tensors or very many numbers. */
export type Form =
  { kind: 'fields'; fields: Field[] } | { kind: 'json'; member: Member; example: string };

export type Member = 'input_vector' | 'inputs';

/** More inputs than this are quicker to paste than to type. */
const MOST_FIELDS = 60;
/** More numbers than this make no readable example. */
const MOST_EXAMPLE = 256;

export function formOf(model: Pick<Model, 'model_schema' | 'signature'>): Form {
  const inputs = model.model_schema?.input_schema;
  if (inputs) {
    const fields = Object.entries(inputs)
      .sort(([, a], [, b]) => a.index - b.index)
      .map(([name, entry]) => fieldOf(name, entry));
    if (fields.length <= MOST_FIELDS) {
      return { kind: 'fields', fields };
    }
    const zeros = Object.fromEntries(fields.map(field => [field.name, example(field)]));
    return { kind: 'json', member: 'input_vector', example: JSON.stringify(zeros) };
  }
  const specs = model.signature?.inputs ?? [];
  if (specs.length === 1) {
    return { kind: 'json', member: 'inputs', example: JSON.stringify(blank(specs[0])) };
  }
  const named = Object.fromEntries(specs.map(spec => [spec.name, blank(spec)]));
  return { kind: 'json', member: 'inputs', example: JSON.stringify(named, null, 1) };
}

const KINDS: { [varType in VarType]: FieldKind } = {
  INT: 'integer',
  FLOAT: 'number',
  BOOL: 'boolean',
  STRING: 'category'
};

function fieldOf(name: string, entry: FieldEntry): Field {
  const kind = KINDS[varTypeOf(entry)];
  const options =
    kind === 'boolean'
      ? ['true', 'false']
      : kind === 'category' && entry.unknown === undefined
        ? categoryNames(entry.categories)
        : [];
  return { name, kind, nullable: !!entry.nullable, options };
}

function example(field: Field): number | boolean | string {
  return field.kind === 'boolean'
    ? false
    : field.kind === 'category'
      ? (field.options[0] ?? '')
      : 0;
}

/** One row of zeros in a tensor's shape, with the batch axis; an empty list where that would be too long. */
export function blank(spec: TensorSpec): unknown {
  const [, ...inner] = spec.shape.length ? spec.shape : [1];
  const sizes = [1, ...inner.map(size => size ?? 1)];
  const total = sizes.reduce((product, size) => product * size, 1);
  if (total > MOST_EXAMPLE) {
    return [];
  }
  const zero = /string|bytes/i.test(spec.dtype) ? '' : 0;
  return sizes.reduceRight<unknown>(
    (value, size) => Array.from({ length: size }, () => value),
    zero
  );
}

/** What is wrong with a field, or the whole text of a JSON box under the name ''. */
export type Wrong = { [name: string]: string };

export type Parsed =
  { ok: true; body: { [member: string]: unknown } } | { ok: false; wrong: Wrong };

/** The request's members from the fields' texts, or what is wrong with which. */
export function bodyOfFields(
  fields: readonly Field[],
  texts: { [name: string]: string },
  trans: Words
): Parsed {
  const vector: { [name: string]: number | boolean | string | null } = {};
  const wrong: Wrong = {};
  for (const field of fields) {
    const typed = texts[field.name] ?? '';
    const text = typed.trim();
    const value = Number(text);
    if (text === '' && field.nullable) {
      vector[field.name] = null;
    } else if (text === '') {
      wrong[field.name] =
        field.options.length > 0 ? trans.__('Choose one.') : trans.__('Type a number.');
    } else if (field.kind === 'boolean') {
      vector[field.name] = text === 'true';
    } else if (field.kind === 'category') {
      vector[field.name] = typed;
    } else if (!Number.isFinite(value)) {
      wrong[field.name] = trans.__('This is no number.');
    } else if (field.kind === 'integer' && !Number.isInteger(value)) {
      wrong[field.name] = trans.__('This takes a whole number.');
    } else {
      vector[field.name] = value;
    }
  }
  return Object.keys(wrong).length
    ? { ok: false, wrong }
    : { ok: true, body: { input_vector: vector } };
}

/** The request's members from a JSON text, or why it is none. */
export function bodyOfJson(member: Member, text: string, trans: Words): Parsed {
  try {
    return { ok: true, body: { [member]: JSON.parse(text) } };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, wrong: { '': trans.__('This is no JSON: %1', reason) } };
  }
}

/**
 * A line for a terminal that asks the same. The key comes from the environment there; without `needsKey` it is sent
 * only where there is one, as a backend without keys refuses an empty one.
 */
export function curlOf(
  url: string,
  body: { [member: string]: unknown },
  needsKey: boolean
): string {
  const header = '-H "Authorization: Bearer $TENSORTRIGGER_API_KEY"';
  const key = needsKey ? header : `\${TENSORTRIGGER_API_KEY:+${header}}`;
  const data = JSON.stringify(body).replace(/'/g, `'\\''`);
  return `curl -s ${url}/tensor/run ${key} -H "Content-Type: application/json" -d '${data}'`;
}

/** An answer's outputs as rows of name and value, or null where they are no short list of numbers. */
export function outputRows(output: unknown): { name: string; value: number | null }[] | null {
  let entries: [string, unknown][];
  if (Array.isArray(output)) {
    entries = output.map((value, index) => [String(index), value]);
  } else if (output !== null && typeof output === 'object') {
    entries = Object.entries(output);
  } else {
    entries = [['output', output]];
  }
  // A model with one number answers it in a list of its own, by name or alone.
  const rows = entries.map(([name, value]) => ({
    name,
    value: Array.isArray(value) && value.length === 1 ? value[0] : value
  }));
  const simple = rows.every(row => row.value === null || typeof row.value === 'number');
  return simple && rows.length <= 100 ? (rows as { name: string; value: number | null }[]) : null;
}
