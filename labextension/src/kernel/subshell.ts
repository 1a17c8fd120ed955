/** A subshell of our own: how a kernel is asked while its main shell runs somebody's cell. */

import { Kernel, KernelMessage } from '@jupyterlab/services';

const FEATURE = 'kernel subshells';
/** Milliseconds within which the control channel answers, which is never busy. */
const PATIENCE = 3_000;

export class Subshell {
  constructor(private readonly kernel: Kernel.IKernelConnection) {}

  /** Its id; null where the kernel has none to give. Never rejects. */
  id(): Promise<string | null> {
    this.opening ??= this.open().catch(() => null);
    return this.opening;
  }

  /** Give it back. */
  close(): void {
    void this.opening?.then(id => {
      if (id !== null && !this.kernel.isDisposed) {
        this.ask('delete_subshell_request', { subshell_id: id }).catch(() => undefined);
      }
    });
  }

  private async open(): Promise<string | null> {
    const { supportsSubshells } = this.kernel;
    if (supportsSubshells === undefined) {
      return null; // a JupyterLab before 4.4, whose messages cannot name one
    }
    if (!supportsSubshells && !(await this.supported())) {
      return null;
    }
    const { status, subshell_id } = await this.ask('create_subshell_request', {});
    return status === 'ok' && typeof subshell_id === 'string' ? subshell_id : null;
  }

  /** What the connection cannot know yet where the page was opened while a cell ran: it asks behind that cell. */
  private async supported(): Promise<boolean> {
    const { supported_features } = await this.ask('kernel_info_request', {});
    return Array.isArray(supported_features) && supported_features.includes(FEATURE);
  }

  /** Ask on the control channel. The connection has no method for this question there, or one that refuses it. */
  private async ask(
    msgType: string,
    content: { [member: string]: string }
  ): Promise<{ [member: string]: unknown }> {
    const message = KernelMessage.createMessage({
      msgType,
      channel: 'control',
      username: this.kernel.username,
      session: this.kernel.clientId,
      content
    } as unknown as KernelMessage.IOptions<KernelMessage.IDebugRequestMsg>);
    const future = this.kernel.sendControlMessage(message, true);
    const timer = setTimeout(() => future.dispose(), PATIENCE);
    try {
      const reply = (await future.done) as { content: object } | undefined;
      return { ...reply?.content };
    } finally {
      clearTimeout(timer);
    }
  }

  private opening: Promise<string | null> | null = null;
}
