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

/** Milliseconds within which an idle kernel has answered the connection's first question. */
const FIRST_WORD = 1_500;

/**
 * The state of the main shell. The connection's own `status` cannot be used: an answer on a subshell or on the
 * control channel makes it `idle` while a cell still runs. So it is listened to from the kernel's first moment.
 */
export class MainShell implements IDisposable {
  /** The one of a kernel's connection, for as long as that lives. */
  static of(kernel: Kernel.IKernelConnection): MainShell {
    const known = shells.get(kernel);
    if (known && !known.isDisposed) {
      return known;
    }
    const made = new MainShell(kernel);
    shells.set(kernel, made);
    return made;
  }

  private constructor(private readonly kernel: Kernel.IKernelConnection) {
    this.running = kernel.status === 'busy';
    kernel.iopubMessage.connect(this.onMessage, this);
    kernel.disposed.connect(this.dispose, this);
    this.heard = this.listen();
  }

  /** Resolves, soon in any case, once `busy` can be believed. */
  readonly heard: Promise<void>;

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
      this.kernel.disposed.disconnect(this.dispose, this);
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

  /**
   * A page that is opened while a cell runs is not told so: the kernel spoke of that cell before. What can be seen is
   * that the connection's first question, which the main shell answers, is not answered.
   */
  private async listen(): Promise<void> {
    const answered = this.kernel.info.then(
      () => true,
      () => true
    );
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silent = new Promise<boolean>(resolve => {
      timer = setTimeout(() => resolve(false), FIRST_WORD);
    });
    const first = await Promise.race([answered, silent]);
    clearTimeout(timer);
    if (!first && !this.disposed && !this.told) {
      this.turn(true);
      // The end of a cell is told as well, but not that of a slow start.
      void answered.then(() => {
        if (!this.disposed && !this.told) {
          this.turn(false);
        }
      });
    }
  }

  private turn(running: boolean): void {
    if (running !== this.running) {
      this.running = running;
      this.change.emit();
    }
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
      this.told = true;
      this.turn(state === 'busy');
    }
  }

  private running: boolean;
  /** Whether the main shell has told of itself. */
  private told = false;
  private session = '';
  private disposed = false;
  private readonly replacing = new Signal<MainShell, void>(this);
  private readonly own = new Set<string>();
  private readonly change = new Signal<MainShell, void>(this);
}

const shells = new WeakMap<Kernel.IKernelConnection, MainShell>();
