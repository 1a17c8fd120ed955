/** Steps from the button to a publishing that the kernel has taken on, and of giving it up. */

import { Failure } from '../failure';
import { poll } from './following';
import { requestOf } from './form';
import { chosen, failed, PublishState, sendable, stay, Step, Timing, timings } from './states';

const RESENDS = 3;

export function submit(state: PublishState, timing: Timing): Step {
  if (!sendable(state) || !timings(state).includes(timing)) {
    return stay(state);
  }
  const next = { ...state, timing, failure: null, misses: 0, progress: null, publishId: null };
  return timing === 'idle' ? stay({ ...next, phase: 'waiting' }) : mint(next);
}

export function mint(state: PublishState): Step {
  if (state.timing === 'epoch_end' && state.hello?.has_key) {
    // A ticket may have expired by then.
    return send({ ...state, phase: 'sending' }, null);
  }
  return [{ ...state, phase: 'sending' }, [{ do: 'mint', name: state.form.name }]];
}

export function send(state: PublishState, ticket: { ticket: string; url: string } | null): Step {
  if (state.stopping) {
    return stay({ ...state, phase: 'stopped', stopping: false });
  }
  const model = chosen(state);
  if (!model || !state.listing) {
    return failed(state, new Failure('model_gone', 'The chosen model is gone.'), true);
  }
  const when = state.timing === 'epoch_end' ? 'epoch_end' : 'now';
  const request = requestOf(state.form, model, state.listing.session, when, ticket);
  return [state, [{ do: 'publish', request }]];
}

export function accepted(state: PublishState, publishId: string): Step {
  const next: PublishState = { ...state, phase: 'following', publishId, misses: 0 };
  return state.stopping
    ? [next, [{ do: 'stop', publishId }, poll(next, 500)]]
    : [next, [poll(next, 300)]];
}

export function unsent(state: PublishState, failure: Failure): Step {
  if (state.stopping) {
    return stay({ ...state, phase: 'stopped', stopping: false });
  }
  // The kernel never saw the request: a cell before it raised an error, which drops what waits behind it.
  if (failure.code === 'aborted' && state.misses < RESENDS) {
    const next = { ...state, misses: state.misses + 1 };
    return next.busy ? stay({ ...next, phase: 'waiting' }) : mint(next);
  }
  const noEpochEnd =
    state.noEpochEnd || (failure.code === 'training' && state.timing === 'epoch_end');
  return failed({ ...state, noEpochEnd }, failure, failure.code !== 'kernel_restarted');
}

export function cancel(state: PublishState): Step {
  switch (state.phase) {
    case 'opening':
    case 'form':
    case 'waiting':
      return stay({ ...state, phase: 'stopped' });
    case 'sending':
      return stay({ ...state, stopping: true });
    case 'following':
      return state.stopping || state.publishId === null
        ? stay(state)
        : [{ ...state, stopping: true }, [{ do: 'stop', publishId: state.publishId }]];
    default:
      return stay(state);
  }
}
