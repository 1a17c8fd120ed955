import { Failure } from '../src/failure';
import { Model } from '../src/shapes';
import { step } from '../src/publish/machine';
import { chosen, sendable, timings, underWay } from '../src/publish/states';
import {
  filled,
  HELLO,
  kernelModel,
  listing,
  play,
  progress,
  PROPOSAL,
  RESTARTED,
  takenOn
} from './publish.fixtures';

const MODEL = { model_id: 'm', name: 'churn', version: 4, state: 'checking' } as Model;

test('it begins by asking the kernel', () => {
  const [state, effects] = play(false);
  expect(state.phase).toBe('opening');
  expect(effects).toEqual([{ do: 'open' }]);
});

test('a kernel that cannot be asked ends it with its own failure, and it can be tried again', () => {
  const failure = new Failure('package_missing', 'not installed', 'install it');
  const [state] = play(false, { type: 'open_failed', failure });
  expect([state.phase, state.failure, state.canGoBack]).toEqual(['failed', failure, false]);
  expect(step(state, { type: 'retry' })[1]).toEqual([{ do: 'open' }]);
});

test('the first model that can be published is chosen, with its name and the likeliest example', () => {
  const models = listing(
    kernelModel({ identity: '0', built: false, reason: 'It has no weights yet.' }),
    kernelModel()
  );
  const [state, effects] = play(false, { type: 'opened', hello: HELLO, listing: models });
  expect(chosen(state)?.identity).toBe('1');
  expect(state.form.name).toBe('churn');
  expect(state.form.example).toBe('frame');
  expect(effects).toEqual([
    {
      do: 'propose',
      turn: 1,
      of: { session: 's1', variable: 'model', identity: '1', example: 'frame' }
    },
    { do: 'look_up', name: 'churn' }
  ]);
});

test('without any model there is nothing to send', () => {
  const [state, effects] = play(false, { type: 'opened', hello: HELLO, listing: listing() });
  expect(effects).toEqual([]);
  expect(timings(state)).toEqual([]);
  expect(sendable(state)).toBe(false);
});

test('the form cannot be sent before the kernel has proposed a schema', () => {
  const [before] = play(false, filled()[0]);
  expect(sendable(before)).toBe(false);
  const [after] = play(false, ...filled());
  expect(sendable(after)).toBe(true);
  expect(after.form.inputs?.map(({ name, varType }) => [name, varType])).toEqual([
    ['age', 'INT'],
    ['sum', 'FLOAT']
  ]);
});

test('a late proposal for an earlier choice is left out', () => {
  const [state] = play(
    false,
    filled()[0],
    { type: 'pick_example', example: null },
    { type: 'proposed', turn: 1, proposal: PROPOSAL }
  );
  expect(state.proposing).toBe(true);
  expect(state.form.inputs).toBeNull();
});

test('an example that does not fit is told beside it, and the form stays', () => {
  const failure = new Failure('bad_input', 'It has 3 columns.');
  const [state] = play(false, filled()[0], { type: 'proposal_failed', turn: 1, failure });
  expect([state.phase, state.proposalFailure]).toEqual(['form', failure]);
});

test('a typed name stays when another model is picked, a made one does not', () => {
  const two = listing(kernelModel(), kernelModel({ identity: '2', suggested_name: 'other' }));
  const [made] = play(
    false,
    { type: 'opened', hello: HELLO, listing: two },
    { type: 'pick_model', identity: '2' }
  );
  expect(made.form.name).toBe('other');
  const [typed] = play(
    false,
    { type: 'opened', hello: HELLO, listing: two },
    { type: 'type_name', name: 'mine' },
    { type: 'pick_model', identity: '2' }
  );
  expect(typed.form.name).toBe('mine');
});

