/** Publishing as a pure state machine: a state and an event give the next state and what to do. */

import { Failure, Fault } from '../failure';
import { failureIn } from '../kernel/reply';
import { Hello, Listing, Progress, Stage } from '../kernel/shapes';
import { Model } from '../shapes';
import {
  EMPTY,
  Field,
  likelyExample,
  namedOutputs,
  nameFault,
  outputWidth,
  requestOf,
  withModel,
  withProposal
} from './form';
import {
  chosen,
  Effect,
  Event,
  over,
  PublishState,
  sendable,
  Step,
  Timing,
  timings
} from './states';

const RESENDS = 3;
const MISSES = 5;
/** A question that was not answered in time says nothing of the publishing itself. */
const PASSING = new Set(['kernel_busy', 'kernel_silent', 'aborted', 'interrupted']);
const FINAL: ReadonlySet<Stage> = new Set(['ready', 'refused', 'failed', 'cancelled'] as const);
const SETTLED: ReadonlySet<string> = new Set(['ready', 'refused']);

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
        ? stay({ ...state, lookup: { name: event.name, latest: event.latest, asking: false } })
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

function stay(state: PublishState): Step {
  return [state, []];
}

function failed(state: PublishState, failure: Failure, canGoBack: boolean): Step {
  return stay({ ...state, phase: 'failed', stopping: false, failure, canGoBack });
}

function opened(state: PublishState, hello: Hello, listing: Listing): Step {
  const { models } = listing;
  const model =
    models.find(({ training }) => training) ??
    models.find(({ reason }) => reason === null) ??
    models[0] ??
    null;
  const form = withModel(EMPTY, model);
  return proposeAndLookUp({
    ...state,
    phase: 'form',
    hello,
    listing,
    form: { ...form, example: likelyExample(model, listing.examples) }
  });
}

/** A fresh listing keeps what was chosen and typed, where that is still there. */
function listed(state: PublishState, listing: Listing): Step {
  const next = { ...state, listing };
  if (listing.models.some(({ identity }) => identity === state.form.identity)) {
    return stay(next);
  }
  const model = listing.models[0] ?? null;
  const example = likelyExample(model, listing.examples);
  return proposeAndLookUp({ ...next, form: { ...withModel(state.form, model), example } });
}

function turned(state: PublishState, busy: boolean): Step {
  const next = { ...state, busy };
  if (state.phase === 'waiting' && !busy) {
    return mint(next);
  }
  // What was being trained may no longer be, and the cell may have made other models.
  return state.phase === 'form' && !busy ? [next, [{ do: 'list' }]] : stay(next);
}

/** Void, unless the model is with the backend already: that goes on checking it, and tells the page. */
function voided(state: PublishState, failure: Failure): Step {
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

const UNCHECKED = { matched: null, largest_deviation: null, rows: 0 };

/** Ask the backend itself from here on, where the kernel has nothing more to say. */
function followModel(state: PublishState, after = 500): Step {
  const modelId = state.progress?.model?.model_id ?? '';
  return [{ ...state, publishId: null, stopping: false }, [{ do: 'poll_model', modelId, after }]];
}

function seen(state: PublishState, model: Model): Step {
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

function unseen(state: PublishState, failure: Failure): Step {
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

function pick(state: PublishState, identity: string): Step {
  const model = state.listing?.models.find(found => found.identity === identity) ?? null;
  const example = likelyExample(model, state.listing?.examples ?? []);
  return proposeAndLookUp({ ...state, form: { ...withModel(state.form, model), example } });
}

function proposeAndLookUp(state: PublishState): Step {
  const [proposing, first] = propose(state);
  const [next, second] = lookUp(proposing);
  return [next, [...first, ...second]];
}

function propose(state: PublishState): Step {
  const model = chosen(state);
  const turn = state.turn + 1;
  const form = { ...state.form, inputs: null, outputs: null };
  if (!model || !state.listing || !model.built) {
    return stay({ ...state, turn, form, proposing: false, proposalFailure: null });
  }
  const { variable, identity } = model;
  const of = { session: state.listing.session, variable, identity };
  return [
    { ...state, turn, form, proposing: true, proposalFailure: null },
    [
      {
        do: 'propose',
        turn,
        of: form.example === null ? of : { ...of, example: form.example }
      }
    ]
  ];
}

function lookUp(state: PublishState): Step {
  const name = state.form.name;
  if (nameFault(name) !== null) {
    return stay({ ...state, lookup: null });
  }
  if (state.lookup?.name === name && state.lookup.latest !== null) {
    return stay(state);
  }
  return [{ ...state, lookup: { name, latest: null, asking: true } }, [{ do: 'look_up', name }]];
}

function edit(
  state: PublishState,
  side: 'inputs' | 'outputs',
  index: number,
  change: Partial<Field>
): Step {
  const fields = state.form[side];
  if (!fields || !fields[index]) {
    return stay(state);
  }
  const edited = fields.map((field, at) => (at === index ? { ...field, ...change } : field));
  return stay({ ...state, form: { ...state.form, [side]: edited } });
}

function nameOutputs(state: PublishState, named: boolean): Step {
  const width = outputWidth(chosen(state));
  const outputs = named && width !== null ? namedOutputs(width) : null;
  return stay({ ...state, form: { ...state.form, outputs } });
}

function submit(state: PublishState, timing: Timing): Step {
  if (!sendable(state) || !timings(state).includes(timing)) {
    return stay(state);
  }
  const next = { ...state, timing, failure: null, misses: 0, progress: null, publishId: null };
  return timing === 'idle' ? stay({ ...next, phase: 'waiting' }) : mint(next);
}

function mint(state: PublishState): Step {
  if (state.timing === 'epoch_end' && state.hello?.has_key) {
    // A ticket may have expired by then.
    return send({ ...state, phase: 'sending' }, null);
  }
  return [{ ...state, phase: 'sending' }, [{ do: 'mint', name: state.form.name }]];
}

function send(state: PublishState, ticket: { ticket: string; url: string } | null): Step {
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

function accepted(state: PublishState, publishId: string): Step {
  const next: PublishState = { ...state, phase: 'following', publishId, misses: 0 };
  return state.stopping
    ? [next, [{ do: 'stop', publishId }, poll(next, 500)]]
    : [next, [poll(next, 300)]];
}

function unsent(state: PublishState, failure: Failure): Step {
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

function advanced(state: PublishState, progress: Progress): Step {
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

function missed(state: PublishState, failure: Failure): Step {
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

function poll(state: PublishState, after: number): Effect {
  return { do: 'poll', publishId: state.publishId ?? '', after };
}

function cancel(state: PublishState): Step {
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
