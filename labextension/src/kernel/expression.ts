/** The Python expression that calls the bridge: one line, safe for any parameters. */

const MODULE = 'tensortrigger_lab.kernel.bridge';

/** A Python string literal of any text. JSON's escapes are Python's too; the two line ends are not in all. */
export function literal(text: string): string {
  return JSON.stringify(text)
    .replace(/\u2028/g, '\\u2028')
    .replace(/\u2029/g, '\\u2029');
}

/** The expression; the module is imported by it, as nothing else in the kernel may have to be. */
export function expression(method: string, params: object): string {
  const module = `__import__('${MODULE}', fromlist=['call'])`;
  return `${module}.call(${literal(method)}, ${literal(JSON.stringify(params))})`;
}
