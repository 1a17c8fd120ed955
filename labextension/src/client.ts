/** What the page asks of the server extension, one method a route; knows no widget. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { Token } from '@lumino/coreutils';

import { BackendStatus } from './shapes';
import { Failure, failureOf } from './failure';

const ROUTES = 'tensortrigger-lab/api';

/** The server extension as every other plugin sees it. Every method rejects with a `Failure`. */
export interface IBackend {
  status(): Promise<BackendStatus>;
  /** JSON from the backend, through the proxy; `path` is one of its own routes, without a leading slash. */
  ask<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** JSON from the server extension itself. */
  askExtension<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** A whole answer of the backend in one media type, through the proxy; the browser keeps a long one on its disk. */
  file(path: string, mediaType: string): Promise<Blob>;
  /** A WebSocket to the server extension. */
  socket(path: string): WebSocket;
}

export const IBackend = new Token<IBackend>(
  'tensortrigger-lab:IBackend',
  'Asks the TensorTrigger backend through the Jupyter server.'
);

export class Backend implements IBackend {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  status(): Promise<BackendStatus> {
    return this.askExtension('GET', 'status');
  }

  ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    return this.askExtension(method, `backend/${path}`, body);
  }

  async askExtension<T>(method: string, path: string, body?: unknown): Promise<T> {
    const request: RequestInit = { method };
    if (body !== undefined) {
      request.body = JSON.stringify(body);
      request.headers = { 'Content-Type': 'application/json' };
    }
    const response = await this.request(path, request);
    const text = await response.text();
    try {
      return (text ? JSON.parse(text) : undefined) as T;
    } catch {
      // Such as the login page of what stands before Jupyter.
      throw new Failure(
        'answer_unreadable',
        'The Jupyter server answered with something else than JSON.',
        'Reload this page: your login may have ended.'
      );
    }
  }

  async file(path: string, mediaType: string): Promise<Blob> {
    const headers = { Accept: mediaType };
    return (await this.request(`backend/${path}`, { method: 'GET', headers })).blob();
  }

  socket(path: string): WebSocket {
    const { wsUrl, token, appendToken, WebSocket } = this.settings;
    let url = URLExt.join(wsUrl, ROUTES, path);
    if (appendToken && token) {
      url += `${url.includes('?') ? '&' : '?'}token=${encodeURIComponent(token)}`;
    }
    return new WebSocket(url);
  }

  /** An answer that is no error. */
  private async request(path: string, request: RequestInit): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, ROUTES, path);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, request, this.settings);
    } catch {
      throw new Failure(
        'jupyter_away',
        'The Jupyter server does not answer.',
        'Check that it runs.'
      );
    }
    if (!response.ok) {
      throw failureOf(response, await response.text());
    }
    return response;
  }
}

export const clientPlugin: JupyterFrontEndPlugin<IBackend> = {
  id: 'tensortrigger-lab:client',
  description: 'Asks the TensorTrigger backend through the Jupyter server.',
  autoStart: true,
  provides: IBackend,
  activate: (app: JupyterFrontEnd): IBackend => new Backend(app.serviceManager.serverSettings)
};
