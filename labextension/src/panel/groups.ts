/** Model versions as the list shows them: by name, newest first, found by any word in them. */

import { Model } from '../shapes';

/** What the backend tells of a model beyond the members that every plugin needs. */
export interface ModelDetails extends Model {
  engine_reason?: string | null;
  max_deviation?: number | null;
  format?: string | null;
  parameters?: number | null;
  sha256?: string | null;
  versions?: { [name: string]: string };
  stages?: { [name: string]: number };
  report?: { faults?: { message: string; loc?: (string | number)[] }[] } | null;
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

/** The models that hold every word of the search, in name, title, description, engine, state, alias or id. */
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
      ...aliasesOf(model),
      model.model_id
    ]
      .join('\n')
      .toLowerCase();
    return words.every(word => text.includes(word));
  });
}

/** The names that point at a version. */
export function aliasesOf(model: Pick<Model, 'aliases'>): readonly string[] {
  const { aliases } = model;
  return Array.isArray(aliases) ? aliases : Object.keys(aliases ?? {});
}

/** A receipt in one line: its fingerprint where it has one; null where there is no receipt. */
export function receiptOf(model: Pick<Model, 'receipt'>): string | null {
  const { receipt } = model;
  if (!receipt || typeof receipt === 'string') {
    return receipt || null;
  }
  const text = typeof receipt.sha256 === 'string' ? receipt.sha256 : JSON.stringify(receipt);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
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
