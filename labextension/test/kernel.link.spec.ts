import { Signal } from '@lumino/signaling';

import { Failure } from '../src/failure';
import { KernelLink } from '../src/kernel/link';
import { MIME } from '../src/kernel/reply';

/** As much of a kernel connection as the link uses; replies are sent by hand. */
class FakeKernel {
  status = 'idle';
  isDisposed = false;
  username = 'ann';
  clientId = 'page';
  /** What the connection has been told; undefined in a JupyterLab that knows no subshells. */
  supportsSubshells: boolean | undefined = true;
  /** What the kernel itself says on its control channel; null where it says nothing. */
  features: string[] | null = ['kernel subshells'];
  info: Promise<unknown> = Promise.resolve({});
  control: string[] = [];
  subshellId: string | null = null;
  iopubMessage = new Signal<this, unknown>(this);
  statusChanged = new Signal<this, string>(this);
  disposed = new Signal<this, void>(this);
  sent: { subshell: string | null; content: any; future: any }[] = [];
  deleted: string[] = [];

  requestExecute(content: unknown) {
    const id = `m${this.sent.length}`;
    const future: any = {
      msg: { header: { msg_id: id } },
      disposed: false,
      done: new Promise<void>((_, reject) => {
        future_reject = reject;
      }),
      dispose() {
        future.disposed = true;
        future.reject(new Error('Canceled'));
      }
    };
    future.reject = future_reject;
    this.sent.push({ subshell: this.subshellId, content, future });
    return future;
  }

  sendControlMessage(message: any) {
    const { msg_type } = message.header;
    this.control.push(msg_type);
    if (msg_type === 'delete_subshell_request') {
      this.deleted.push(message.content.subshell_id);
    }
    const answers: { [type: string]: object } = {
      kernel_info_request: { supported_features: this.features },
      create_subshell_request: { status: 'ok', subshell_id: 'sub' }
    };
    let dispose = () => {};
    const done = new Promise((resolve, reject) => {
      dispose = () => reject(new Error('Canceled'));
      if (this.features !== null) {
        resolve({ content: answers[msg_type] ?? {} });
      }
    });
    return { done, dispose };
  }

  reply(index: number, result: unknown) {
    this.sent[index].future.onReply({
      content: {
        status: 'ok',
        user_expressions: {
          tt: { status: 'ok', data: { [MIME]: { v: 1, ok: true, result } } }
        }
      }
    });
  }

  tell(state: string, parent: object, session = 'one') {
    this.iopubMessage.emit({
      header: { msg_type: 'status', session },
      parent_header: { msg_type: 'execute_request', ...parent },
      content: { execution_state: state }
    });
  }
}

let future_reject: (error: Error) => void;

function linked(status = 'idle'): [FakeKernel, KernelLink] {
  const kernel = new FakeKernel();
  kernel.status = status;
  return [kernel, new KernelLink(kernel as never)];
}

const turn = () => new Promise(resolve => setTimeout(resolve));
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('It did not fail.');
    },
    (error: Failure) => error.code
  );

test('it asks silently, keeps no history, and has no code', async () => {
  const [kernel, link] = linked();
  const answer = link.call('hello', {}, { patience: 1000 });
  await turn();
  expect(kernel.sent[0].content).toMatchObject({ code: '', silent: true, store_history: false });
  kernel.reply(0, { version: '1' });
  expect(await answer).toEqual({ version: '1' });
});

test('a busy kernel is asked on a subshell, which is one, and is deleted at the end', async () => {
  const [kernel, link] = linked('busy');
  const answers = [1, 2].map(() => link.call('models', {}, { patience: 1000 }));
  await turn();
  expect(kernel.sent.map(each => each.subshell)).toEqual(['sub', 'sub']);
  expect(kernel.subshellId).toBeNull();
  kernel.reply(0, {});
  kernel.reply(1, {});
  await Promise.all(answers);
  link.dispose();
  await turn();
  expect(kernel.deleted).toEqual(['sub']);
});

test('publishing stays on the main shell, however busy the kernel is', async () => {
  const [kernel, link] = linked('busy');
  void link.call('publish', {}, { patience: Infinity, mainOnly: true });
  await turn();
  expect(kernel.sent[0].subshell).toBeNull();
});

test.each([
  ['a kernel without subshells', false, [] as string[]],
  ['a JupyterLab without subshells', undefined, ['kernel subshells']]
])(
  '%s: it is asked behind the running cell, however long that takes',
  async (_, supports, features) => {
    const [kernel, link] = linked('busy');
    kernel.supportsSubshells = supports;
    kernel.features = features;
    const answer = link.call('models', {}, { patience: 20 });
    await new Promise(resolve => setTimeout(resolve, 60));
    expect(kernel.sent.map(each => each.subshell)).toEqual([null]);
    expect(kernel.control).not.toContain('create_subshell_request');
    kernel.reply(0, { models: [] });
    expect(await answer).toEqual({ models: [] });
  }
);

