/** How a version is labelled when it is published: an alias, and tags typed as `key=value`. */

export type AliasFault = 'characters' | 'number' | 'latest';
export type TagFault = 'form' | 'many' | 'long';

/** What most people call the versions that are in use, and about to be. */
export const USUAL_ALIASES: readonly string[] = ['production', 'candidate'];

const ALIAS = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** What is wrong with an alias; null where nothing is, and for none. */
export function aliasFault(alias: string): AliasFault | null {
  if (alias === '') {
    return null;
  }
  if (!ALIAS.test(alias)) {
    return 'characters';
  }
  if (alias === 'latest') {
    return 'latest';
  }
  return /^[0-9]+$/.test(alias) ? 'number' : null;
}

/** Tags by key, of a text such as `team=risk, tier=1`; or what is wrong with it. */
export function tagsTyped(text: string): { [key: string]: string } | TagFault {
  const words = text
    .split(',')
    .map(word => word.trim())
    .filter(Boolean);
  if (words.length > 50) {
    return 'many';
  }
  const tags: { [key: string]: string } = {};
  for (const word of words) {
    const at = word.indexOf('=');
    const key = word.slice(0, Math.max(0, at)).trim();
    const value = word.slice(at + 1).trim();
    if (key === '') {
      return 'form';
    }
    if (key.length > 64 || value.length > 256) {
      return 'long';
    }
    tags[key] = value;
  }
  return tags;
}

/** What is wrong with the tags; null where nothing is. */
export function tagFault(text: string): TagFault | null {
  const tags = tagsTyped(text);
  return typeof tags === 'string' ? tags : null;
}