test('a name that cannot stand in a URL is neither looked up nor sent', () => {
  const [state, effects] = play(false, ...filled(), { type: 'type_name', name: 'My Model' });
  expect(effects).toEqual([]);
  expect(sendable(state)).toBe(false);
  expect(step(state, { type: 'submit', timing: 'now' })[0].phase).toBe('form');
});

test('the answer about a name that was typed over is left out', () => {
  const [state] = play(
    false,
    ...filled(),
    { type: 'type_name', name: 'churn2' },
    { type: 'looked_up', name: 'churn', latest: 9, aliases: [] }
  );
  expect(state.lookup).toEqual({ name: 'churn2', latest: null, aliases: [], asking: true });
});

test('two fields of one name cannot be sent', () => {
  const [state] = play(false, ...filled(), {
    type: 'edit_field',
    side: 'inputs',
    index: 1,
    change: { name: 'age' }
  });
  expect(sendable(state)).toBe(false);
});

test('what is sent is what is shown: edited fields, named outputs, description, ticket', () => {
  const [, effects] = play(
    false,
    ...filled(),
    { type: 'edit_field', side: 'inputs', index: 1, change: { name: 'total', varType: 'INT' } },
    { type: 'name_outputs', named: true },
    { type: 'describe', description: ' Who leaves. ' },
    { type: 'submit', timing: 'now' },
    { type: 'minted', ticket: { ticket: 't', url: 'http://b' } }
  );
  expect(effects).toEqual([
    {
      do: 'publish',
      request: {
        session: 's1',
        variable: 'model',
        identity: '1',
        name: 'churn',
        when: 'now',
        description: 'Who leaves.',
        example: 'frame',
        schema: {
          input_schema: {
            age: { var_type: 'INT', index: 0 },
            total: { var_type: 'INT', index: 1 }
          },
          output_schema: { output: { var_type: 'FLOAT', index: 0 } }
        },
        ticket: 't',
        url: 'http://b'
      }
    }
  ]);
});

test('without a ticket it goes on only if the kernel has a key of its own', () => {
  const failure = new Failure('backend_away', 'away', 'wait', 503);
  const events = [
    { type: 'submit', timing: 'now' } as const,
    { type: 'mint_failed', failure } as const
  ];
  const [bare] = play(false, ...filled(), ...events);
  expect([bare.phase, bare.failure, bare.canGoBack]).toEqual(['failed', failure, true]);
  const [, effects] = play(false, ...filled(kernelModel(), { has_key: true }), ...events);
  expect(effects[0]).toMatchObject({ do: 'publish' });
  expect(effects[0]).not.toHaveProperty('request.ticket');
});

test('a busy kernel is waited for, and publishes once it is idle', () => {
  const [form] = play(true, ...filled());
  expect(timings(form)).toEqual(['idle']);
  const [waiting, none] = step(form, { type: 'submit', timing: 'idle' });
  expect([waiting.phase, none, underWay(waiting)]).toEqual(['waiting', [], true]);
  const [sending, effects] = step(waiting, { type: 'busy', busy: false });
  expect(sending.phase).toBe('sending');
  expect(effects).toEqual([{ do: 'mint', name: 'churn' }]);
});

test('waiting can be cancelled, and then nothing is sent when the kernel is idle', () => {
  const [state] = play(true, ...filled(), { type: 'submit', timing: 'idle' }, { type: 'cancel' });
  expect(state.phase).toBe('stopped');
  expect(step(state, { type: 'busy', busy: false })[1]).toEqual([]);
});

test('a model in training is offered the next epoch end first, with a ticket where there is no key', () => {
  const training = kernelModel({ training: true, reason: 'It is being trained.' });
  const [form] = play(true, ...filled(training));
  expect(timings(form)).toEqual(['epoch_end', 'idle']);
  const [minting, mint] = step(form, { type: 'submit', timing: 'epoch_end' });
  expect(mint).toEqual([{ do: 'mint', name: 'churn' }]);
  const ticket = { ticket: 't', url: 'http://b' };
  expect(step(minting, { type: 'minted', ticket })[1][0]).toMatchObject({
    request: { when: 'epoch_end', ticket: 't' }
  });
});

