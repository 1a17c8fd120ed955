/** Why the notebook in front cannot be published from, if it cannot: for the button's caption. */

import type { KernelSpec } from '@jupyterlab/services';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

/** One sentence; empty where it can. */
export function obstacle(
  panel: NotebookPanel | null,
  specs: KernelSpec.ISpecModels | null,
  trans: TranslationBundle
): string {
  if (!panel) {
    return trans.__('Open a notebook whose kernel holds a Keras model.');
  }
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    return trans.__('This notebook has no kernel: choose a Python kernel for it.');
  }
  const spec = specs?.kernelspecs[kernel.name];
  const language = spec?.language.toLowerCase() ?? '';
  if (language && !/^i?python3?$/.test(language)) {
    return trans.__(
      'This notebook runs a kernel for %1, and Keras models live in Python kernels.',
      spec?.display_name ?? language
    );
  }
  return '';
}
