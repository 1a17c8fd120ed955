/** What the plain machines use of a translation bundle, so that they need no JupyterLab. */

export interface Words {
  /** The text in the reader's language; `%1` is the first of the values. */
  __(text: string, ...values: (string | number)[]): string;
}