describe('a page that is opened while a cell runs', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());
  const settle = async (milliseconds: number) => {
    await jest.advanceTimersByTimeAsync(milliseconds);
  };

  /** A connection that has heard nothing of the kernel yet. */
  function unheard(): [FakeKernel, KernelLink, () => void] {
    const kernel = new FakeKernel();
    kernel.status = 'unknown';
    kernel.supportsSubshells = false;
    let answer: (info: unknown) => void = () => {};
    kernel.info = new Promise(resolve => (answer = resolve));
    return [kernel, new KernelLink(kernel as never), () => answer({})];
  }

  it('learns that the kernel is busy, and asks it on a subshell', async () => {
    const [kernel, link] = unheard();
    const heard: boolean[] = [];
    link.main.changed.connect(() => heard.push(link.main.busy));
    const answer = link.call('models', {}, { patience: 1000 });
    await settle(2000);
    expect(heard).toEqual([true]);
    expect(kernel.control).toEqual(['kernel_info_request', 'create_subshell_request']);
    expect(kernel.sent[0].subshell).toBe('sub');
    kernel.reply(0, { models: [] });
    expect(await answer).toEqual({ models: [] });
  });

  it('waits for a kernel that has no subshells, and for one whose control channel is silent', async () => {
    for (const features of [[], null]) {
      const [kernel, link] = unheard();
      kernel.features = features;
      const answer = link.call('models', {}, { patience: 1000 });
      await settle(60_000);
      expect([link.main.busy, kernel.sent.map(each => each.subshell)]).toEqual([true, [null]]);
      kernel.reply(0, { models: [] });
      expect(await answer).toEqual({ models: [] });
    }
  });

  it('hears when the cell has ended', async () => {
    const [kernel, link] = unheard();
    await settle(2000);
    kernel.tell('idle', { msg_id: 'cell' });
    expect(link.main.busy).toBe(false);
  });

  it('does not take a slow start for a cell', async () => {
    const [, link, answer] = unheard();
    await settle(2000);
    expect(link.main.busy).toBe(true);
    answer();
    await settle(0);
    expect(link.main.busy).toBe(false);
  });
});

test('an answer that does not come in time is given up, with another code while a cell runs', async () => {
  const [, quiet] = linked();
  expect(await failure(quiet.call('models', {}, { patience: 5 }))).toBe('kernel_silent');
  const [kernel, busy] = linked('busy');
  const answer = failure(busy.call('models', {}, { patience: 5 }));
  expect(await answer).toBe('kernel_busy');
  expect(kernel.sent[0].future.disposed).toBe(true);
});

test('a question can be given up by whoever asked', async () => {
  const [, link] = linked();
  const abort = new AbortController();
  const answer = failure(link.call('models', {}, { patience: Infinity, signal: abort.signal }));
  await turn();
  abort.abort();
  expect(await answer).toBe('cancelled');
});

test.each([
  ['restarting', 'kernel_restarted'],
  ['autorestarting', 'kernel_restarted'],
  ['dead', 'kernel_dead']
])('a kernel that is %s fails what was asked and all that follows', async (status, code) => {
  const [kernel, link] = linked();
  const answer = failure(link.call('models', {}, { patience: Infinity }));
  await turn();
  kernel.statusChanged.emit(status);
  expect(await answer).toBe(code);
  expect(await failure(link.call('models', {}, { patience: Infinity }))).toBe(code);
});

test('a restart from another page is noticed by the session of its messages', () => {
  const [kernel, link] = linked();
  const lost: string[] = [];
  link.voided.connect((_, reason) => lost.push(reason.code));
  kernel.tell('busy', {}, 'one');
  kernel.tell('idle', {}, 'one');
  expect(lost).toEqual([]);
  kernel.tell('busy', {}, 'two');
  expect(lost).toEqual(['kernel_restarted']);
});

test('what is answered beside a running cell does not make the kernel look idle', async () => {
  const [kernel, link] = linked();
  kernel.tell('busy', { msg_id: 'cell' });
  kernel.tell('idle', { msg_id: 'x', subshell_id: 'sub' });
  kernel.tell('idle', { msg_id: 'y', msg_type: 'create_subshell_request' });
  expect(link.main.busy).toBe(true);
  kernel.tell('idle', { msg_id: 'cell' });
  expect(link.main.busy).toBe(false);
});

test('our own question does not make the kernel look busy', async () => {
  const [kernel, link] = linked();
  void link.call('models', {}, { patience: Infinity });
  await turn();
  kernel.tell('busy', { msg_id: 'm0' });
  expect(link.main.busy).toBe(false);
});
