/** Steps of filling in the form: which model, which example, which names. */

import { Hello, Listing } from '../kernel/shapes';
import {
  EMPTY,
  Field,
  likelyExample,
  namedOutputs,
  nameFault,
  outputWidth,
  withModel
} from './form';
import { chosen, PublishState, stay, Step } from './states';

export function opened(state: PublishState, hello: Hello, listing: Listing): Step {
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
export function listed(state: PublishState, listing: Listing): Step {
  const next = { ...state, listing };
  if (listing.models.some(({ identity }) => identity === state.form.identity)) {
    return stay(next);
  }
  const model = listing.models[0] ?? null;
  const example = likelyExample(model, listing.examples);
  return proposeAndLookUp({ ...next, form: { ...withModel(state.form, model), example } });
}

export function pick(state: PublishState, identity: string): Step {
  const model = state.listing?.models.find(found => found.identity === identity) ?? null;
  const example = likelyExample(model, state.listing?.examples ?? []);
  return proposeAndLookUp({ ...state, form: { ...withModel(state.form, model), example } });
}

function proposeAndLookUp(state: PublishState): Step {
  const [proposing, first] = propose(state);
  const [next, second] = lookUp(proposing);
  return [next, [...first, ...second]];
}

export function propose(state: PublishState): Step {
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

export function lookUp(state: PublishState): Step {
  const name = state.form.name;
  if (nameFault(name) !== null) {
    return stay({ ...state, lookup: null });
  }
  if (state.lookup?.name === name && state.lookup.latest !== null) {
    return stay(state);
  }
  return [
    { ...state, lookup: { name, latest: null, aliases: [], asking: true } },
    [{ do: 'look_up', name }]
  ];
}

export function edit(
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

export function nameOutputs(state: PublishState, named: boolean): Step {
  const width = outputWidth(chosen(state));
  const outputs = named && width !== null ? namedOutputs(width) : null;
  return stay({ ...state, form: { ...state.form, outputs } });
}
