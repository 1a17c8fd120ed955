import { Signal } from '@lumino/signaling';

import { Failure } from '../src/failure';
import { PublishRequest } from '../src/kernel/shapes';
import { PublishFlow } from '../src/publish/flow';
import { HELLO, kernelModel, listing, progress, PROPOSAL, RESTARTED } from './publish.fixtures';

class FakeKernel {
  busy = false;
  loss: Failure | null = null;
  busyChanged = new Signal<this, void>(this);
  voided = new Signal<this, Failure>(this);
  requests: PublishRequest[] = [];
  stages = [
    progress('uploading'),
    progress('ready', { model: { model_id: 'm', name: 'churn', version: 4 } as never })
  ];
  disposed = false;
  demandPython = async () => {};
  hello = async () => HELLO;
  models = async () => listing(kernelModel());
  schema = async () => PROPOSAL;
  publish = async (request: PublishRequest) => {
    this.requests.push(request);
    return { publish_id: 'p' };
  };
  progress = async () => this.stages.shift() ?? progress('failed');
  cancel = async () => ({ state: 'cancelled' as const });
  dispose = () => {
    this.disposed = true;
  };
}

const backend = {
  ask: async <T>() => ({ models: [{ version: 3 }] }) as T,
  askExtension: async <T>() => ({ ticket: 't', url: 'http://b' }) as T
};

async function until(flow: PublishFlow, reached: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !reached(); tries++) {
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  expect([flow.state.phase, reached()]).toEqual([flow.state.phase, true]);
}

test('from the button to a version that is ready', async () => {
  const kernel = new FakeKernel();
  const flow = new PublishFlow(kernel, backend);
  await until(flow, () => flow.state.lookup?.latest === 3 && flow.state.form.inputs !== null);
  flow.send({ type: 'submit', timing: 'now' });
  await until(flow, () => flow.state.phase === 'ready');
  expect(kernel.requests).toMatchObject([{ name: 'churn', ticket: 't', url: 'http://b' }]);
  expect(flow.state.progress?.model?.version).toBe(4);
  expect(kernel.disposed).toBe(true);
});

test('publish when idle sends nothing until the kernel is idle', async () => {
  const kernel = new FakeKernel();
  kernel.busy = true;
  const flow = new PublishFlow(kernel, backend);
  await until(flow, () => flow.state.form.inputs !== null);
  flow.send({ type: 'submit', timing: 'idle' });
  await new Promise(resolve => setTimeout(resolve, 50));
  expect(kernel.requests).toEqual([]);
  kernel.busy = false;
  kernel.busyChanged.emit();
  await until(flow, () => flow.state.phase === 'ready');
  expect(kernel.requests).toHaveLength(1);
});

test('a kernel of another language ends it before anything is asked of it', async () => {
  const kernel = new FakeKernel();
  kernel.demandPython = async () => {
    throw new Failure('not_python', 'It is R.');
  };
  const flow = new PublishFlow(kernel, backend);
  await until(flow, () => flow.state.phase === 'failed');
  expect(flow.state.failure?.code).toBe('not_python');
});

test('a restart while it waits makes it void', async () => {
  const kernel = new FakeKernel();
  kernel.busy = true;
  const flow = new PublishFlow(kernel, backend);
  await until(flow, () => flow.state.form.inputs !== null);
  flow.send({ type: 'submit', timing: 'idle' });
  kernel.voided.emit(RESTARTED);
  expect([flow.state.phase, flow.state.failure]).toEqual(['failed', RESTARTED]);
});

test('a flow that is disposed of does nothing any more', async () => {
  const kernel = new FakeKernel();
  const flow = new PublishFlow(kernel, backend);
  await until(flow, () => flow.state.form.inputs !== null);
  flow.dispose();
  flow.send({ type: 'submit', timing: 'now' });
  expect([flow.state.phase, kernel.disposed, kernel.requests]).toEqual(['form', true, []]);
});
