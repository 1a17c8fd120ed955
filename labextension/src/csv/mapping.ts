/** Which column of a CSV feeds which field of a model: what matches by itself, and what is still missing. */

import { Model } from '../shapes';

/** Field to column; '' where none is chosen. */
export type Mapping = { [field: string]: string };

/** A model's fields in the order of its vector; null for a model that takes no named numbers. */
export function fieldsOf(model: Pick<Model, 'model_schema'>): string[] | null {
  const inputs = model.model_schema?.input_schema;
  if (!inputs) {
    return null;
  }
  return Object.entries(inputs)
    .sort(([, a], [, b]) => a.index - b.index)
    .map(([name]) => name);
}

/** The mapping that suggests itself: the same name, else the same but for case, spaces and marks. */
export function suggested(fields: readonly string[], columns: readonly string[]): Mapping {
  const mapping: Mapping = {};
  const taken = new Set<string>();
  const twice = doubled(columns);
  for (const field of fields) {
    mapping[field] = '';
    if (columns.includes(field) && !twice.includes(field)) {
      mapping[field] = field;
      taken.add(field);
    }
  }
  for (const field of fields) {
    if (!mapping[field]) {
      const alike = columns.filter(column => !taken.has(column) && bare(column) === bare(field));
      // Two that are alike are for a person to choose from.
      if (alike.length === 1) {
        mapping[field] = alike[0];
        taken.add(alike[0]);
      }
    }
  }
  return mapping;
}

/** Which model fits a file best: the newest whose every field has a column, else the newest that takes columns. */
export function fitting<T extends Pick<Model, 'model_schema'>>(
  models: readonly T[],
  columns: readonly string[]
): T | undefined {
  const takers = models.filter(model => fieldsOf(model) !== null);
  const whole = takers.find(model => {
    const fields = fieldsOf(model) ?? [];
    return missing(fields, suggested(fields, columns)).length === 0;
  });
  return whole ?? takers[0] ?? models[0];
}

/** What a file can be scored with: each version by its number, then by what means it. */
export function offered<T extends Pick<Model, 'model_id' | 'name' | 'version' | 'aliases'>>(
  models: readonly T[]
): { key: string; reference: string; model: T }[] {
  return models.flatMap(model => [
    { key: model.model_id, reference: `${model.name}/${model.version ?? ''}`, model },
    ...(model.aliases ?? []).map(alias => {
      const reference = `${model.name}@${alias}`;
      return { key: reference, reference, model };
    })
  ]);
}

/** Fields that have no column. */
export function missing(fields: readonly string[], mapping: Mapping): string[] {
  return fields.filter(field => !mapping[field]);
}

/** Columns that are chosen for more than one field, which the server refuses. */
export function shared(fields: readonly string[], mapping: Mapping): string[] {
  const uses = new Map<string, number>();
  for (const field of fields) {
    if (mapping[field]) {
      uses.set(mapping[field], (uses.get(mapping[field]) ?? 0) + 1);
    }
  }
  return [...uses].filter(([, count]) => count > 1).map(([column]) => column);
}

/** Names that stand more than once in the header: which one is meant cannot be told. */
export function doubled(columns: readonly string[]): string[] {
  return [...new Set(columns.filter((column, index) => columns.indexOf(column) !== index))];
}

function bare(name: string): string {
  const marked = name.toLowerCase().normalize('NFKC').trim();
  const plain = marked.replace(/[\s_.-]+/g, '');
  return plain || marked;
}
