/** Model versions as the list shows them: by name, newest first, found by any word in them. */

import { Fault } from '../failure';
import { Model, ReceiptNote } from '../shapes';
import { plain } from './amounts';
import { Words } from './words';

/** What the backend tells of a model beyond the members that every plugin needs. */
export interface ModelDetails extends Model {
  engine_reason?: string | null;
  max_deviation?: number | null;
  format?: string | null;
  parameters?: number | null;
  sha256?: string | null;
  versions?: { [name: string]: string };
  stages?: { [name: string]: number };
  report?: { faults?: Fault[] } | null;
}

export interface Group {
  name: string;
  title: string;
  versions: ModelDetails[];
}

/** Versions of each name, highest first; names by their newest version. */
export function grouped(models: readonly ModelDetails[]): Group[] {
  const groups = new Map<string, Group>();
  for (const model of models) {
    const group = groups.get(model.name);
    if (group) {
      group.versions.push(model);
    } else {
      groups.set(model.name, { name: model.name, title: model.model_name, versions: [model] });
    }
  }
  const all = [...groups.values()];
  for (const group of all) {
    group.versions.sort((a, b) => (b.version ?? Infinity) - (a.version ?? Infinity) || 0);
    group.title = group.versions[0].model_name;
  }
  return all;
}

/** The models that hold every word of the search, in name, title, description, engine, state, alias, tag or id. */
export function found(models: readonly ModelDetails[], search: string): ModelDetails[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) {
    return models.slice();
  }
  return models.filter(model => {
    const text = [
      model.name,
      model.model_name,
      model.model_description,
      model.engine ?? '',
      model.state,
      `${model.name}/${model.version ?? ''}`,
      ...aliasesOf(model).map(alias => `${model.name}@${alias}`),
      ...Object.entries(model.tags ?? {}).flatMap(([key, value]) => [
        `${key}=${value}`,
        `${key}:${value}`
      ]),
      model.author ?? '',
      model.notebook ?? '',
      model.model_id
    ]
      .join('\n')
      .toLowerCase();
    return words.every(word => text.includes(word));
  });
}

/** The names that point at a version. */
export function aliasesOf(model: Pick<Model, 'aliases'>): readonly string[] {
  return model.aliases ?? [];
}

/** Every alias and tag there is, as the search takes them. */
export function labelsOf(models: readonly ModelDetails[]): string[] {
  const labels = models.flatMap(model => [
    ...aliasesOf(model).map(alias => `@${alias}`),
    ...Object.entries(model.tags ?? {}).map(([key, value]) => `${key}=${value}`)
  ]);
  return [...new Set(labels)].sort().slice(0, 100);
}

/** `key=value` of each tag. */
export function tagsTold(model: Pick<Model, 'tags'>): string {
  return Object.entries(model.tags ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

/** A receipt in one sentence. */
export function receiptTold(receipt: ReceiptNote, trans: Words): string {
  const deviation = receipt.max_deviation === null ? '?' : plain(receipt.max_deviation);
  return receipt.source === 'client'
    ? trans.__('reproduces the notebook’s own outputs, largest difference %1', deviation)
    : trans.__('reproduces the original’s outputs, largest difference %1', deviation);
}

/** What was mended in the file, and where. */
export function repairsTold(model: Pick<Model, 'repairs'> | null | undefined): string[] {
  return (model?.repairs ?? []).map(({ path, message }) =>
    path ? `${path}: ${message}` : message
  );
}

/** How people and requests name one version. */
export function versionName(model: { name: string; version: number | null }): string {
  return model.version === null ? model.name : `${model.name}/${model.version}`;
}

/** A list with newer answers laid over older ones, each id once: the first page replaced, later pages kept. */
export function merged<T>(fresh: readonly T[], older: readonly T[], id: (entry: T) => string): T[] {
  const seen = new Set(fresh.map(id));
  return [...fresh, ...older.filter(entry => !seen.has(id(entry)))];
}
