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
  /** A URL that the browser may download from, through the proxy. */
  downloadUrl(path: string): string;
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
    const url = URLExt.join(this.settings.baseUrl, ROUTES, path);
    const request: RequestInit = { method };
    if (body !== undefined) {
      request.body = JSON.stringify(body);
      request.headers = { 'Content-Type': 'application/json' };
    }
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, request, this.settings);
    } catch (error) {
      throw new Failure(
        'jupyter_away',
        'The Jupyter server does not answer.',
        'Check that it runs.'
      );
    }
    const text = await response.text();
    if (!response.ok) {
      throw failureOf(response.status, text);
    }
    return (text ? JSON.parse(text) : undefined) as T;
  }

  downloadUrl(path: string): string {
    return URLExt.join(this.settings.baseUrl, ROUTES, 'backend', path);
  }

  socket(path: string): WebSocket {
    const { wsUrl, token, appendToken, WebSocket } = this.settings;
    let url = URLExt.join(wsUrl, ROUTES, path);
    if (appendToken && token) {
      url += `${url.includes('?') ? '&' : '?'}token=${encodeURIComponent(token)}`;
    }
    return new WebSocket(url);
  }
}

export const clientPlugin: JupyterFrontEndPlugin<IBackend> = {
  id: 'tensortrigger-lab:client',
  description: 'Asks the TensorTrigger backend through the Jupyter server.',
  autoStart: true,
  provides: IBackend,
  activate: (app: JupyterFrontEnd): IBackend => new Backend(app.serviceManager.serverSettings)
};
