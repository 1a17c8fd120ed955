/** What a field of the schema takes beyond its type: a range, allowed categories, and what stands for nothing. */

import { FieldEntry } from '../shapes';

export const VAR_TYPES = ['INT', 'FLOAT', 'BOOL', 'STRING'] as const;
export type VarType = (typeof VAR_TYPES)[number];

/** The members of an entry beside its type and index, as the API has them. */
export type Rules = Omit<FieldEntry, 'var_type' | 'index'>;

export type RuleFault = 'categories' | 'range' | 'fill';

/** The entry's type, any case; what is not known counts as FLOAT. */
export function varTypeOf(entry: FieldEntry): VarType {
  const upper = entry.var_type.toUpperCase();
  return VAR_TYPES.find(known => known === upper) ?? 'FLOAT';
}

export function rulesOf(entry: FieldEntry): Rules {
  const rules: Rules & Partial<FieldEntry> = { ...entry };
  delete rules.var_type;
  delete rules.index;
  return rules;
}

/** The rules that still mean something after the type was changed. */
export function rulesFor(varType: VarType, rules: Rules): Rules {
  const { min, max, allowed, categories, unknown, nullable } = rules;
  const kept: Rules =
    varType === 'STRING'
      ? { categories, unknown, nullable }
      : varType === 'BOOL'
        ? { nullable }
        : { min, max, allowed, nullable };
  return stated(kept);
}

/** The rules without members that say nothing. */
export function stated(rules: Rules): Rules {
  return Object.fromEntries(
    Object.entries(rules).filter(
      ([, value]) => value !== undefined && value !== null && value !== false
    )
  ) as Rules;
}

/** The names of the categories in their order. */
export function categoryNames(categories: FieldEntry['categories']): string[] {
  if (!categories) {
    return [];
  }
  return Array.isArray(categories) ? [...categories] : Object.keys(categories);
}

/** Categories typed one after the other, with commas between; numbers of their own are kept where names stay. */
export function categoriesTyped(
  text: string,
  before: FieldEntry['categories']
): FieldEntry['categories'] {
  const names = [
    ...new Set(
      text
        .split(',')
        .map(name => name.trim())
        .filter(Boolean)
    )
  ];
  const numbered = before && !Array.isArray(before) ? (before as { [name: string]: number }) : null;
  if (!numbered || !names.every(name => name in numbered)) {
    return names;
  }
  return Object.fromEntries(names.map(name => [name, numbered[name]]));
}

/** A typed number; undefined for an empty text, NaN for what is none. */
export function numberTyped(text: string): number | undefined {
  return text.trim() === '' ? undefined : Number(text);
}

/** What is wrong with the rules of a field; null where nothing is. */
export function ruleFault(varType: VarType, rules: Rules): RuleFault | null {
  const { min, max, nullable, fill } = rules;
  const names = categoryNames(rules.categories);
  if (varType === 'STRING' && names.length === 0) {
    return 'categories';
  }
  if ([min, max].some(limit => limit !== undefined && !Number.isFinite(limit))) {
    return 'range';
  }
  if (min !== undefined && max !== undefined && min > max) {
    return 'range';
  }
  if (!nullable) {
    return null;
  }
  switch (varType) {
    case 'STRING':
      return typeof fill === 'string' && names.includes(fill) ? null : 'fill';
    case 'BOOL':
      return typeof fill === 'boolean' ? null : 'fill';
    default:
      return typeof fill === 'number' && Number.isFinite(fill) ? null : 'fill';
  }
}
