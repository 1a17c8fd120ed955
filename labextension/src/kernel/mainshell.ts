/** Whether the kernel runs somebody's cell just now. */

import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

/** Answered beside a running cell, on the control channel: they tell nothing of the main shell. */
const BESIDE = new Set([
  'kernel_info_request',
  'debug_request',
  'interrupt_request',
  'shutdown_request',
  'create_subshell_request',
  'delete_subshell_request',
  'list_subshell_request'
]);

/**
 * The state of the main shell. The connection's own `status` cannot be used: an answer on a subshell
 * makes it `idle` while a cell still runs.
 */
export class MainShell implements IDisposable {
  constructor(private readonly kernel: Kernel.IKernelConnection) {
    this.running = kernel.status === 'busy';
    kernel.iopubMessage.connect(this.onMessage, this);
  }

  get busy(): boolean {
    return this.running;
  }

  get changed(): ISignal<MainShell, void> {
    return this.change;
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  dispose(): void {
    if (!this.disposed) {
      this.disposed = true;
      this.kernel.iopubMessage.disconnect(this.onMessage, this);
      Signal.clearData(this);
    }
  }

  /** Emits when the kernel's process is another one, as after a restart from another page. */
  get replaced(): ISignal<MainShell, void> {
    return this.replacing;
  }

  /** Leave a request of our own out of account. */
  ignore(messageId: string): void {
    this.own.add(messageId);
  }

  private onMessage(_: Kernel.IKernelConnection, message: KernelMessage.IIOPubMessage): void {
    if (message.header.msg_type !== 'status') {
      return;
    }
    const parent = message.parent_header as {
      msg_id?: string;
      msg_type?: string;
      subshell_id?: string | null;
    };
    const state = (message.content as { execution_state: string }).execution_state;
    if ((state === 'busy' || state === 'idle') && parent.msg_type) {
      // Each kernel process signs its messages with a session of its own.
      if (this.session !== '' && this.session !== message.header.session) {
        this.replacing.emit();
      }
      this.session = message.header.session;
    }
    if (parent.msg_id !== undefined && this.own.has(parent.msg_id)) {
      if (state === 'idle') {
        this.own.delete(parent.msg_id);
      }
      return;
    }
    if (parent.subshell_id || BESIDE.has(parent.msg_type ?? '')) {
      return;
    }
    if (state === 'busy' || state === 'idle') {
      const running = state === 'busy';
      if (running !== this.running) {
        this.running = running;
        this.change.emit();
      }
    }
  }

  private running: boolean;
  private session = '';
  private disposed = false;
  private readonly replacing = new Signal<MainShell, void>(this);
  private readonly own = new Set<string>();
  private readonly change = new Signal<MainShell, void>(this);
}
