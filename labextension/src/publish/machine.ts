/** Publishing as a pure state machine: a state and an event give the next state and what to do. */

import { edit, listed, lookUp, nameOutputs, opened, pick, propose } from './filling';
import { advanced, missed, seen, unseen, voided } from './following';
import { EMPTY, withProposal } from './form';
import { accepted, cancel, mint, send, submit, unsent } from './sending';
import { Event, failed, Lookup, over, PublishState, stay, Step } from './states';

/** The state to begin with, and what to do first. */
export function begin(busy: boolean): Step {
  const state: PublishState = {
    phase: 'opening',
    hello: null,
    listing: null,
    busy,
    form: EMPTY,
    lookup: null,
    proposing: false,
    proposalFailure: null,
    timing: 'now',
    publishId: null,
    progress: null,
    silent: false,
    stopping: false,
    failure: null,
    canGoBack: false,
    noEpochEnd: false,
    turn: 0,
    misses: 0
  };
  return [state, [{ do: 'open' }]];
}

/** One step. Events that do not fit the phase change nothing: they are late answers. */
export function step(state: PublishState, event: Event): Step {
  switch (event.type) {
    case 'opened':
      return state.phase === 'opening' ? opened(state, event.hello, event.listing) : stay(state);
    case 'open_failed':
      return state.phase === 'opening' ? failed(state, event.failure, false) : stay(state);
    case 'listed':
      return state.phase === 'form' ? listed(state, event.listing) : stay(state);
    case 'busy':
      return turned(state, event.busy);
    case 'voided':
      return over(state) ? stay({ ...state, canGoBack: false }) : voided(state, event.failure);
    case 'pick_model':
      return state.phase === 'form' ? pick(state, event.identity) : stay(state);
    case 'pick_example':
      return state.phase === 'form'
        ? propose({ ...state, form: { ...state.form, example: event.example } })
        : stay(state);
    case 'type_name': {
      const form = { ...state.form, name: event.name, nameTyped: true };
      return state.phase === 'form' ? lookUp({ ...state, form }) : stay(state);
    }
    case 'describe':
      return state.phase === 'form'
        ? stay({ ...state, form: { ...state.form, description: event.description } })
        : stay(state);
    case 'label':
      return state.phase === 'form'
        ? stay({ ...state, form: { ...state.form, ...event.change } })
        : stay(state);
    case 'edit_field':
      return state.phase === 'form'
        ? edit(state, event.side, event.index, event.change)
        : stay(state);
    case 'name_outputs':
      return state.phase === 'form' ? nameOutputs(state, event.named) : stay(state);
    case 'proposed':
      return event.turn === state.turn && state.proposing
        ? stay({ ...state, proposing: false, form: withProposal(state.form, event.proposal) })
        : stay(state);
    case 'proposal_failed':
      if (event.failure.code === 'kernel_restarted' && state.phase === 'form') {
        return voided(state, event.failure);
      }
      return event.turn === state.turn && state.proposing
        ? stay({ ...state, proposing: false, proposalFailure: event.failure })
        : stay(state);
    case 'looked_up':
      return event.name === state.form.name
        ? stay({ ...state, lookup: lookedUp(event) })
        : stay(state);
    case 'submit':
      return submit(state, event.timing);
    case 'minted':
      return state.phase === 'sending' ? send(state, event.ticket) : stay(state);
    case 'mint_failed':
      if (state.phase !== 'sending') {
        return stay(state);
      }
      // A kernel with a key of its own needs no ticket.
      return state.hello?.has_key || state.stopping
        ? send(state, null)
        : failed(state, event.failure, true);
    case 'accepted':
      return state.phase === 'sending' ? accepted(state, event.publishId) : stay(state);
    case 'publish_failed':
      return state.phase === 'sending' ? unsent(state, event.failure) : stay(state);
    case 'progress':
      return state.phase === 'following' ? advanced(state, event.progress) : stay(state);
    case 'progress_failed':
      return state.phase === 'following' ? missed(state, event.failure) : stay(state);
    case 'model':
      return state.phase === 'following' ? seen(state, event.model) : stay(state);
    case 'model_failed':
      return state.phase === 'following' ? unseen(state, event.failure) : stay(state);
    case 'cancel':
      return cancel(state);
    case 'cancelled':
      return event.state === 'cancelled' && state.phase === 'following'
        ? stay({ ...state, phase: 'stopped', stopping: false })
        : stay({ ...state, stopping: false });
    case 'cancel_failed':
      return stay({ ...state, stopping: false });
    case 'back':
      return state.phase === 'failed' && state.canGoBack ? back(state) : stay(state);
    case 'retry':
      return state.phase === 'failed' && state.failure?.code !== 'kernel_restarted'
        ? retry(state)
        : stay(state);
  }
}

function lookedUp(event: Event & { type: 'looked_up' }): Lookup {
  return { name: event.name, latest: event.latest, aliases: event.aliases, asking: false };
}

function turned(state: PublishState, busy: boolean): Step {
  const next = { ...state, busy };
  if (state.phase === 'waiting' && !busy) {
    return mint(next);
  }
  // What was being trained may no longer be, and the cell may have made other models.
  return state.phase === 'form' && !busy ? [next, [{ do: 'list' }]] : stay(next);
}

function back(state: PublishState): Step {
  const next: PublishState = {
    ...state,
    phase: 'form',
    failure: null,
    publishId: null,
    progress: null,
    lookup: null,
    misses: 0
  };
  const [looked, effects] = lookUp(next);
  return [looked, [...effects, { do: 'list' }]];
}

function retry(state: PublishState): Step {
  return state.canGoBack ? back(state) : begin(state.busy);
}