test('a kernel with a key takes no ticket for an epoch end: it could expire before', () => {
  const training = kernelModel({ training: true, reason: 'It is being trained.' });
  const [, effects] = play(true, ...filled(training, { has_key: true }), {
    type: 'submit',
    timing: 'epoch_end'
  });
  expect(effects[0]).toMatchObject({ do: 'publish', request: { when: 'epoch_end' } });
  expect(effects[0]).not.toHaveProperty('request.ticket');
});

test('a fit that tells no epoch end leaves only waiting until the kernel is idle', () => {
  const training = kernelModel({ training: true, reason: 'It is being trained.' });
  const failure = new Failure('training', 'It is being trained.');
  const [failed] = play(
    true,
    ...filled(training, { has_key: true }),
    { type: 'submit', timing: 'epoch_end' },
    { type: 'publish_failed', failure }
  );
  const [form] = step(failed, { type: 'back' });
  expect(form.phase).toBe('form');
  expect(timings(form)).toEqual(['idle']);
});

test('when a cell has ended the models are listed again, and what was typed stays', () => {
  const [state, effects] = play(
    true,
    ...filled(),
    { type: 'type_name', name: 'mine' },
    { type: 'busy', busy: false }
  );
  expect(effects).toEqual([{ do: 'list' }]);
  const [again] = step(state, {
    type: 'listed',
    listing: listing(kernelModel({ identity: '9' }), kernelModel())
  });
  expect([again.form.identity, again.form.name]).toEqual(['1', 'mine']);
});

test('a request that the kernel dropped with a failing cell is sent again, a few times only', () => {
  const aborted = new Failure('aborted', 'dropped');
  const events = [
    ...filled(),
    { type: 'submit', timing: 'now' } as const,
    { type: 'minted', ticket: { ticket: 't', url: 'u' } } as const,
    { type: 'publish_failed', failure: aborted } as const
  ];
  let [state, effects] = play(false, ...events);
  expect([state.phase, effects]).toEqual(['sending', [{ do: 'mint', name: 'churn' }]]);
  for (let again = 0; again < 3; again++) {
    [state] = step(state, { type: 'minted', ticket: { ticket: 't', url: 'u' } });
    [state, effects] = step(state, { type: 'publish_failed', failure: aborted });
  }
  expect([state.phase, state.failure]).toEqual(['failed', aborted]);
});

test('it is followed to ready, with the check', () => {
  const check = { matched: true, largest_deviation: 3e-8, rows: 32, reason: null };
  const [following, polls] = play(false, ...takenOn());
  expect(polls).toEqual([{ do: 'poll', publishId: 'p', after: 300 }]);
  const [verifying, again] = step(following, { type: 'progress', progress: progress('verifying') });
  expect(again).toEqual([{ do: 'poll', publishId: 'p', after: 400 }]);
  const done = progress('ready', { model: { ...MODEL, state: 'ready' }, check });
  const [ready, none] = step(verifying, { type: 'progress', progress: done });
  expect([ready.phase, ready.progress?.check, none]).toEqual(['ready', check, []]);
});

test('a refusal shows each fault, and the form can be gone back to', () => {
  const error = {
    code: 'refused',
    message: 'The model was refused.',
    action: 'Change the layer.',
    faults: [{ message: 'Lambda', remedy: 'Use a layer.' }, { message: 'Custom' }],
    status: 400
  };
  const [state] = play(false, ...takenOn(), {
    type: 'progress',
    progress: progress('refused', { error })
  });
  expect(state.failure?.faults.map(fault => fault.message)).toEqual(['Lambda', 'Custom']);
  expect(state.canGoBack).toBe(true);
  expect(step(state, { type: 'back' })[0].form.name).toBe('churn');
});

