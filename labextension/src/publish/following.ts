/** Steps of a publishing that the kernel, and then the backend, tells about until it ends. */

import { Failure, Fault } from '../failure';
import { failureIn } from '../kernel/reply';
import { Progress, Stage } from '../kernel/shapes';
import { Model } from '../shapes';
import { Effect, failed, PublishState, stay, Step } from './states';

const MISSES = 5;
/** A question that was not answered in time says nothing of the publishing itself. */
const PASSING = new Set(['kernel_busy', 'kernel_silent', 'aborted', 'interrupted']);
const FINAL: ReadonlySet<Stage> = new Set(['ready', 'refused', 'failed', 'cancelled'] as const);
const SETTLED: ReadonlySet<string> = new Set(['ready', 'refused']);
const UNCHECKED = { matched: null, largest_deviation: null, rows: 0 };

/** Void, unless the model is with the backend already: that goes on checking it, and tells the page. */
export function voided(state: PublishState, failure: Failure): Step {
  const { progress } = state;
  if (state.phase === 'following' && progress?.model && !state.stopping) {
    const reason = 'the kernel went away before the answers could be compared.';
    return followModel({
      ...state,
      progress: { ...progress, check: { ...UNCHECKED, reason } }
    });
  }
  return failed(state, failure, false);
}

/** Ask the backend itself from here on, where the kernel has nothing more to say. */
function followModel(state: PublishState, after = 500): Step {
  const modelId = state.progress?.model?.model_id ?? '';
  return [{ ...state, publishId: null, stopping: false }, [{ do: 'poll_model', modelId, after }]];
}

export function seen(state: PublishState, model: Model): Step {
  if (!state.progress || state.publishId !== null) {
    return stay(state);
  }
  const stage = model.state as Stage;
  const next = { ...state, misses: 0, progress: { ...state.progress, model, state: stage } };
  if (model.state === 'ready') {
    return stay({ ...next, phase: 'ready' });
  }
  if (model.state === 'refused') {
    return failed(next, refusalOf(model), state.canGoBack);
  }
  return followModel(next, 1000);
}

export function unseen(state: PublishState, failure: Failure): Step {
  if (failure.status === 404) {
    // What is refused is not kept for long.
    const message = 'The backend has not accepted the model, and no longer knows why.';
    return failed(state, new Failure('refused', message, 'Publish it again.'), true);
  }
  return state.misses + 1 >= MISSES
    ? failed(state, failure, false)
    : followModel({ ...state, misses: state.misses + 1 }, 3000);
}

function refusalOf(model: Model): Failure {
  const report = (model as Model & { report?: { faults?: Fault[] } }).report;
  const faults = report?.faults ?? [];
  return new Failure(
    'refused',
    faults[0]?.message ?? 'The backend refused the model and gave no reason.',
    'Change the layer that is named as the remedy says, then publish again.',
    400,
    faults
  );
}

export function advanced(state: PublishState, progress: Progress): Step {
  if (state.publishId === null) {
    // The kernel is no longer asked: a late answer.
    return stay(state);
  }
  const next: PublishState = { ...state, progress, silent: false, misses: 0 };
  if (progress.check && progress.model && !FINAL.has(progress.state)) {
    // The kernel has only a ticket, which lets it upload and no more.
    return SETTLED.has(progress.model.state)
      ? seen({ ...next, publishId: null }, progress.model)
      : followModel(next);
  }
  switch (progress.state) {
    case 'ready':
      return stay({ ...next, phase: 'ready', stopping: false });
    case 'refused':
    case 'failed':
      return failed(next, failureIn(progress.error), true);
    case 'cancelled':
      return stay({ ...next, phase: 'stopped', stopping: false });
    case 'waiting_for_epoch':
      return [next, [poll(next, 1500)]];
    default:
      return [next, [poll(next, progress.seconds < 5 ? 400 : progress.seconds < 30 ? 1000 : 2000)]];
  }
}

export function missed(state: PublishState, failure: Failure): Step {
  const misses = PASSING.has(failure.code) ? 0 : state.misses + 1;
  if (state.publishId === null) {
    return stay(state);
  }
  if (failure.code === 'kernel_restarted' || failure.code === 'kernel_dead') {
    return voided(state, failure);
  }
  if (misses >= MISSES) {
    return failed(state, failure, true);
  }
  const next = { ...state, misses, silent: true };
  return [next, [poll(next, 2000)]];
}

export function poll(state: PublishState, after: number): Effect {
  return { do: 'poll', publishId: state.publishId ?? '', after };
}
