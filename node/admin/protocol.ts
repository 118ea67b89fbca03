/** How a command talks to a running node: `POST /operations/NAME` over a Unix socket, answered by lines of JSON. */
import { join } from 'node:path'

/** One line of an answer: any number of events, then a result or an error. */
export type AdminLine = { event: unknown } | { result: unknown } | { error: AdminError }

export interface AdminError {
  code: string
  message: string
  /** What the hosts in it are called, by id. */
  called?: Record<string, string>
}

/** A node that serves, or a command that is one for as long as it takes. */
export type Answerer = 'node' | 'command'

/** Where `GET` says who it is. */
export const answererPath = '/answerer'

export function socketPath(dataDirectory: string): string {
  return join(dataDirectory, 'admin.sock')
}
