/** What a kernel's reply to the silent execute means: a result, or one failure with what to do about it. */

import { Failure, Fault } from '../failure';
import { KernelFault } from './shapes';

export const MIME = 'application/vnd.tensortrigger.rpc+json';
/** The name of our entry among the user expressions. */
export const SLOT = 'tt';
export const INSTALL = '%pip install tensortrigger-lab';
export const UPGRADE = '%pip install --upgrade tensortrigger-lab';

const VERSION = 1;

/** As much of an `execute_reply` as is read here. */
export interface ReplyContent {
  status: string;
  ename?: string;
  evalue?: string;
  user_expressions?: { [name: string]: unknown };
}

/** The bridge's result. Throws a `Failure` for everything else. */
export function resultOf<T>(content: ReplyContent): T {
  if (content.status === 'aborted' || content.status === 'abort') {
    throw new Failure(
      'aborted',
      'The kernel dropped the question, because a cell before it raised an error.',
      'Try again.'
    );
  }
  if (content.status !== 'ok') {
    throw new Failure(
      'kernel_error',
      `The kernel could not be asked: ${content.ename ?? 'error'}: ${content.evalue ?? ''}`.trim(),
      'Restart the kernel, then try again.'
    );
  }
  // The bundle is JSON from another process: nothing is known of it before it is looked at.
  const slot = content.user_expressions?.[SLOT] as any;
  if (slot?.status === 'error') {
    throw raised(String(slot.ename ?? 'error'), String(slot.evalue ?? ''));
  }
  const answer = slot?.data?.[MIME];
  if (slot?.status !== 'ok' || typeof answer !== 'object' || answer === null) {
    throw new Failure(
      'no_expressions',
      'This kernel does not answer questions from the page: it is no IPython kernel.',
      'Publish from Python instead: tt.publish(model, name=...).'
    );
  }
  if (answer.v !== VERSION) {
    throw new Failure(
      'version_skew',
      'The tensortrigger-lab package of this kernel speaks another version than this page.',
      `Install the same version in both, such as with ${UPGRADE} in the notebook.`
    );
  }
  if (!answer.ok) {
    throw failureIn(answer.error);
  }
  return answer.result as T;
}

/** The failure that the kernel's own words tell of. */
export function failureIn(error: KernelFault | null | undefined): Failure {
  const faults = Array.isArray(error?.faults) ? error.faults.map(asFault) : [];
  return new Failure(
    error?.code || 'kernel_error',
    error?.message || 'The kernel gave no reason.',
    error?.action ?? ACTIONS[error?.status ?? 0] ?? '',
    error?.status ?? 0,
    faults
  );
}

/** What to do about an answer of the backend to the kernel, where the kernel itself does not say. */
const ACTIONS: { [status: number]: string } = {
  401: 'Give this kernel an API key that the backend knows: %tt login, or TENSORTRIGGER_API_KEY.',
  403: 'Ask the operator of the backend for a key that may publish.',
  413: 'Publish a smaller model, or ask the operator to raise the limit.',
  429: 'Wait a moment, then try again.',
  500: 'Try again; the log of the backend says more.',
  502: 'Try again; the log of the backend says more.',
  503: 'Try again when the backend is back.'
};

function raised(ename: string, evalue: string): Failure {
  if (ename === 'ModuleNotFoundError' || ename === 'ImportError') {
    const missing = /No module named '([^']*)'/.exec(evalue)?.[1] ?? '';
    if (missing === 'tensortrigger_lab') {
      return new Failure(
        'package_missing',
        'The package tensortrigger-lab is not installed in the environment of this kernel.',
        `Run ${INSTALL} in a cell of this notebook, then try again.`
      );
    }
    if (missing.startsWith('tensortrigger_lab.') || missing === '') {
      return new Failure(
        'package_old',
        'The tensortrigger-lab package of this kernel is older than this page.',
        `Run ${UPGRADE} in a cell of this notebook, then restart the kernel.`
      );
    }
    return new Failure(
      'package_broken',
      `The tensortrigger-lab package of this kernel cannot be loaded: ${missing} is missing.`,
      `Run ${INSTALL} in a cell of this notebook, then restart the kernel.`
    );
  }
  if (ename === 'KeyboardInterrupt') {
    return new Failure('interrupted', 'The kernel was interrupted.', 'Try again.');
  }
  return new Failure(
    'bridge_broken',
    `The kernel could not answer: ${ename}: ${evalue}`,
    `Run ${UPGRADE} in a cell of this notebook, then restart the kernel.`
  );
}

/** A fault as the kernel words it; loc, expected and the like are optional there. */
function asFault(entry: unknown): Fault {
  if (typeof entry === 'object' && entry !== null && 'message' in entry) {
    const fault = entry as Fault;
    return { ...fault, message: String(fault.message) };
  }
  return { message: String(entry) };
}
