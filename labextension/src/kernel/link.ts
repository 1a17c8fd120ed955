/** One kernel, as it was when somebody clicked: asked silently, and void once it is restarted. */

import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { Failure } from '../failure';
import { expression } from './expression';
import { MainShell } from './mainshell';
import { ReplyContent, resultOf, SLOT } from './reply';
import { Subshell } from './subshell';

export interface CallOptions {
  /** Milliseconds to wait for the answer of a kernel that can answer; Infinity waits as long as it lives. */
  patience: number;
  /** Gives up on the answer; the kernel may still do what it was asked. */
  signal?: AbortSignal;
  /** Whether a running cell must be waited for: what touches weights belongs on the main thread. */
  mainOnly?: boolean;
}

export class KernelLink implements IDisposable {
  constructor(private readonly kernel: Kernel.IKernelConnection) {
    this.main = MainShell.of(kernel);
    this.subshell = new Subshell(kernel);
    kernel.statusChanged.connect(this.onStatus, this);
    kernel.disposed.connect(this.onGone, this);
    this.main.replaced.connect(this.onReplaced, this);
    this.onStatus(kernel, kernel.status);
  }

  readonly main: MainShell;

  /** Why this kernel can no longer be asked; null while it can. */
  get loss(): Failure | null {
    return this.lost;
  }

  /** Emits once, when the kernel is restarted or gone. */
  get voided(): ISignal<KernelLink, Failure> {
    return this.voiding;
  }

  /** Call one method of the bridge. Rejects with a `Failure`. */
  async call<T>(method: string, params: object, options: CallOptions): Promise<T> {
    this.check(options.signal);
    await this.main.heard;
    this.check(options.signal);
    const beside = this.main.busy && !options.mainOnly;
    const subshell = beside ? await this.subshell.id() : null;
    this.check(options.signal);
    // Behind a running cell the answer comes when that has ended, however long it takes.
    const patience = this.main.busy && subshell === null ? Infinity : options.patience;
    const future = this.execute(expression(method, params), subshell);
    this.main.ignore(future.msg.header.msg_id);
    return resultOf<T>(await this.reply(future, { ...options, patience }));
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  dispose(): void {
    if (this.disposed) {
      return;
    }
    this.disposed = true;
    this.kernel.statusChanged.disconnect(this.onStatus, this);
    this.kernel.disposed.disconnect(this.onGone, this);
    this.main.replaced.disconnect(this.onReplaced, this);
    Signal.clearData(this);
    if (this.lost === null) {
      this.subshell.close();
    }
  }

  private check(signal?: AbortSignal): void {
    if (this.lost) {
      throw this.lost;
    }
    if (this.disposed || signal?.aborted) {
      throw cancelled();
    }
  }

  private execute(code: string, subshell: string | null) {
    const content: KernelMessage.IExecuteRequestMsg['content'] = {
      code: '',
      silent: true,
      store_history: false,
      user_expressions: { [SLOT]: code },
      allow_stdin: false,
      stop_on_error: false
    };
    // The connection writes its own subshell into each message as it makes it, and this makes one.
    const before = this.kernel.subshellId;
    try {
      if (subshell !== null) {
        this.kernel.subshellId = subshell;
      }
      return this.kernel.requestExecute(content, true);
    } catch (error) {
      throw this.lost ?? new Failure('kernel_dead', 'The kernel does not run.', START);
    } finally {
      if (subshell !== null) {
        this.kernel.subshellId = before;
      }
    }
  }

  private reply(
    future: Kernel.IShellFuture<KernelMessage.IExecuteRequestMsg, KernelMessage.IExecuteReplyMsg>,
    { patience, signal }: CallOptions
  ): Promise<ReplyContent> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const settle = (act: () => void, drop: boolean) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.voiding.disconnect(onVoid);
        act();
        if (drop) {
          future.dispose();
        }
      };
      const onAbort = () => settle(() => reject(cancelled()), true);
      const onVoid = (_: KernelLink, failure: Failure) => settle(() => reject(failure), false);
      signal?.addEventListener('abort', onAbort);
      this.voiding.connect(onVoid);
      if (Number.isFinite(patience)) {
        timer = setTimeout(
          () => settle(() => reject(slow(patience, this.main.busy)), true),
          patience
        );
      }
      future.onReply = message =>
        settle(() => resolve(message.content as unknown as ReplyContent), false);
      future.done.catch(() =>
        // Disposed from outside: by a restart, or with the connection.
        settle(() => reject(this.lost ?? RESTARTED()), false)
      );
    });
  }

  private onStatus(_: Kernel.IKernelConnection, status: Kernel.Status): void {
    if (status === 'restarting' || status === 'autorestarting') {
      this.lose(RESTARTED());
    } else if (status === 'dead' || status === 'terminating') {
      this.lose(new Failure('kernel_dead', 'The kernel has died or was shut down.', START));
    }
  }

  private onReplaced(): void {
    this.lose(RESTARTED());
  }

  private onGone(): void {
    this.lose(
      new Failure(
        'kernel_dead',
        'The kernel was shut down or changed, or its notebook was closed.',
        START
      )
    );
  }

  private lose(failure: Failure): void {
    if (this.lost === null) {
      this.lost = failure;
      this.voiding.emit(failure);
    }
  }

  private lost: Failure | null = null;
  private disposed = false;
  private readonly subshell: Subshell;
  private readonly voiding = new Signal<KernelLink, Failure>(this);
}

const START = 'Start the kernel, run the cells that make the model, then publish again.';

const RESTARTED = () =>
  new Failure(
    'kernel_restarted',
    'The kernel was restarted, so the model that was chosen is gone.',
    'Run the cells that make the model, then publish again.'
  );

function cancelled(): Failure {
  return new Failure('cancelled', 'The question was given up.');
}

function slow(patience: number, busy: boolean): Failure {
  const seconds = Math.round(patience / 1000);
  return busy
    ? new Failure(
        'kernel_busy',
        `The kernel is busy and has not answered for ${seconds} s.`,
        'Wait until its cell has ended, or interrupt it, then try again.'
      )
    : new Failure(
        'kernel_silent',
        `The kernel has not answered for ${seconds} s.`,
        'Try again; if it stays silent, restart the kernel.'
      );
}
