/** Whether a kernel is a Python kernel, as its specification or the kernel itself says. */

import type { Kernel } from '@jupyterlab/services';

import { Failure } from '../failure';

/** The language in lower case; empty where neither the specification nor the kernel says. */
export async function languageOf(kernel: Kernel.IKernelConnection): Promise<string> {
  const spec = await kernel.spec.catch(() => undefined);
  if (spec?.language) {
    return spec.language.toLowerCase();
  }
  const info = await kernel.info.catch(() => undefined);
  return (info?.language_info?.name ?? '').toLowerCase();
}

/** Throws a `Failure` for a kernel of another language. */
export async function demandPython(kernel: Kernel.IKernelConnection): Promise<void> {
  const language = await languageOf(kernel);
  if (language && language !== 'python' && language !== 'python3' && language !== 'ipython') {
    throw new Failure(
      'not_python',
      `This notebook runs a kernel for ${language}, and Keras models live in Python kernels.`,
      'Choose a Python kernel for it (Kernel, Change Kernel), or open another notebook.'
    );
  }
}