test('a kernel that is silent for a while is asked on, one that fails again and again is not', () => {
  let [state] = play(false, ...takenOn());
  for (let miss = 0; miss < 20; miss++) {
    [state] = step(state, { type: 'progress_failed', failure: new Failure('kernel_busy', 'busy') });
  }
  expect([state.phase, state.silent]).toEqual(['following', true]);
  for (let miss = 0; miss < 5; miss++) {
    [state] = step(state, { type: 'progress_failed', failure: new Failure('internal', 'broken') });
  }
  expect(state.phase).toBe('failed');
});

test('cancelling while the kernel saves takes effect as soon as it has answered', () => {
  const [asked] = play(false, ...takenOn().slice(0, -1), { type: 'cancel' });
  expect([asked.phase, asked.stopping]).toEqual(['sending', true]);
  const [state, effects] = step(asked, { type: 'accepted', publishId: 'p' });
  expect(effects[0]).toEqual({ do: 'stop', publishId: 'p' });
  expect(step(state, { type: 'cancelled', state: 'cancelled' })[0].phase).toBe('stopped');
});

test('cancelling before the ticket has come sends nothing', () => {
  const [state, effects] = play(
    false,
    ...filled(),
    { type: 'submit', timing: 'now' },
    { type: 'cancel' },
    { type: 'minted', ticket: { ticket: 't', url: 'u' } }
  );
  expect([state.phase, effects]).toEqual(['stopped', []]);
});

test('a cancel that comes too late leaves it going', () => {
  const [state] = play(
    false,
    ...takenOn(),
    { type: 'cancel' },
    { type: 'cancelled', state: 'verifying' }
  );
  expect([state.phase, state.stopping]).toEqual(['following', false]);
});

test.each([
  ['opening', []],
  ['form', filled()],
  ['sending', takenOn().slice(0, -1)],
  ['following', takenOn()]
])('a restarted kernel makes it void while %s, with no way back', (_, events) => {
  const [state] = play(false, ...events, { type: 'voided', failure: RESTARTED });
  expect([state.phase, state.failure?.code, state.canGoBack]).toEqual([
    'failed',
    'kernel_restarted',
    false
  ]);
  expect(step(state, { type: 'back' })[0].phase).toBe('failed');
});

test('once the model is with the backend, a restarted kernel does not end it', () => {
  const [state, effects] = play(
    false,
    ...takenOn(),
    { type: 'progress', progress: progress('checking', { model: MODEL }) },
    { type: 'voided', failure: RESTARTED }
  );
  expect(effects).toEqual([{ do: 'poll_model', modelId: 'm', after: 500 }]);
  const [ready] = step(state, { type: 'model', model: { ...MODEL, state: 'ready' } });
  expect(ready.phase).toBe('ready');
  expect(ready.progress?.check?.matched).toBeNull();
});

test('a kernel that has only a ticket leaves the rest to the page', () => {
  const check = { matched: null, largest_deviation: null, rows: 0, reason: 'only a ticket' };
  const [state, effects] = play(false, ...takenOn(), {
    type: 'progress',
    progress: progress('checking', { model: MODEL, check })
  });
  expect(effects).toEqual([{ do: 'poll_model', modelId: 'm', after: 500 }]);
  const report = { faults: [{ message: 'Lambda' }] };
  const refused = { ...MODEL, state: 'refused', report } as Model;
  const [failed] = step(state, { type: 'model', model: refused });
  expect([failed.phase, failed.failure?.message]).toEqual(['failed', 'Lambda']);
});

test('what is over stays over when the kernel is restarted', () => {
  const done = progress('ready', { model: { ...MODEL, state: 'ready' } });
  const [state] = play(
    false,
    ...takenOn(),
    { type: 'progress', progress: done },
    { type: 'voided', failure: RESTARTED }
  );
  expect(state.phase).toBe('ready');
});
